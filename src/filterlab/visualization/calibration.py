"""Reliability diagram: accuracy by confidence."""

from matplotlib.figure import Figure

from filterlab.evaluation.metrics import Reliability
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet


def draw_calibration(reliability: Reliability, *, subject: str) -> Figure:
    """Reliability diagram: accuracy against confidence, and below it how many examples each bin holds (logarithmic)."""
    filled = reliability.count > 0
    low, high = reliability.low[filled], reliability.high[filled]
    accuracy, confidence = reliability.accuracy[filled], reliability.confidence[filled]
    count = reliability.count[filled]
    drawn = sheet(
        "Calibration: is it as sure as it is right?",
        caption=f"{subject}. Expected calibration error {reliability.calibration_error:.2%} over {len(filled)} bins",
        width=8,
        height=6.6,
    )
    top = panel(drawn, left=MARGIN + 0.6, bottom=2.55, width=6.2, height=3.95)
    top.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2, label="perfectly calibrated")
    top.bar(low, accuracy, width=high - low, align="edge", color=BLUE, alpha=0.35, edgecolor="white", label="accuracy in the bin")
    top.vlines(confidence, accuracy, confidence, color=ORANGE, linewidth=2.5, label="gap")
    top.plot(confidence, accuracy, "o", color=BLUE, markersize=5)
    top.set(xlim=(0, 1), ylim=(0, 1.02))
    top.set_ylabel("accuracy", fontsize=11, color=INK)
    top.tick_params(labelbottom=False)
    top.legend(frameon=False, fontsize=11, loc="upper left")
    below = panel(drawn, left=MARGIN + 0.6, bottom=0.75, width=6.2, height=1.5)
    below.bar(low, count, width=high - low, align="edge", color=MUTED, alpha=0.6, edgecolor="white")
    below.set_yscale("log")
    below.set(xlim=(0, 1), ylim=(0.7, count.max() * 6))
    for left, right, n in zip(low, high, count, strict=True):
        below.text((left + right) / 2, n * 1.25, str(n), ha="center", fontsize=9, color=INK)
    below.set_xlabel("confidence (probability of the predicted class)", fontsize=11, color=INK)
    below.set_ylabel("images", fontsize=11, color=INK)
    for axes in (top, below):
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
    return drawn
