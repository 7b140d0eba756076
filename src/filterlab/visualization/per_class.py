"""Precision and recall by class."""

import numpy as np
from matplotlib.figure import Figure

from filterlab.evaluation.intervals import wilson
from filterlab.evaluation.metrics import ClassScores
from filterlab.visualization.style import BLUE, FAINT, INK, LETTER, MARGIN, ORANGE, letters, panel, sheet


def draw_per_class(scores: ClassScores, *, classes: list[str], subject: str) -> Figure:
    """Recall with its 95 % Wilson interval and precision, a row a class, the hardest class on top; the 30 hardest at most."""
    order = np.argsort(scores.recall, kind="stable")[:30]
    some = f"the {len(order)} of {len(classes)} classes with the lowest recall" if len(order) < len(classes) else "all classes"
    room = 0.3 + LETTER * max(letters(classes[k]) + 16 * (scores.support[k] == 0) for k in order)
    height = 0.36 * len(order)
    drawn = sheet(
        "Class by class",
        caption=f"{subject}. Shown: {some}; bars: 95 % intervals of recall",
        width=8.5,
        height=height + 1.2,
    )
    axes = panel(drawn, left=MARGIN + room, bottom=0.75, width=drawn.get_size_inches()[0] - room - 2 * MARGIN, height=height)
    rows = np.arange(len(order))[::-1]
    for row, k in zip(rows, order, strict=True):
        if n := int(scores.support[k]):
            low, high = wilson(round(scores.recall[k] * n), n, confidence=0.95)
            axes.plot([low, high], [row, row], color=BLUE, alpha=0.35, linewidth=6, solid_capstyle="butt")
    axes.plot(scores.recall[order], rows, "o", color=BLUE, markersize=7, label="recall: found among its own")
    axes.plot(scores.precision[order], rows, "D", color=ORANGE, markerfacecolor="none", label="precision: right when named")
    named = [classes[k] if scores.support[k] else f"{classes[k]} (no test image)" for k in order]
    axes.set_yticks(rows, named, fontsize=11, color=INK)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlim(right=1.0 + 0.02 * (1 - axes.get_xlim()[0]))
    axes.set_xlabel("share", fontsize=11, color=INK)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.3g}")
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=11, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.1)
    return drawn
