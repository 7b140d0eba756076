"""First-layer filters of a sweep's settings, a row a setting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.study.scale import shortened
from filterlab.study.table import describe_selection
from filterlab.visualization.filters import strongest
from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import HEADER, INK, MARGIN, MUTED, SIGNED, bare, panel, sheet, size

SETTINGS = 12
TILES = 16  # a row
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class _Row:
    """tiles: (T, H, W), the largest weight of the setting at 1 or -1; about: what they are."""

    name: str
    outcome: str
    about: str
    tiles: NDArray[np.floating]


def draw_filters(
    settings: Sequence[tuple[str, str, Weights]], *, heading: str, image_shape: tuple[int, int, int], total: int, subject: str
) -> Figure:
    """The first-layer weights of each setting's best training, each on its own scale symmetric about 0.

    settings: best first, name, what came out, and weights: a convolution's (K, C, H, W), or a dense layer's on the image,
    (K, D), laid out as the image. The first 12 are drawn, of each the filters with the largest weights; a filter's channels
    lie side by side, because their mean would cancel what it combines. image_shape: (C, H, W) with C * H * W = D.
    heading: of the names; total: how many settings the sweep has.
    """
    rows = [_row(shortened(name, limit=40), word, weights, image_shape) for name, word, weights in settings[:SETTINGS]]
    tile, pitch, below = 0.62, 0.84, 0.4  # inches; `below`: for the scale
    above = 0.24 if heading else 0.0
    heading = shortened(heading, limit=44)
    words = 0.25 + max(0.078 * len(heading), *(0.102 * len(row.name) for row in rows), *(0.08 * len(row.about) for row in rows))
    across = max(len(row.tiles) for row in rows) * tile * 9 / 8
    drawn = sheet(
        "What the settings learned to look for",
        caption=f"{subject}. {describe_selection(len(rows), total)}: strongest first-layer filters of each one's best training",
        width=words + across + 2 * MARGIN,
        height=above + len(rows) * pitch + below + MARGIN,
    )
    wide, tall = drawn.get_size_inches()
    drawn.text(MARGIN / wide, 1 - (HEADER + 0.03) / tall, heading, fontsize=9.5, color=MUTED, va="center")
    for place, row in enumerate(rows):
        top = tall - HEADER - above - place * pitch
        drawn.text(MARGIN / wide, (top - 0.09) / tall, row.name, fontsize=11, weight="bold", color=INK, va="center")
        drawn.text(MARGIN / wide, (top - 0.305) / tall, row.outcome, fontsize=10.5, color=INK, va="center")
        drawn.text(MARGIN / wide, (top - 0.52) / tall, row.about, fontsize=9.5, color=MUTED, va="center")
        laid = mosaic(row.tiles, columns=len(row.tiles))
        inch = tile / (max(laid.pitch) - laid.gap)
        width, height = laid.pixels.shape[1] * inch, laid.pixels.shape[0] * inch
        axes = panel(drawn, left=MARGIN + words, bottom=top - (tile + height) / 2, width=width, height=height)
        bare(axes)
        image = axes.imshow(laid.pixels, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    scale = panel(drawn, left=MARGIN + words, bottom=MARGIN + 0.1, width=2.4, height=0.12)
    bar = drawn.colorbar(image, cax=scale, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([-1, 0, 1], labels=["\N{MINUS SIGN}", "0", "+"])
    bar.ax.tick_params(labelsize=10, colors=MUTED, length=3)
    scale.annotate(
        "weight, on each row's own scale (±)", (1, 0.5), (8, 0), textcoords="offset points", fontsize=10, color=MUTED, va="center"
    )
    return drawn


def _row(name: str, outcome: str, weights: Weights, image_shape: tuple[int, int, int]) -> _Row:
    filters = weights if weights.ndim == 4 else weights.reshape(-1, *image_shape)
    n, c, *side = filters.shape
    kept = strongest(filters, limit=max(1, TILES // c))
    limit = float(np.abs(filters).max()) or 1.0
    what = "filters" if weights.ndim == 4 else "units"
    channels = f" on {c} channels" if c > 1 else ""
    about = f"{len(kept)} of {n} {what}, {size(*side)}{channels}, ±{limit:.2g}"
    return _Row(name, outcome, about, filters[kept].reshape(-1, *side) / limit)
