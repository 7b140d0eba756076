"""Topic 4: seven logistic functions, one inside the other: a network of three layers with weights set by hand."""

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context
from filterlab.lecture.logistic import logistic
from filterlab.lecture.plots import add_panels, draw_network, new_figure
from filterlab.lecture.result import Check, Floats, Result, Table, below, close, conclude, equal, new_table
from filterlab.visualization.style import BLUE, INK, MUTED, ORANGE

LAYERS = [["y1", "y2", "y4", "y5"], ["y3", "y6"], ["y7"]]
WEIGHTS = [  # of each layer: (units below, units)
    np.array([[-10.0, 10.0, 10.0, -10.0]]),
    np.array([[-1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
    np.array([[-2.0], [-1.0]]),
]
BIASES = [np.array([-10.0, 5.0, -10.0, 5.0]), np.array([-1.0, -1.0]), np.array([-1.0])]
EXTREMES = [  # unit, kind, value, x
    ("y3", "peak", 0.2402, -0.75),
    ("y6", "dip", 0.2998, 0.75),
    ("y7", "dip", 0.1213, -0.75),
    ("y7", "peak", 0.1768, 0.75),
]
REACH = 3.0
Curves = dict[str, Floats]


def compose_logistic_units(context: Context) -> Result:
    x = np.linspace(-REACH, REACH, 60001)  # in steps of 0.0001
    y = formulas(x)
    y7 = y["y7"]
    found = {"base": y7[0], "dip": y7.min(), "low": x[y7.argmin()], "peak": y7.max(), "high": x[y7.argmax()]}
    return Result(
        checks=[*structure(x, y), *values(x, y)],
        figures={"network": plot_network(), "curves": plot_curves(x, y)},
        tables=[tabulate_units(y)],
        conclusion=conclude("composition", "curve", **found),
    )


def formulas(x: Floats) -> Curves:
    """y1 to y7 as the slides write them, each the shape of x."""
    y1 = 1 / (1 + np.exp(10 + 10 * x))
    y2 = 1 / (1 + np.exp(-5 - 10 * x))
    y3 = 1 / (1 + np.exp(1 + y1 + y2))
    y4 = 1 / (1 + np.exp(10 - 10 * x))
    y5 = 1 / (1 + np.exp(-5 + 10 * x))
    y6 = 1 / (1 + np.exp(1 - y4 - y5))
    y7 = 1 / (1 + np.exp(1 + 2 * y3 + y6))
    return {"y1": y1, "y2": y2, "y3": y3, "y4": y4, "y5": y5, "y6": y6, "y7": y7}


def propagate(x: Floats) -> Curves:
    """The same by the layers' matrices. x: (N,); every unit's output: (N,)."""
    signal: Floats = x[:, None]
    found: Curves = {}
    for units, weights, biases in zip(LAYERS, WEIGHTS, BIASES, strict=True):
        signal = logistic(signal @ weights + biases)
        found |= dict(zip(units, signal.T, strict=True))
    return found


def structure(x: Floats, y: Curves) -> list[Check]:
    layered = propagate(x)
    return [
        below(
            "the formulas beside the layers' matrices, seven units: the largest difference",
            max(float(np.abs(y[unit] - layered[unit]).max()) for unit in y),
            1e-12,
        ),
        equal("units of the layers", [len(units) for units in LAYERS], [4, 2, 1]),
        equal("weights and biases", sum(part.size for part in (*WEIGHTS, *BIASES)), 21),
        equal("of these, other than zero", sum(int(np.count_nonzero(part)) for part in (*WEIGHTS, *BIASES)), 17),
    ]


def values(x: Floats, y: Curves) -> list[Check]:
    """The curves' bases, peaks and dips. x: an even grid from -REACH to REACH."""
    found = []
    for unit, base in [("y3", 0.1192), ("y6", 0.5), ("y7", 0.1495)]:
        ends = [float(y[unit][0]), float(y[unit][-1])]
        found.append(close(f"{unit} at x = {-REACH:g} and {REACH:g}, its base", ends, [base, base], tolerance=5e-5))
    for unit, kind, value, place in EXTREMES:
        at = extreme(y[unit], kind)
        found.append(close(f"{unit}'s {kind}", float(y[unit][at]), value, tolerance=5e-5))
        found.append(close(f"{unit}'s {kind}: its x", round(float(x[at]), 6), place, tolerance=1e-3))
    for unit, value, places in [
        ("y3", 0.2375, [-0.8, -0.7]),
        ("y6", 0.3029, [0.7, 0.8]),
        ("y7", 0.1219, [-0.8, -0.7]),
        ("y7", 0.1763, [0.7, 0.8]),
    ]:
        near = formulas(np.array(places))[unit].tolist()
        says = f"{unit} at x = {places[0]} and {places[1]}, the nearest to its extreme in steps of 0.1"
        found.append(close(says, near, [value, value], tolerance=5e-5))
    return found


def extreme(y: Floats, kind: str) -> int:
    """Where on the grid the peak or the dip lies."""
    return int(y.argmax() if kind == "peak" else y.argmin())


def tabulate_units(y: Curves) -> Table:
    rows = []
    for units, weights, biases in zip(LAYERS, WEIGHTS, BIASES, strict=True):
        for unit, column, bias in zip(units, weights.T, biases, strict=True):
            below = ", ".join(f"{weight:g}" for weight in column)
            rows.append([unit, f"{bias:g}", below, f"{y[unit].min():.4f}", f"{y[unit].max():.4f}"])
    return new_table("composition", "units", rows, low=-REACH, high=REACH)


def plot_network() -> Figure:
    drawn = new_figure("composition", "network", 11.0, 4.4)
    (axes,) = add_panels(drawn)
    units = [[f"{unit}\n{bias:+g}" for unit, bias in zip(*layer, strict=True)] for layer in zip(LAYERS, BIASES, strict=True)]
    draw_network(axes, [["x"], *units], WEIGHTS, written=True)
    return drawn


def plot_curves(x: Floats, y: Curves) -> Figure:
    drawn = new_figure("composition", "curves", 12.9, 4.0)
    colors = {"y1": BLUE, "y2": BLUE, "y3": BLUE, "y4": ORANGE, "y5": ORANGE, "y6": ORANGE, "y7": INK}
    panels = add_panels(drawn, columns=3)
    for place, (axes, units) in enumerate(zip(panels, LAYERS, strict=True), start=1):
        for unit in units:
            rising = "--" if unit in ("y2", "y4") else "-"
            axes.plot(x[::100], y[unit][::100], color=colors[unit], linestyle=rising)
        for at in (-0.75, 0.75):
            axes.axvline(at, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
        axes.set(title=f"layer {place}: {', '.join(units)}", xlabel="x", xlim=(-REACH, REACH), ymargin=0.12)
    first, *later = panels
    first.set_ylabel("y")
    for unit, at, side in [("y1", -1.1, "right"), ("y2", -0.4, "left"), ("y5", 0.4, "right"), ("y4", 1.1, "left")]:
        first.text(at, 0.5, unit, ha=side, va="center", fontsize=11, color=colors[unit])
    for axes, units in zip(later, LAYERS[1:], strict=True):
        for unit in units:
            text = f"{unit}: {y[unit][0]:.4f}"
            axes.annotate(text, (-2.9, y[unit][0]), (0, 4), textcoords="offset points")
    for unit, kind, _, _ in EXTREMES:
        at = extreme(y[unit], kind)
        axes = later[unit == "y7"]
        axes.plot(x[at], y[unit][at], "o", color=INK, markersize=5)
        offset = (0, 7 if kind == "peak" else -15)
        number = axes.annotate(f"{y[unit][at]:.4f}", (x[at], y[unit][at]), offset, textcoords="offset points")
        number.set(ha="center", fontsize=10, color=INK, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    return drawn
