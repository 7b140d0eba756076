"""Topic 1: a line through noisy points, by gradient descent and in closed form."""

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context
from filterlab.lecture.plots import add_panels, new_figure
from filterlab.lecture.result import Check, Floats, Result, close
from filterlab.visualization.style import BLUE, FAINT, INK, MUTED, ORANGE

POINTS, NOISE, RATE, STEPS = 50, 0.3, 0.5, 200
TRUE = (1.0, 2.0)  # b0, b1


def fit_line(context: Context) -> Result:
    x, y = draw_points()
    design = np.stack([np.ones(POINTS), x], axis=1)
    exact = np.linalg.solve(design.T @ design, design.T @ y)
    path = descend(design, y, rate=RATE, steps=STEPS)
    found = path[-1]
    return Result(checks=check_line(found, exact), figures={"line": plot_line(x, y, path, exact)})


def draw_points() -> tuple[Floats, Floats]:
    """x and y, (POINTS,) each."""
    draw = np.random.default_rng(1)
    x = draw.uniform(0, 1, POINTS)
    return x, TRUE[0] + TRUE[1] * x + NOISE * draw.standard_normal(POINTS)


def descend(design: Floats, y: Floats, *, rate: float, steps: int) -> Floats:
    """(steps + 1, 2): b0 and b1 from (0, 0) on. design: (N, 2), a column of ones and x; y: (N,)."""
    path = [np.zeros(2)]
    for _ in range(steps):
        gradient = 2 / len(y) * design.T @ (design @ path[-1] - y)
        path.append(path[-1] - rate * gradient)
    return np.array(path)


def check_line(found: Floats, exact: Floats) -> list[Check]:
    return [
        close(
            f"b{index} by gradient descent, beside the closed form",
            float(found[index]),
            round(float(exact[index]), 6),
            tolerance=1e-4,
        )
        for index in range(2)
    ]


def plot_line(x: Floats, y: Floats, path: Floats, exact: Floats) -> Figure:
    drawn = new_figure("line", "line", 11.5, 4.2, points=POINTS, b0=TRUE[0], b1=TRUE[1], noise=NOISE)
    left, right = add_panels(drawn, columns=2)
    ends = np.array([0.0, 1.0])
    for step in (0, 1, 10):
        left.plot(ends, path[step][0] + path[step][1] * ends, color=FAINT, linewidth=1.5)
        left.text(1.01, path[step].sum(), f"step {step}", color=MUTED, va="center")
    left.plot(ends, path[-1][0] + path[-1][1] * ends, color=BLUE, label=f"gradient descent, step {STEPS}")
    left.plot(ends, exact[0] + exact[1] * ends, color=ORANGE, linestyle=":", label="closed form")
    left.scatter(x, y, s=18, color=INK, zorder=3)
    left.set(xlabel="x", ylabel="y")
    left.legend(loc="upper left")
    distance = np.linalg.norm(path - exact, axis=1)
    right.semilogy(distance, color=BLUE)
    right.axhline(1e-4, color=MUTED, linewidth=1, linestyle=":")
    right.text(0, 1.15e-4, "the check's tolerance", ha="left", color=MUTED)
    right.set(xlabel="step", ylabel="distance from the closed form")
    return drawn
