"""Images side by side: examples of each class, and the most confident mistakes."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import INK, MARGIN, MUTED, bare, letters, panel, sheet

LONG = 10  # letters of a name that columns have room for


def mistakes(
    images: NDArray[np.uint8], *, predicted: list[str], actual: list[str], sure: NDArray, errors: int, subject: str
) -> Figure:
    """The wrong predictions made with the highest probability, the surest first.

    images: (M, C, H, W) with M <= 32, possibly 0; predicted, actual: M class names; sure: (M,) the predictions' probabilities;
    errors: how many mistakes there are in all.
    """
    shown = f"the {len(images)} of {errors} mistakes it was surest of" if errors > len(images) else f"all {errors} mistakes"
    tile, words = 1.1, 0.46
    pitch = max(tile + 0.25, 0.3 + 0.105 * (max(map(letters, predicted), default=0) + 7))  # inches; the words need their room
    columns = int(10.8 // pitch)
    rows = max(1, -(-len(images) // columns))
    drawn = sheet(
        "The surest mistakes" if errors else "No mistakes",
        caption=f"{subject}. "
        + (f"Shown: {shown}. Bold: what it said, and how surely" if errors else "Every image was classified correctly"),
        width=columns * pitch + 2 * MARGIN,
        height=rows * (tile + words) + MARGIN,
    )
    across, up = drawn.get_size_inches()
    axes = panel(drawn, left=0, bottom=0, width=across, height=up)
    bare(axes)
    axes.patch.set_visible(False)
    for place, image in enumerate(visible(images)):
        row, column = divmod(place, columns)
        left, bottom = MARGIN + column * pitch, up - 1.0 - row * (tile + words) - tile
        extent = (left, left + tile, bottom, bottom + tile)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
        axes.text(left, bottom - 0.06, f"{predicted[place]}, {sure[place]:.1%}", fontsize=10, weight="bold", color=INK, va="top")
        axes.text(left, bottom - 0.22, f"is {actual[place]}", fontsize=10, color=MUTED, va="top")
    axes.set(xlim=(0, across), ylim=(0, up))
    return drawn


def examples(images: NDArray[np.uint8], labels: NDArray[np.integer], *, classes: list[str], subject: str) -> Figure:
    """The first 6 images of each class (of the first 12 classes): images (N, C, H, W), labels (N,)."""
    shown, per_class = classes[:12], 6
    height, width = images.shape[2:]
    colors = visible(images[:1]).shape[3:]
    grid = np.full((per_class, len(shown), height, width, *colors), np.nan)
    for k in range(len(shown)):
        first = visible(images[np.flatnonzero(labels == k)[:per_class]])
        grid[: len(first), k] = first
    laid = mosaic(grid.reshape(-1, height, width, *colors), columns=len(shown))
    across = 0.86 * len(shown)
    room = 0.05 * max(map(letters, shown)) if max(map(letters, shown)) > LONG else 0.0  # inches, for slanted names
    down = across * laid.pixels.shape[0] / laid.pixels.shape[1]
    some = f"{len(shown)} of {len(classes)}" if len(classes) > len(shown) else f"{len(classes)}"
    drawn = sheet(
        "What the network learns from",
        caption=f"{subject}. The first {per_class} training images of {some} classes",
        width=across + 2 * MARGIN + room,
        height=down + MARGIN + 0.3 + room,
    )
    axes = panel(drawn, left=MARGIN, bottom=MARGIN, width=across, height=down)
    bare(axes)
    axes.imshow(laid.pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    longest = max(map(letters, shown))
    how: dict[str, Any] = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if longest > LONG else {}
    axes.set_xticks(laid.column_centers, shown, fontsize=11 if longest <= 8 else 9, color=INK, **how)
    return drawn


def visible(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, C, H, W) as it can be shown: three channels in colour, (N, H, W, 3) in [0, 1]; else (N, H, W), their mean in 0..255."""
    return images.transpose(0, 2, 3, 1) / 255 if images.shape[1] == 3 else images.mean(axis=1)
