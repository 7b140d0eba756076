"""Filters beside what they answer to: weights, the map of one image, and the nine strongest patches."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.filters import Weights, colors, strongest
from filterlab.visualization.gallery import visible
from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import INK, MARGIN, MUTED, SIGNED, bare, letters, panel, sheet, size

OUTSIDE, GROUND = np.array([to_rgb("#b3d4ea"), to_rgb("#8c959f")], dtype=np.float32)  # beyond an image's border; between patches
ROWS = 32  # units of the first layer that are shown at most
BLOCKS = 40  # filters of a deeper layer


def draw_first_layer(
    weights: Weights,
    patches: NDArray[np.float32],
    *,
    image: NDArray[np.uint8],
    maps: NDArray[np.float32] | None,
    names: list[str],
    name: str,
    subject: str,
) -> Figure:
    """A row a unit: its weights, on three channels as colours and of a filter channel by channel too, its map of one image, its
    nine strongest patches; of at most ROWS units, in two columns.

    weights: (K, C, H, W), of a dense layer as templates on the image. patches: (K, k, C, h, w) of `patches.crop`
    image: (C, H, W), and maps: (K, h, w), what the filters make of it; None for a dense layer. names: of the units, if not empty
    """
    shown = strongest(weights, limit=ROWS)
    halves = np.array_split(shown, 2 if len(shown) > 8 else 1)
    best = patches.shape[1]
    tile, gap, rows = 0.5, 0.07, len(halves[0])
    named = 0.3 + 0.09 * max(map(letters, names), default=0)
    in_color = weights.shape[1] == 3
    parts = "RGB" if in_color and maps is not None else ""
    columns = 1 + len(parts) + (maps is not None)
    step = named + (columns + best) * (tile + gap) + 2 * gap + 0.35
    some = f"all {len(weights)}" if len(shown) == len(weights) else f"the {len(shown)} of {len(weights)} with the largest weights"
    seen = "the image" if maps is None else size(*patches.shape[3:])
    drawn = sheet(
        f"What each {'unit' if maps is None else 'filter'} of {name} looks for",
        caption=f"{subject}. Shown: {some}. Weights ({'0: middle gray' if in_color else 'red: above 0'}; one scale for all)"
        f"{', of R, G and B alone (red: above 0)' * bool(parts)}{', its map of the image above' * (maps is not None)}, "
        f"the {best} training patches ({seen}) that it answers most",
        width=len(halves) * step + 2 * MARGIN,
        height=rows * (tile + gap) + (0.75 if maps is not None else 0.25) + MARGIN,
    )
    axes = canvas(drawn, bottom=MARGIN)
    top = axes.get_ylim()[1] - 0.1
    limits = [float(np.abs(values).max()) or 1.0 for values in (weights, 0 if maps is None else maps[shown])]
    colored = colors(weights, axis=1) if in_color else weights.mean(axis=1)
    for half, units in enumerate(halves):
        left = MARGIN + half * step + named
        if maps is not None:
            place(
                axes,
                visible(image[None])[0],
                left=left + (1 + len(parts)) * (tile + gap),
                top=top,
                box=(tile, tile),
                limit=255.0,
                cmap="gray",
            )
        for row, unit in enumerate(units):
            at = top - (row + (maps is not None)) * (tile + gap) - 0.12
            label = names[unit] if names else str(unit)
            axes.text(left - 0.08, at - tile / 2, label, fontsize=9, color=INK, ha="right", va="center")
            place(axes, colored[unit], left=left, top=at, box=(tile, tile), limit=limits[0], cmap=SIGNED)
            for number, part in enumerate(parts, start=1):
                beside = left + number * (tile + gap)
                place(axes, weights[unit, number - 1], left=beside, top=at, box=(tile, tile), limit=limits[0], cmap=SIGNED)
                if not row:
                    axes.text(beside + tile / 2, at + 0.05, part, fontsize=9, color=MUTED, ha="center", va="bottom")
            if maps is not None:
                place(
                    axes,
                    maps[unit],
                    left=left + (1 + len(parts)) * (tile + gap),
                    top=at,
                    box=(tile, tile),
                    limit=limits[1],
                    cmap=SIGNED,
                )
            strip(
                axes,
                patches[unit],
                columns=best,
                left=left + columns * (tile + gap) + gap,
                top=at,
                box=(best * (tile + gap), tile),
            )
    return drawn


def draw_layer(patches: NDArray[np.float32], activations: NDArray[np.float32], *, name: str, subject: str) -> Figure:
    """The nine strongest patches of each filter of a deeper layer, a block a filter; of the BLOCKS with the highest activations.

    patches: (K, k, C, h, w); activations: (K, k)
    """
    n, best = activations.shape
    shown = np.sort(np.argsort(-activations.mean(axis=1), kind="stable")[:BLOCKS])
    across, within = min(8, len(shown)), int(np.ceil(best**0.5))
    block, gap, above = 1.35, 0.2, 0.22
    rows = -(-len(shown) // across)
    some = f"all {n} filters" if len(shown) == n else f"the {len(shown)} of {n} filters with the highest activations"
    drawn = sheet(
        f"What the filters of {name} look for",
        caption=f"{subject}. Shown: {some}; of each the {best} training patches that it answers most, "
        f"as large as what it sees: {size(*patches.shape[3:])}",
        width=across * (block + gap) - gap + 2 * MARGIN,
        height=rows * (block + above + gap) + MARGIN,
    )
    axes = canvas(drawn, bottom=MARGIN)
    top = axes.get_ylim()[1]
    for number, unit in enumerate(shown):
        row, column = divmod(number, across)
        left, at = MARGIN + column * (block + gap), top - row * (block + above + gap) - above
        axes.text(left, at + 0.05, str(unit), fontsize=10, color=MUTED, va="bottom")
        strip(axes, patches[unit], columns=within, left=left, top=at, box=(block, block))
    return drawn


def strip(axes: Axes, patches: NDArray[np.float32], *, columns: int, left: float, top: float, box: tuple[float, float]) -> None:
    """Patches (k, C, h, w) side by side, on a ground without which their white would run into the page's."""
    laid = mosaic(shaded(patches), columns=columns)
    framed = np.pad(laid.pixels, [(laid.gap // 2, laid.gap // 2)] * 2 + [(0, 0)])
    place(axes, np.where(framed[..., 3:] > 0, framed[..., :3], GROUND), left=left, top=top, box=box)


def shaded(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """(k, C, h, w) in 0..255 as colours (k, h, w, 3) in [0, 1]; what lies beyond the image has a colour of its own."""
    three = patches if patches.shape[1] == 3 else np.repeat(patches.mean(axis=1, keepdims=True), 3, axis=1)
    pixels = three.transpose(0, 2, 3, 1) / 255
    return np.where(np.isnan(pixels), OUTSIDE, pixels)


def canvas(figure: Figure, *, bottom: float) -> Axes:
    """Axes over the whole figure below its heading, in inches from the lower left corner, `bottom` above the edge."""
    across, up = figure.get_size_inches()
    axes = panel(figure, left=0, bottom=bottom, width=across, height=up - 1.0 - bottom)
    bare(axes)
    axes.patch.set_visible(False)
    axes.set(xlim=(0, across), ylim=(0, up - 1.0 - bottom))
    return axes


def place(
    axes: Axes,
    pixels: NDArray,
    *,
    left: float,
    top: float,
    box: tuple[float, float],
    limit: float = 1.0,
    cmap: str | None = None,
) -> None:
    """Pixels as large as the box (width, height) allows: colours as they are, values from 0 ("gray") or about 0 up to `limit`."""
    limits = axes.get_xlim(), axes.get_ylim()
    scale = min(box[0] / pixels.shape[1], box[1] / pixels.shape[0])
    extent = (left, left + scale * pixels.shape[1], top - scale * pixels.shape[0], top)
    low = 0.0 if cmap == "gray" else -limit
    axes.imshow(pixels, cmap=cmap, vmin=low, vmax=limit, extent=extent, interpolation="nearest", aspect="auto")
    axes.set(xlim=limits[0], ylim=limits[1])
