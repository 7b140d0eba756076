"""Figures of why an answer was given: maps of what speaks for a class, and checks of the maps."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.attribution import SHARES
from filterlab.visualization.strongest import canvas, place, shaded
from filterlab.visualization.style import FAINT, INK, MARGIN, MUTED, SIGNED, panel, sheet

COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # Okabe and Ito's, as in style


@dataclass(frozen=True)
class Cell:
    """image: (C, H, W) uint8; label: the class that the maps are of, and how sure the network is; maps: by method, (H, W)."""

    image: NDArray[np.uint8]
    label: str
    maps: dict[str, NDArray[np.floating]]


def draw_explained(cells: list[Cell], *, title: str, subject: str) -> Figure:
    """Each image beside its maps, in two columns of rows; each map on its own scale about 0."""
    names = [*cells[0].maps] if cells else []
    tile, gap, words = 0.82, 0.07, 0.24
    step = (1 + len(names)) * (tile + gap) + 0.5
    rows = -(-len(cells) // 2)
    drawn = sheet(
        title,
        caption=f"{subject}. Red: speaks for the class above, blue: against it",
        width=max(2 * step + 2 * MARGIN, 10),
        height=rows * (tile + words + 0.1) + 0.7,
    )
    axes = canvas(drawn, bottom=0.1)
    top = axes.get_ylim()[1]
    for number, cell in enumerate(cells):
        row, column = divmod(number, 2)
        left, at = MARGIN + column * step, top - 0.5 - row * (tile + words + 0.1) - words
        axes.text(left, at + 0.04, cell.label, fontsize=10, weight="bold", color=INK, va="bottom")
        place(axes, shaded(cell.image[None].astype(np.float32))[0], left=left, top=at, box=(tile, tile))
        for order, (name, values) in enumerate(cell.maps.items(), start=1):
            limit = float(np.abs(values).max()) or 1.0
            place(axes, values, left=left + order * (tile + gap), top=at, box=(tile, tile), limit=limit, cmap=SIGNED)
            if row == 0:
                x = left + order * (tile + gap)
                axes.text(x, top - 0.45, name.replace(" ", "\n", 1), fontsize=9, color=MUTED, va="bottom", linespacing=1.1)
    if not cells:
        axes.text(MARGIN, top - 0.3, "There are none.", fontsize=12, color=INK)
    return drawn


def draw_checks(
    curves: dict[str, dict[str, NDArray[np.floating]]], sanity: dict[str, dict[str, float]], *, images: int, subject: str
) -> Figure:
    """Deletion and insertion by method, "random" among them; and how alike the maps stay, by method and layer."""
    drawn = sheet(
        "Do the maps show what the network looks at?",
        caption=f"{subject}. {images} validation images. Left: a good map is far below the random one, middle: far above; right: "
        "a map that is about the network changes with its weights",
        width=13.5,
        height=4.9,
    )
    across = drawn.get_size_inches()[0]
    step = (across - 2 * MARGIN) / 3
    panels = [panel(drawn, left=MARGIN + 0.45 + k * step, bottom=1.45, width=step - 0.8, height=3.0) for k in range(3)]
    colors = dict(zip((name for name in curves if name != "random"), COLORS, strict=False)) | {"random": MUTED}
    for axes, which, words in zip(panels, ("deletion", "insertion"), ("pixels deleted", "pixels inserted"), strict=False):
        for name, found in curves.items():
            style = "--" if name == "random" else "-"
            axes.plot(SHARES, found[which], style, color=colors[name], linewidth=2, label=name)
        axes.set_title(f"probability of the class, {words}", fontsize=11, color=INK, loc="left")
        axes.set_xlabel("share of the pixels, the highest first", fontsize=10, color=INK)
        axes.set_ylim(0, 1.03)
        axes.set_xlim(0, 1)
    for name, by_layer in sanity.items():
        panels[2].plot(range(1 + len(by_layer)), [1.0, *by_layer.values()], "o-", color=colors[name], label=name)
    layers = [*next(iter(sanity.values()), {})]
    panels[2].set_xticks(range(1 + len(layers)), ["none", *layers], fontsize=9, color=INK, rotation=40, ha="right")
    panels[2].axhline(0, color=FAINT, linewidth=1)
    panels[2].set_ylim(-0.25, 1.03)
    panels[2].set_title("likeness to the map, weights shuffled down to", fontsize=11, color=INK, loc="left")
    panels[0].legend(frameon=False, fontsize=10, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=5, borderaxespad=0)
    return drawn
