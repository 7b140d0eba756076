"""Figures as PNG files."""

import base64
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color, to_rgba_array
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from filterlab import files
from filterlab.errors import UserError
from filterlab.visualization.style import FAINT, INK, MUTED

SMALL = 72  # dots per inch
TILES = "tiles"
SOFTWARE = "Software"  # a keyword of the PNG specification
INKS = (255 * to_rgba_array([INK, MUTED, FAINT])).round().astype(np.uint8)


def write(figure: Figure, path: Path, *, small: bool = False, by: str = "") -> None:
    """A PNG, whole or not at all, the same bytes on every rerun. Raises DataError naming `path` and the reason.

    Of a figure with images in it, where these are is in the file's text TILES: a page turns all but them around in the dark.

    Args:
        small: in few pixels and 128 colors, a quarter of the size.
        by: what made it, as the file's text SOFTWARE; not of a small one.
    """
    content = io.BytesIO()
    if small:
        figure.savefig(content, format="png", dpi=SMALL)
        with Image.open(content) as drawn:
            palette = drawn.convert("RGB").quantize(128, method=Image.Quantize.MAXCOVERAGE)
        content = io.BytesIO()
        palette.save(content, "png", optimize=True)
    else:
        flat, tiles = drawn_on_white(figure)
        text = PngInfo()
        if any(axes.images for axes in figure.axes):
            mask = io.BytesIO()
            tiles.save(mask, "png", optimize=True)
            text.add_text(TILES, base64.b64encode(mask.getvalue()).decode("ascii"))
        if by:
            text.add_text(SOFTWARE, by)
        flat.save(content, "png", pnginfo=text, dpi=(figure.dpi, figure.dpi))
    files.write(path, content.getvalue())


def drawn_on_white(figure: Figure) -> tuple[Image.Image, Image.Image]:
    """The figure, and a mask that is 0 where paper shows through, or ink is on it: drawn without paper, and laid on white."""
    patches = [figure.patch, *(axes.patch for axes in figure.axes)]
    white = [patch for patch in patches if same_color(patch.get_facecolor(), "white")]
    for patch in white:
        patch.set_alpha(0)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for patch in white:
        patch.set_alpha(None)
    pixels = np.asarray(canvas.buffer_rgba())
    whole = Image.fromarray(pixels)
    ink = np.isin(pixels.view(np.uint32)[..., 0], [color.view(np.uint32)[0] for color in INKS])
    tiles = Image.fromarray((pixels[..., 3] == 255) & ~ink)
    return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB"), tiles


def write_all(figures: Mapping[str, Figure], folder: Path) -> dict[str, Path]:
    """Each figure as `folder`/<key>.png; gives the files by key. Raises DataError as `write` does."""
    paths = {key: folder / f"{key}.png" for key in figures}
    for key, figure in figures.items():
        write(figure, paths[key])
    return paths


def collect(draws: Iterable[Callable[[Any], object]], subject: Any, *, folders: Collection[str]) -> dict[str, Figure]:
    """The figures that the functions yield for `subject`, by their keys, each below one of the folders, e.g. "training/mine".

    Raises UserError, which names the function: it yields no figures with such keys, or a key that is in use.
    """
    found: dict[str, Figure] = {}
    for draw in draws:
        where, drawn = f"{draw.__module__}.{draw.__qualname__}", draw(subject)
        expected = f'it has to yield each figure with its key, e.g. `yield "{min(folders)}/mine", figure`'
        if not isinstance(drawn, Iterator):
            raise UserError(f"{where} returns {type(drawn).__name__}: {expected}")
        for given in drawn:
            if not (isinstance(given, tuple) and [type(part) for part in given] == [str, Figure]):
                raise UserError(f"{where} yields {type(given).__name__}: {expected}")
            key, figure = given
            if not re.fullmatch(rf"({'|'.join(folders)})/\w[\w.-]*", key):
                raise UserError(
                    f"{where} yields the key {key!r}, expected {' or '.join(f'{name}/NAME' for name in folders)}: "
                    "no other figure is kept"
                )
            if key in found:
                raise UserError(f"{where} yields the key {key!r}, which another figure has: choose another")
            found[key] = figure
    return found
