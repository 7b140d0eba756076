"""Learning curves: accuracy and loss by epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet


def draw_curves(curves: Mapping[str, Sequence[float]], *, subject: str) -> Figure:
    """curves: columns of results/curves.csv, one value an epoch: epoch, {train,validation}/{accuracy,loss}, chosen (0 or 1), and
    perhaps another metric of validation, which chose.
    """
    epochs = curves["epoch"]
    kept = list(curves["chosen"]).index(1)
    shares = [name for name in curves if name.startswith("validation/") and not name.endswith("loss")]
    kept_with = ", ".join(f"{name.replace('/', ' ').replace('_', ' ')} {curves[name][kept]:.2%}" for name in shares)
    drawn = sheet(
        "Training curves",
        caption=f"{subject}. Kept: epoch {epochs[kept]:g}, {kept_with}",
        width=11.5,
        height=4.2,
    )
    for place, (measure, unit) in enumerate([("accuracy", "accuracy"), ("loss", "loss (cross-entropy, nats)")]):
        axes = panel(drawn, left=MARGIN + 0.55 + place * 5.6, bottom=0.75, width=4.5, height=3.35)
        axes.axvline(epochs[kept], color=MUTED, linewidth=1, linestyle=":")
        axes.text(epochs[kept], 1.01, "kept", transform=axes.get_xaxis_transform(), ha="center", fontsize=10, color=MUTED)
        for part, color, style in [("train", ORANGE, "--"), ("validation", BLUE, "-")]:
            axes.plot(epochs, curves[f"{part}/{measure}"], color=color, linestyle=style, marker="o", markersize=4, label=part)
        axes.set_xlabel("epoch", fontsize=11, color=INK)
        axes.set_ylabel(unit, fontsize=11, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=11, loc="lower right" if measure == "accuracy" else "upper right")
    return drawn
