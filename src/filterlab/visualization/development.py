"""How a layer's filters came to be: how far they went by epoch, which are twins, and which look like edges, bars or blobs."""

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet

TWINS = 0.95  # cosine of two filters from which on they count as one
KINDS = ["edge", "bar", "blob"]


def drift(history: NDArray[np.floating]) -> NDArray[np.float64]:
    """(1 + E, K): how far each filter is from its start, as a share of the start's length. history: (1 + E, K, ...)."""
    flat = history.reshape(*history.shape[:2], -1).astype(np.float64)
    lengths = np.linalg.norm(flat[0], axis=1)
    return np.linalg.norm(flat - flat[0], axis=2) / np.where(lengths > 0, lengths, 1)


def twins(weights: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(K,): which filters (K, ...) are like an earlier one, or its negative, by the cosine; a filter of zeros is like none.

    In pieces of rows, so that the cosines of many filters are never held all at once.
    """
    flat = weights.reshape(len(weights), -1).astype(np.float32)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.where(lengths > 0, lengths, 1)
    found = [
        np.tril(np.abs(unit[first : first + 256] @ unit.T) >= TWINS, k=first - 1).any(axis=1)
        for first in range(0, len(unit), 256)
    ]
    return np.concatenate(found)


def templates(height: int, width: int) -> dict[str, NDArray[np.float64]]:
    """Of each of KINDS some patterns (n, height, width) of mean 0 and length 1: edges and bars in 12 directions and at three
    distances from the middle, blobs of two sizes at nine places.
    """
    rows, columns = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    side = min(height, width)
    edges, bars, blobs = [], [], []
    for angle in np.arange(12) * math.pi / 12:
        across = columns * math.cos(angle) + rows * math.sin(angle)
        for offset in (-side / 5, 0.0, side / 5):
            edges.append(np.tanh(2 * (across - offset)))
            bars.append(np.exp(-(((across - offset) / (side / 6)) ** 2)))
    for down in (-height / 4, 0.0, height / 4):
        for right in (-width / 4, 0.0, width / 4):
            distance = (rows - down) ** 2 + (columns - right) ** 2
            blobs += [np.exp(-distance / (2 * size**2)) for size in (side / 6, side / 4)]
    return {kind: centered(np.stack(found)) for kind, found in zip(KINDS, (edges, bars, blobs), strict=True)}


def centered(patterns: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, h, w) of mean 0 and length 1; of equal pixels, zeros."""
    moved = patterns - patterns.mean(axis=(1, 2), keepdims=True)
    lengths = np.linalg.norm(moved, axis=(1, 2), keepdims=True)
    return moved / np.where(lengths > 1e-12, lengths, 1)


def likeness(weights: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """By kind (K,): each filter's highest correlation with a template, of either sign. Of (K, C, h, w), the mean over C."""
    filters = centered(weights.mean(axis=1).astype(np.float64))
    return {
        kind: np.abs(np.tensordot(filters, patterns, axes=([1, 2], [1, 2]))).max(axis=1)
        for kind, patterns in templates(*weights.shape[2:]).items()
    }


def draw_development(
    moved: NDArray[np.floating],
    trained: dict[str, NDArray[np.floating]],
    untrained: dict[str, NDArray[np.floating]],
    *,
    chosen: int,
    name: str,
    subject: str,
) -> Figure:
    """Left, the way of each filter by epoch, moved (1 + E, K); right, the likeness of trained and untrained filters."""
    drawn = sheet(
        f"How far the filters of {name} went, and where they arrived",
        caption=f"{subject}. {moved.shape[1]} filters; the untrained ones are those that training began with",
        width=11.5,
        height=4.2,
    )
    axes = panel(drawn, left=MARGIN + 0.5, bottom=0.75, width=4.6, height=3.2)
    epochs = np.arange(len(moved))
    axes.plot(epochs, moved, color=FAINT, linewidth=0.8)
    axes.plot(epochs, moved.mean(axis=1), color=BLUE, linewidth=2.5)
    axes.axvline(chosen, color=MUTED, linewidth=0.8, linestyle=":")
    axes.text(epochs[-1], moved[-1].mean(), " mean", color=BLUE, fontsize=10, va="center", clip_on=False)
    axes.set_xlabel("epoch (dotted: kept)", fontsize=11, color=INK)
    axes.set_ylabel("distance from the start / its length", fontsize=11, color=INK)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, max(1, epochs[-1]))
    axes = panel(drawn, left=MARGIN + 6.4, bottom=0.75, width=4.4, height=3.2)
    for place, kind in enumerate(KINDS):
        for found, color, side, label in ((untrained, ORANGE, -0.16, "untrained"), (trained, BLUE, 0.16, "trained")):
            values = np.sort(found[kind])
            spread = (
                np.arange(len(values)) % 5 - 2
            ) * 0.03  # so that equal values don't hide each other; nothing drawn at random
            axes.plot(
                place + side + spread, values, "o", color=color, markersize=4, alpha=0.5, label=label if place == 0 else None
            )
            axes.plot([place + side - 0.11, place + side + 0.11], [values.mean()] * 2, color=color, linewidth=2.5)
    axes.set_xticks(range(len(KINDS)), KINDS, fontsize=11, color=INK)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("likeness (highest correlation)", fontsize=11, color=INK)
    axes.legend(frameon=False, fontsize=10, loc="lower right", ncols=2)
    return drawn
