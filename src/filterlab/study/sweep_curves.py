"""Learning curves of a sweep's settings."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from filterlab.study.measure import Measure
from filterlab.study.scale import shortened, thinned
from filterlab.study.table import describe_selection
from filterlab.visualization.style import FAINT, INK, MARGIN, MUTED, panel, sheet

SETTINGS = 10
# Okabe and Ito's palette for color-blind readers, but for its yellow, which is too light for a line on white.
COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b1f24"]


def draw_curves(
    settings: Sequence[tuple[str, Sequence[Sequence[float]]]], *, heading: str, measure: Measure, total: int, subject: str
) -> Figure:
    """A line a setting, the mean of its trainings, in a band from the least to the greatest of them.

    settings: best first, name and its trainings' values by epoch, each at least one; the first 10 are drawn. Trainings of
    different lengths are drawn as far as all of them go. heading: of the names. total: how many settings the sweep has.
    """
    shown = settings[:SETTINGS]
    curves = []
    for _, trainings in shown:
        common = min(len(training) for training in trainings)
        curves.append(np.array([training[:common] for training in trainings], np.float64))  # (trainings, epochs)
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    scale, word = measure.scale(finite if len(finite) else [0.0, 1.0], wide=5)
    names = [shortened(name, limit=44) for name, _ in shown]
    several = any(len(curve) > 1 for curve in curves)
    drawn = sheet(
        f"How the settings learned: {measure.name} by epoch",
        caption=f"{subject}. {describe_selection(len(shown), total)}"
        + ("; lines: mean over seeds, bands: from worst to best seed" if several else "")
        + (f"; {word}" if word else ""),
        width=MARGIN + 0.75 + 7.2 + 0.6 + 0.082 * max(map(len, [*names, heading[:50]])) + MARGIN,
        height=4.9,
    )
    axes = panel(drawn, left=MARGIN + 0.6, bottom=0.75, width=7.2, height=4.05)
    for place, curve in reversed(list(enumerate(curves))):
        epochs = np.arange(1, curve.shape[1] + 1)
        color, style = COLORS[place % len(COLORS)], "-" if place < len(COLORS) else "--"
        mean = scale.forward(curve.mean(axis=0))
        marker = "o" if len(epochs) <= 20 else ""
        axes.plot(
            epochs,
            mean,
            color=color,
            linestyle=style,
            linewidth=2.2 if place == 0 else 1.5,
            zorder=3,
            label=names[place],
            marker=marker,
            markersize=4,
        )
        if len(curve) > 1:
            least, most = scale.forward(curve.min(axis=0)), scale.forward(curve.max(axis=0))
            axes.fill_between(epochs, least, most, color=color, alpha=0.15, linewidth=0)
    low, high = axes.get_ylim()
    ticks = thinned([tick for tick in scale.ticks if low <= tick[0] <= high], gap=0.05 * (high - low))
    axes.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch", fontsize=11, color=INK)
    axes.set_ylabel(measure.label, fontsize=11, color=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        title=shortened(heading, limit=50) or None,
        frameon=False,
        fontsize=10.5,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.02),
        alignment="left",
        borderaxespad=0,
        labelcolor=INK,
    ).get_title().set(fontsize=10.5, color=MUTED)
    return drawn
