"""Topic 2: the logistic function: what its bias and its weight do."""

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context
from filterlab.lecture.plots import add_panels, new_figure
from filterlab.lecture.result import Check, Floats, Result, below, close, new_table
from filterlab.visualization.style import BLUE, FAINT, INK, MUTED, ORANGE

PAIRS = [(0, 1), (0, 5), (2, 1), (0, -1)]  # (b, w) of the slides
REACH = 6.0  # the axis is drawn, and searched, from -REACH to REACH


def examine_logistic_units(context: Context) -> Result:
    midpoints = [midpoint(bias=bias, weight=weight) for bias, weight in PAIRS]
    slopes = [slope(place, bias=bias, weight=weight) for place, (bias, weight) in zip(midpoints, PAIRS, strict=True)]
    rows = [
        [f"{bias}", f"{weight}", f"{place:.6f}", f"{0 - bias / weight:.6f}", f"{steepness:.6f}", f"{weight / 4:.6f}"]
        for (bias, weight), place, steepness in zip(PAIRS, midpoints, slopes, strict=True)
    ]
    return Result(
        checks=check_units(midpoints, slopes),
        figures={"logistic": plot_units(midpoints, slopes)},
        tables=[new_table("logistic", "units", rows)],
    )


def logistic(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), of any shape, z > -709: below, exp overflows."""
    return 1 / (1 + np.exp(-z))


def unit(x: Floats, *, bias: float, weight: float) -> Floats:
    """A logistic unit's output, in (0, 1), the shape of x."""
    return logistic(bias + weight * x)


def midpoint(*, bias: float, weight: float) -> float:
    """Where the unit's output is 1/2, between -REACH and REACH, by bisection."""
    low, high = -REACH, REACH
    for _ in range(60):
        middle = (low + high) / 2
        beyond = (unit(np.array(middle), bias=bias, weight=weight) >= 0.5) == (weight > 0)
        low, high = (low, middle) if beyond else (middle, high)
    return round(high, 12) + 0.0  # not -0.0


def slope(x: float, *, bias: float, weight: float, step: float = 1e-5) -> float:
    """dy/dx by central differences; their error is of the order of step squared."""
    left, right = unit(np.array([x - step, x + step]), bias=bias, weight=weight)
    return float((right - left) / (2 * step))


def check_units(midpoints: list[float], slopes: list[float]) -> list[Check]:
    """midpoints, slopes: one for each of PAIRS."""
    x = np.linspace(-REACH, REACH, 1201)
    curves = np.array([unit(x, bias=bias, weight=weight) for bias, weight in PAIRS])
    shifted = np.array([unit(x + bias / weight, bias=0, weight=weight) for bias, weight in PAIRS])
    steepest = x[np.abs(np.gradient(curves, x, axis=1)).argmax(axis=1)]
    pairs = f"for (b, w) = {', '.join(map(str, PAIRS))}"
    return [
        close(
            f"y at -b/w, {pairs}",
            [float(unit(np.array(-bias / weight), bias=bias, weight=weight)) for bias, weight in PAIRS],
            [0.5] * len(PAIRS),
            tolerance=0,
        ),
        close(f"the midpoint, {pairs}", midpoints, [0 - bias / weight for bias, weight in PAIRS], tolerance=1e-9),
        close(
            f"the slope at the midpoint, {pairs}",
            [round(steepness, 9) for steepness in slopes],
            [weight / 4 for _, weight in PAIRS],
            tolerance=1e-8,
        ),
        close(
            f"the steepest place on a grid of hundredths, {pairs}",
            [round(float(place), 9) for place in steepest],
            [0 - bias / weight for bias, weight in PAIRS],
            tolerance=1e-9,
        ),
        below("b only shifts: the four curves beside those of b = 0 moved by -b/w", float(np.abs(curves - shifted).max()), 1e-14),
        below("-w mirrors: y for w = -1 beside 1 - y for w = 1", float(np.abs(curves[3] - (1 - curves[0])).max()), 1e-14),
    ]


def plot_units(midpoints: list[float], slopes: list[float]) -> Figure:
    drawn = new_figure("logistic", "logistic", 12.6, 3.6)
    x = np.linspace(-REACH, REACH, 601)
    panels = add_panels(drawn, columns=len(PAIRS), sharey=True)
    for axes, (bias, weight), middle, steepness in zip(panels, PAIRS, midpoints, slopes, strict=True):
        axes.plot(x, unit(x, bias=0, weight=1), color=FAINT)
        across = np.array([-0.5, 0.5]) / abs(steepness)  # the tangent, from y = 0 to y = 1
        axes.plot(middle + across, 0.5 + steepness * across, color=ORANGE, linewidth=1.5, linestyle="--")
        axes.plot(x, unit(x, bias=bias, weight=weight), color=BLUE)
        axes.plot(middle, 0.5, "o", color=INK, markersize=6)
        axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
        title = f"b = {bias}, w = {weight}\nmidpoint {middle:.3g}, slope {steepness:.3g}"
        axes.set(title=title, xlabel="x", xlim=(-REACH, REACH), ylim=(-0.05, 1.05))
    panels[0].set_ylabel("y")
    return drawn
