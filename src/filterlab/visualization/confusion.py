"""Confusion matrix."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.style import FAINT, INK, LETTER, MARGIN, bare, color_scale, letters, panel, sheet, spaced


def draw_confusion(confusion: NDArray[np.int64], *, classes: list[str], subject: str) -> Figure:
    """confusion: (K, K) counts, row = actual. Colored are the errors alone: beside the diagonal they would all look like zero.
    Up to 20 classes each cell is numbered."""
    k = len(classes)
    right, total = int(np.trace(confusion)), int(confusion.sum())
    diagonal = np.eye(k, dtype=bool)
    errors = np.where(diagonal | (confusion == 0), np.nan, confusion)
    room = 0.5 + LETTER * max(map(letters, classes))  # inches, for the names
    side = max(5.6, 0.58 * min(k, 20))
    drawn = sheet(
        f"Confusion matrix: {total - right} mistakes in {total} images",
        caption=f"{subject}. Gray: right; colored: wrong",
        width=side + room + 2 * MARGIN + 0.9,
        height=side + room + MARGIN + 0.1,
    )
    axes = panel(drawn, left=MARGIN + room, bottom=MARGIN + room, width=side, height=side)
    bare(axes)
    most = max(1, int(np.where(diagonal, 0, confusion).max()))
    image = axes.imshow(errors, cmap="Oranges", vmin=0, vmax=most, interpolation="nearest")
    axes.imshow(np.where(diagonal, 1.0, np.nan), cmap=ListedColormap([FAINT]), interpolation="nearest")
    if k <= 20:
        axes.hlines(np.arange(k + 1) - 0.5, -0.5, k - 0.5, color=FAINT, linewidth=0.5)
        axes.vlines(np.arange(k + 1) - 0.5, -0.5, k - 0.5, color=FAINT, linewidth=0.5)
    labels = spaced(k, limit=25)
    long = max(map(len, classes)) > 3
    axes.set_xticks(labels, [classes[i] for i in labels], fontsize=10.5, rotation=90 if long else 0)
    axes.set_yticks(labels, [classes[i] for i in labels], fontsize=10.5)
    axes.set_xlabel("predicted", fontsize=12, color=INK)
    axes.set_ylabel("actual", fontsize=12, color=INK)
    if k <= 20:
        for i, j in np.argwhere(confusion > 0):
            dark = i != j and confusion[i, j] > 0.6 * most
            axes.text(j, i, str(confusion[i, j]), ha="center", va="center", fontsize=10, color="white" if dark else INK)
    color_scale(drawn, image, left=MARGIN + room + side + 0.2, bottom=MARGIN + room + side - 3, height=3, label="mistakes")
    return drawn
