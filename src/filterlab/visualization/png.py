"""Figures as PNG files."""

import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from filterlab import files
from filterlab.errors import UserError

SMALL = 72  # dots per inch


def write(figure: Figure, path: Path, *, small: bool = False) -> None:
    """A PNG, whole or not at all, the same bytes on every rerun. Raises DataError naming `path` and the reason.

    small: in few pixels and 128 colors, a quarter of the size.
    """
    content = io.BytesIO()
    # matplotlib would write its version
    figure.savefig(content, format="png", dpi=SMALL if small else "figure", metadata={"Software": None})
    if small:
        with Image.open(content) as drawn:
            palette = drawn.convert("RGB").quantize(128, method=Image.Quantize.MAXCOVERAGE)
        content = io.BytesIO()
        palette.save(content, "png", optimize=True)
    files.write(path, content.getvalue())


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
