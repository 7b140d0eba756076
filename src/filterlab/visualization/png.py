"""Figures as PNG files."""

import io
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from filterlab import files


def write(figure: Figure, path: Path) -> None:
    """A PNG, whole or not at all, the same bytes on every rerun. Raises DataError naming `path` and the reason."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})  # matplotlib would write its version
    files.write(path, content.getvalue())


def write_all(figures: Mapping[str, Figure], folder: Path) -> dict[str, Path]:
    """Each figure as `folder`/<key>.png; gives the files by key. Raises DataError as `write` does."""
    paths = {key: folder / f"{key}.png" for key in figures}
    for key, figure in figures.items():
        write(figure, paths[key])
    return paths
