"""Topic 3: two logistic functions that face each other add up to a bump."""

import math

import numpy as np
from numpy.typing import NDArray

from filterlab.lecture.lab import Lab
from filterlab.lecture.logistic import unit
from filterlab.lecture.topic import Check, Findings, Formula, Page, Shown, below, between, close
from filterlab.visualization.style import BLUE, INK, MARGIN, MUTED, ORANGE, panel, sheet

PAGE = Page(
    says="""\
One logistic unit only ever rises or only ever falls. Two of them, added up, can do both: one rises through 1/2 at x = -1, the
other falls through 1/2 at x = 1, and between these places both are large. The sum is a bump. It is the smallest network with a
hidden layer: two hidden units, and an output that adds them with weights 1 and 1.

The bump stands on a floor of 1, not of 0: far out on either side one unit is almost 1 and the other almost 0. But it never comes
down to the floor. What it has above 1 is s(x + 1) - s(x - 1), with s the logistic function (sigma in the formulas), and since s
rises everywhere, its value further right is the larger one: a positive number at every x. Far out that number shrinks by a
factor e with each unit of x, so it becomes as small as you like without becoming 0. (A computer's 64-bit numbers lose sight of
it near |x| = 37, where it falls below the spacing of numbers around 1.)

Weights larger than 1 and -1 make the sides steeper: the bump turns into a box. Enough boxes of chosen height and
place, side by side, follow any curve; topic 5 takes that up.""",
    formulas=[
        Formula(r"y(x) = \sigma(1 + x) + \sigma(1 - x)", "the slides' sum"),
        Formula(
            r"y(x) - 1 = \sigma(x + 1) - \sigma(x - 1) > 0",
            "with 1 - s(z) = s(-z) (Bishop 2006, equation 4.60); positive, as s rises",
        ),
        Formula(
            r"y(x) - 1 = \frac{\sinh 1}{\cosh 1 + \cosh x} \approx 2 \sinh(1)\, e^{-|x|}",
            "the same difference, from s(z) = (1 + tanh(z/2)) / 2; the approximation is for large |x|",
        ),
    ],
)
REACH, FAR = 5.0, 30.0


def run(lab: Lab) -> Findings:
    top, end = bump(np.array([0.0, REACH]))
    return Findings(
        checks=checks(),
        figures={"bump": figure()},
        conclusion=f"The sum of a rising and a falling unit peaks at {top:.4f} and is still {end:.4f} at x = {REACH:g}; "
        f"at x = {FAR:g} it lies {excess(np.array(FAR)):.1e} above 1, not on it.",
    )


def bump(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """s(1 + x) + s(1 - x), the shape of x."""
    return unit(x, bias=1, weight=1) + unit(x, bias=1, weight=-1)


def excess(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """bump(x) - 1 = sinh 1 / (cosh 1 + cosh x), also where the sum of floats has lost it; |x| < 710."""
    return np.sinh(1) / (np.cosh(1) + np.cosh(x))


def checks() -> list[Check]:
    x = np.linspace(-REACH, REACH, 1001)
    far = np.linspace(-FAR, FAR, 6001)
    rate = math.log(float(excess(np.array(FAR - 1)) / excess(np.array(FAR))))
    return [
        close("y at 0", float(bump(np.array(0.0))), 1.4621, tolerance=5e-5),
        close("y at -5 and 5", bump(np.array([-5.0, 5.0])).tolist(), [1.0155, 1.0155], tolerance=5e-5),
        close("where y is largest", round(float(x[bump(x).argmax()]), 12), 0.0, tolerance=1e-9),
        below(
            "y beside 1 + sinh 1 / (cosh 1 + cosh x), the largest difference",
            float(np.abs(bump(far) - 1 - excess(far)).max()),
            1e-14,
        ),
        between(f"the least of y - 1, the sum of two floats, for |x| up to {FAR:g}", float((bump(far) - 1).min()), 1e-14),
        close(f"y - 1 shrinks by e^1 from x = {FAR - 1:g} to {FAR:g}: the exponent", rate, 1.0, tolerance=1e-9),
    ]


def figure() -> Shown:
    drawn = sheet(
        "Two logistic functions make a bump",
        caption="y = s(1 + x) + s(1 - x), with s the logistic function; right: how far y lies above 1",
        width=11.5,
        height=4.2,
    )
    left = panel(drawn, left=MARGIN + 0.45, bottom=0.75, width=5.2, height=3.35)
    x = np.linspace(-REACH, REACH, 501)
    left.axhline(1, color=MUTED, linewidth=1, linestyle=":")
    left.plot(x, bump(x), color=INK, linewidth=2.5)
    left.plot(x, unit(x, bias=1, weight=1), color=BLUE, linewidth=2)
    left.plot(x, unit(x, bias=1, weight=-1), color=ORANGE, linewidth=2, linestyle="--")
    top, end = bump(np.array([0.0, REACH]))
    left.plot([0, -REACH, REACH], [top, end, end], "o", color=INK, markersize=5)
    left.text(0, top + 0.04, f"{top:.4f}", ha="center", fontsize=10, color=INK)
    left.text(-REACH, end + 0.05, f"{end:.4f}", ha="left", fontsize=10, color=INK)
    left.text(REACH, end + 0.05, f"{end:.4f}", ha="right", fontsize=10, color=INK)
    left.text(0, top - 0.13, "the sum", ha="center", fontsize=11, color=INK)
    left.text(-2.6, 0.28, "s(1 + x)", ha="right", fontsize=11, color=BLUE)
    left.text(2.6, 0.28, "s(1 - x)", ha="left", fontsize=11, color=ORANGE)
    left.set_ylim(0, 1.62)
    left.set_xlabel("x", fontsize=11, color=INK)
    left.set_ylabel("y", fontsize=11, color=INK)
    right = panel(drawn, left=MARGIN + 6.95, bottom=0.75, width=3.9, height=3.35)
    far = np.linspace(-FAR, FAR, 601)
    right.semilogy(far, 2 * np.sinh(1) * np.exp(-np.abs(far)), color=ORANGE, linewidth=1.5, linestyle="--")
    right.semilogy(far, excess(far), color=INK, linewidth=2)
    right.text(7, 1e-1, "2 sinh(1) exp(-|x|)", ha="left", fontsize=10, color=ORANGE)
    right.set_xlabel("x", fontsize=11, color=INK)
    right.set_ylabel("y - 1", fontsize=11, color=INK)
    return Shown(
        drawn,
        "Left: the two units and their sum. Right: how far the sum lies above 1, on a logarithmic axis: straight lines downward, "
        "which never arrive at 0.",
    )
