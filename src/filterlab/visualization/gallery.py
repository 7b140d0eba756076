"""Images side by side: examples of each class, and the most confident mistakes."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import INK, MARGIN, MUTED, bare, panel, sheet


def mistakes(
    images: NDArray[np.uint8], *, predicted: list[str], actual: list[str], sure: NDArray, errors: int, subject: str
) -> Figure:
    """The wrong predictions made with the highest probability, the surest first.

    images: (M, C, H, W) with M <= 32, possibly 0; predicted, actual: M class names; sure: (M,) the predictions' probabilities;
    errors: how many mistakes there are in all.
    """
    shown = f"the {len(images)} of {errors} mistakes it was surest of" if errors > len(images) else f"all {errors} mistakes"
    tile, words = 1.1, 0.46
    pitch = max(tile + 0.25, 0.3 + 0.105 * (max(map(len, predicted), default=0) + 7))  # inches; the words need their room
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
    for place, image in enumerate(gray(images)):
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
    grid = np.full((per_class, len(shown), height, width), np.nan)
    for k in range(len(shown)):
        first = gray(images[np.flatnonzero(labels == k)[:per_class]])
        grid[: len(first), k] = first
    laid = mosaic(grid.reshape(-1, height, width), columns=len(shown))
    across = 0.86 * len(shown)
    down = across * laid.pixels.shape[0] / laid.pixels.shape[1]
    some = f"{len(shown)} of {len(classes)}" if len(classes) > len(shown) else f"{len(classes)}"
    drawn = sheet(
        "What the network learns from",
        caption=f"{subject}. The first {per_class} training images of {some} classes",
        width=across + 2 * MARGIN,
        height=down + MARGIN + 0.3,
    )
    axes = panel(drawn, left=MARGIN, bottom=MARGIN, width=across, height=down)
    bare(axes)
    axes.imshow(laid.pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    size = 11 if max(map(len, shown)) <= 8 else 9
    axes.set_xticks(laid.column_centers, shown, fontsize=size, color=INK)
    return drawn


def gray(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, C, H, W) -> (N, H, W): the mean over the channels, in the pixels' own unit."""
    return images.mean(axis=1)
