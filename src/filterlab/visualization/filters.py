"""The first layer's weights as pictures: filters as mosaics, dense units as templates; and by epoch."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.mosaic import Mosaic, mosaic
from filterlab.visualization.style import BLUE, INK, MARGIN, SIGNED, bare, color_scale, panel, sheet, size, spaced

Weights = NDArray[np.float32]


def strongest(weights: Weights, *, limit: int) -> NDArray[np.int64]:
    """The `limit` entries of the first axis with the greatest L2 norm, in their own order."""
    norms = np.linalg.norm(weights.reshape(len(weights), -1), axis=1)
    return np.sort(np.argsort(-norms, kind="stable")[:limit])


def _chosen(kept: int, n: int, what: str) -> str:
    return f"all {n} {what}" if kept == n else f"the {kept} of {n} {what} with the largest weights"


def _place(figure: Figure, laid: Mosaic, *, weights: Weights, left: float, bottom: float, width: float, height: float) -> Axes:
    """The mosaic on a scale symmetric about 0 that all its tiles share."""
    axes = panel(figure, left=left, bottom=bottom, width=width, height=height)
    bare(axes)
    limit = float(np.abs(weights).max()) or 1.0
    image = axes.imshow(laid.pixels, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto")
    bar = min(height, 3.5)
    color_scale(figure, image, left=left + width + 0.25, bottom=bottom + height - bar, height=bar, label="weight")
    return axes


def _size(laid: Mosaic, tile: float) -> tuple[float, float]:
    """Width and height of a mosaic in inches, when the longer side of a tile is to be `tile` inches."""
    scale = tile / (max(laid.pitch) - laid.gap)
    return laid.pixels.shape[1] * scale, laid.pixels.shape[0] * scale


def layer(weights: Weights, *, shape: tuple[int, int, int], names: list[str], name: str, subject: str) -> Figure:
    """Figure of the first layer's weights: a convolution's as a mosaic of its filters, a dense layer's as templates.

    weights: (K, C, H, W) of a convolution on 1 or 3 channels, (K, D) of a dense layer
    shape: (C, H, W) of an image, with C * H * W = D; names: of the K units, shown where there are at most 10.
    """
    if weights.ndim == 2:
        return templates(weights.reshape(-1, *shape), names=names, name=name, subject=subject)
    if weights.shape[1] == 1:
        return single_channel(weights[:, 0], name=name, subject=subject)
    return colored(weights, name=name, subject=subject)


def single_channel(weights: Weights, *, name: str, subject: str) -> Figure:
    """Mosaic of the filters of a convolution on one channel, e.g. the first on gray images.

    weights: (K, H, W); at most 64 are shown
    """
    shown = strongest(weights, limit=64)
    columns = 8 if len(shown) <= 32 else 12
    laid = mosaic(weights[shown], columns=min(columns, len(shown)))
    width, height = _size(laid, 0.95 if columns == 8 else 0.62)
    figure = sheet(
        f"Filters of {name}: {len(weights)} of {size(*weights.shape[1:])} pixels",
        caption=f"{subject}. Shown: {_chosen(len(shown), len(weights), 'filters')}, on one scale",
        width=width + 2 * MARGIN + 1.2,
        height=height + MARGIN,
    )
    _place(figure, laid, weights=weights, left=MARGIN, bottom=MARGIN, width=width, height=height)
    return figure


def colors(weights: Weights, *, axis: int) -> NDArray[np.floating]:
    """Weights on red, green and blue as colours, which become the last axis: 0 is middle gray, the largest of all is full."""
    limit = float(np.abs(weights).max()) or 1.0
    return np.moveaxis(0.5 + weights / (2 * limit), axis, -1)


def colored(weights: Weights, *, name: str, subject: str) -> Figure:
    """The filters of a convolution on red, green and blue: each as a patch of colour, and beside it channel by channel.

    weights: (K, 3, H, W); at most 24 are shown, in two columns of rows
    """
    shown = strongest(weights, limit=24)
    n, _, *side = weights.shape
    halves = [half for half in np.array_split(shown, 2 if len(shown) > 8 else 1) if len(half)]
    patches = [mosaic(colors(weights, axis=1)[half], columns=1) for half in halves]
    parts = [mosaic(weights[half].reshape(-1, *side), columns=3) for half in halves]
    tile, gap = 0.6, 0.35
    (one, height), (three, _) = _size(patches[0], tile), _size(parts[0], tile)
    step = one + three + 2 * gap + 0.3
    figure = sheet(
        f"Filters of {name}: {n} of {size(*side)} pixels, on red, green and blue",
        caption=f"{subject}. Shown: {_chosen(len(shown), n, 'filters')}, on one scale. In colour (0: middle gray), then R, G, B",
        width=len(halves) * step + 2 * MARGIN + 1.2,
        height=height + MARGIN + 0.3,
    )
    limit = float(np.abs(weights).max()) or 1.0
    for place, (half, patch, laid) in enumerate(zip(halves, patches, parts, strict=True)):
        left, tall = MARGIN + 0.3 + place * step, _size(patch, tile)[1]
        bottom = MARGIN + height - tall
        axes = panel(figure, left=left, bottom=bottom, width=one, height=tall)
        bare(axes)
        axes.imshow(patch.pixels, interpolation="nearest", aspect="auto")
        axes.set_yticks(patch.row_centers, [str(index) for index in half], fontsize=9)
        axes = panel(figure, left=left + one + gap / 2, bottom=bottom, width=three, height=tall)
        bare(axes)
        image = axes.imshow(laid.pixels, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_xticks(laid.column_centers, ["R", "G", "B"], fontsize=9)
    bar = min(height, 3.5)
    right = MARGIN + 0.3 + len(halves) * step - gap
    color_scale(figure, image, left=right, bottom=MARGIN + height - bar, height=bar, label="weight")
    return figure


def templates(weights: Weights, *, names: list[str], name: str, subject: str) -> Figure:
    """Templates of a dense layer on the image: each unit's weights, laid out as the image that they multiply.

    weights: (K, C, H, W); shown is the mean over channels, of at most 40 units
    names: what the K units are called
    """
    images = weights.mean(axis=1)
    shown = strongest(images, limit=40)
    columns = min(5 if len(shown) <= 10 else 8, len(shown))
    laid = mosaic(images[shown], columns=columns)
    width, height = _size(laid, 1.5 if columns == 5 else 0.95)
    labelled = 0.2 if len(shown) <= 10 else 0.0  # inches above the first row; between rows the gap has room for a name
    means = "Red asks for light, blue for dark" if weights.shape[1] == 1 else "Mean over R, G and B"
    figure = sheet(
        f"Templates of {name}: what each of its {len(weights)} units multiplies the image with",
        caption=f"{subject}. {means}. Shown: {_chosen(len(shown), len(weights), 'units')}, on one scale",
        width=width + 2 * MARGIN + 1.2,
        height=height + labelled + MARGIN,
    )
    axes = _place(figure, laid, weights=images, left=MARGIN, bottom=MARGIN, width=width, height=height)
    if labelled:
        for place, index in enumerate(shown):
            row, column = divmod(place, columns)
            above = row * laid.pitch[0] - laid.gap / 2
            axes.text(laid.column_centers[column], above, names[index], fontsize=10.5, weight="bold", ha="center", va="center")
    return figure


def by_epoch(history: Weights, *, name: str, chosen: int, subject: str) -> Figure:
    """The first layer's weights by epoch: a row a unit, a column an epoch; on three channels as colours, else their mean.

    history: (E + 1, K, C, H, W), before training (index 0) and after each epoch; shown are at most 12 units and 14 epochs
    chosen: the epoch whose weights are kept
    """
    epochs = sorted({*spaced(len(history), limit=13), chosen})
    in_color = history.shape[2] == 3
    units = strongest(history[-1] if in_color else history[-1].mean(axis=1), limit=12)
    shown_units = _chosen(len(units), history.shape[1], "filters")
    shown = (colors(history, axis=2) if in_color else history.mean(axis=2))[epochs][:, units]  # (epochs, units, H, W[, 3])
    laid = mosaic(shown.swapaxes(0, 1).reshape(-1, *shown.shape[2:]), columns=len(epochs))
    width, height = _size(laid, 0.52)
    figure = sheet(
        f"How {name} came to see: its filters by epoch",
        caption=f"{subject}. Shown: {shown_units}, on one scale{', middle gray is 0' * in_color}; epoch 0 is before training",
        width=width + 2 * MARGIN + 1.7,
        height=height + 2 * MARGIN + 0.25,
    )
    if in_color:
        axes = panel(figure, left=MARGIN + 0.5, bottom=MARGIN + 0.5, width=width, height=height)
        bare(axes)
        axes.imshow(laid.pixels, interpolation="nearest", aspect="auto")
    else:
        axes = _place(figure, laid, weights=shown, left=MARGIN + 0.5, bottom=MARGIN + 0.5, width=width, height=height)
    named = [f"{epoch}\nkept" if epoch == chosen else str(epoch) for epoch in epochs]
    labels = axes.set_xticks(laid.column_centers, named, fontsize=10)
    labels[epochs.index(chosen)].label1.set(color=BLUE, weight="bold")
    axes.set_yticks(laid.row_centers, [str(unit) for unit in units], fontsize=9)
    axes.set_xlabel("epoch", fontsize=11, color=INK)
    axes.set_ylabel("filter", fontsize=11, color=INK)
    return figure
