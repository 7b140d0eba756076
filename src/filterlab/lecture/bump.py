"""Topic 3: two logistic functions that face each other add up to a bump."""

import math

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context
from filterlab.lecture.logistic import unit
from filterlab.lecture.plots import add_panels, new_figure
from filterlab.lecture.result import Check, Floats, Result, below, between, close, conclude
from filterlab.visualization.style import BLUE, INK, MUTED, ORANGE

REACH, FAR = 5.0, 30.0


def add_logistic_units(context: Context) -> Result:
    top, end = bump(np.array([0.0, REACH]))
    values = {"top": top, "end": end, "reach": REACH, "far": FAR, "excess": excess(np.array(FAR))}
    return Result(check_bump(), {"bump": plot_bump()}, conclusion=conclude("bump", "sum", **values))


def bump(x: Floats) -> Floats:
    """s(1 + x) + s(1 - x), the shape of x."""
    return unit(x, bias=1, weight=1) + unit(x, bias=1, weight=-1)


def excess(x: Floats) -> Floats:
    """bump(x) - 1 = sinh 1 / (cosh 1 + cosh x), also where the sum of floats has lost it; |x| < 710."""
    return np.sinh(1) / (np.cosh(1) + np.cosh(x))


def check_bump() -> list[Check]:
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


def plot_bump() -> Figure:
    drawn = new_figure("bump", "bump", 11.5, 4.2)
    left, right = add_panels(drawn, columns=2)
    x = np.linspace(-REACH, REACH, 501)
    left.axhline(1, color=MUTED, linewidth=1, linestyle=":")
    left.plot(x, bump(x), color=INK, linewidth=2.5)
    left.plot(x, unit(x, bias=1, weight=1), color=BLUE)
    left.plot(x, unit(x, bias=1, weight=-1), color=ORANGE, linestyle="--")
    top, end = bump(np.array([0.0, REACH]))
    left.plot([0, -REACH, REACH], [top, end, end], "o", color=INK, markersize=5)
    left.text(0, top + 0.04, f"{top:.4f}", ha="center")
    left.text(-REACH, end + 0.05, f"{end:.4f}", ha="left")
    left.text(REACH, end + 0.05, f"{end:.4f}", ha="right")
    left.text(0, top - 0.13, "the sum", ha="center", fontsize=11)
    left.text(-2.6, 0.28, "s(1 + x)", ha="right", fontsize=11, color=BLUE)
    left.text(2.6, 0.28, "s(1 - x)", ha="left", fontsize=11, color=ORANGE)
    left.set(xlabel="x", ylabel="y", ylim=(0, 1.62))
    far = np.linspace(-FAR, FAR, 601)
    right.semilogy(far, 2 * np.sinh(1) * np.exp(-np.abs(far)), color=ORANGE, linewidth=1.5, linestyle="--")
    right.semilogy(far, excess(far), color=INK)
    right.text(7, 1e-1, "2 sinh(1) exp(-|x|)", ha="left", color=ORANGE)
    right.set(xlabel="x", ylabel="y - 1")
    return drawn
