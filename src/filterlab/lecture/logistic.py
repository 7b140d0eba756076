"""Topic 2: the logistic function: what its bias and its weight do."""

import numpy as np
from numpy.typing import NDArray

from filterlab.lecture.lab import Lab
from filterlab.lecture.topic import Check, Findings, Formula, Page, Shown, Table, below, close
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet

PAGE = Page(
    says="""\
A logistic unit takes the line of the last topic and bends it: whatever b + w x comes to, the output lies between 0 and 1. Far to
one side it is almost 0, far to the other almost 1, and in between it passes 1/2.

The two numbers have one job each. The weight w sets how steep the passage is, and its sign says whether the curve rises or falls.
The bias b moves the curve along the axis without changing its shape. The passage through 1/2 is where b + w x = 0, at -b/w: a
positive bias moves a rising curve to the left, and the steeper the curve, the less the same bias moves it. The slope
there is w/4, the steepest of the whole curve, since y (1 - y) is largest at y = 1/2.

As |w| grows the unit turns into a step, a yes or no. What sets it apart from a step is that it has a slope everywhere,
so that gradient descent can find b and w.""",
    formulas=[
        Formula(
            r"y = \sigma(b + w x), \qquad \sigma(z) = \frac{1}{1 + e^{-z}}",
            "the logistic function (Verhulst 1845; Bishop 2006, equation 4.59)",
        ),
        Formula(r"\frac{d\sigma}{dz} = \sigma(z) \left(1 - \sigma(z)\right)", "Bishop 2006, equation 4.88"),
        Formula(
            r"y\left(-\frac{b}{w}\right) = \frac{1}{2}, \qquad \frac{dy}{dx}\left(-\frac{b}{w}\right) = \frac{w}{4}",
            "from the two above: z = 0 at the midpoint, and the chain rule gives another factor w",
        ),
    ],
)
PAIRS = [(0, 1), (0, 5), (2, 1), (0, -1)]  # (b, w) of the slides
REACH = 6.0  # the axis is drawn, and searched, from -REACH to REACH


def run(lab: Lab) -> Findings:
    midpoints = [midpoint(bias=bias, weight=weight) for bias, weight in PAIRS]
    slopes = [slope(place, bias=bias, weight=weight) for place, (bias, weight) in zip(midpoints, PAIRS, strict=True)]
    return Findings(
        checks=checks(midpoints, slopes),
        figures={"logistic": figure(midpoints, slopes)},
        tables=[
            Table(
                "Midpoint by bisection and slope by finite differences, from values of the function alone, and the formulas.",
                ["b", "w", "midpoint", "-b/w", "slope at the midpoint", "w/4"],
                [
                    [f"{bias}", f"{weight}", f"{place:.6f}", f"{0 - bias / weight:.6f}", f"{steepness:.6f}", f"{weight / 4:.6f}"]
                    for (bias, weight), place, steepness in zip(PAIRS, midpoints, slopes, strict=True)
                ],
            )
        ],
    )


def logistic(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-z)), of any shape, z > -709: below, exp overflows."""
    return 1 / (1 + np.exp(-z))


def unit(x: NDArray[np.float64], *, bias: float, weight: float) -> NDArray[np.float64]:
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


def checks(midpoints: list[float], slopes: list[float]) -> list[Check]:
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
        close(
            f"the midpoint, {pairs}",
            midpoints,
            [0 - bias / weight for bias, weight in PAIRS],
            tolerance=1e-9,
        ),
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


def figure(midpoints: list[float], slopes: list[float]) -> Shown:
    drawn = sheet(
        "The bias moves the curve, the weight tilts it",
        caption="y = 1 / (1 + exp(-(b + w x))), with its midpoint and the tangent there; gray: b = 0, w = 1",
        width=12.6,
        height=3.6,
    )
    x = np.linspace(-REACH, REACH, 601)
    for place, ((bias, weight), middle, steepness) in enumerate(zip(PAIRS, midpoints, slopes, strict=True)):
        axes = panel(drawn, left=MARGIN + 0.4 + place * 2.95, bottom=0.75, width=2.6, height=2.4)
        axes.plot(x, unit(x, bias=0, weight=1), color=FAINT, linewidth=2)
        across = np.array([-0.5, 0.5]) / abs(steepness)  # the tangent, from y = 0 to y = 1
        axes.plot(middle + across, 0.5 + steepness * across, color=ORANGE, linewidth=1.5, linestyle="--")
        axes.plot(x, unit(x, bias=bias, weight=weight), color=BLUE, linewidth=2)
        axes.plot(middle, 0.5, "o", color=INK, markersize=6)
        axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
        axes.set_title(f"b = {bias}, w = {weight}\nmidpoint {middle:.3g}, slope {steepness:.3g}", fontsize=11, color=INK)
        axes.set_xlim(-REACH, REACH)
        axes.set_ylim(-0.05, 1.05)
        axes.set_xlabel("x", fontsize=11, color=INK)
        if place:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("y", fontsize=11, color=INK)
    return Shown(
        drawn,
        "Left to right: the plain curve; five times the weight, five times the slope at the same midpoint; a bias of 2 moves the "
        "plain curve 2 to the left; a negative weight mirrors it.",
    )
