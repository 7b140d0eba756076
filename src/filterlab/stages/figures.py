"""Figures on their way to the disk and to the run."""

import io
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from filterlab import files, tracking


def write(figures: Mapping[str, Figure], folder: Path, *, run: tracking.NullRun) -> None:
    """Each figure as `folder`/<key>.png, the same bytes on every rerun, and as the run's image under <key>.

    Raises DataError naming the file that could not be written.
    """
    for key, figure in figures.items():
        path = folder / f"{key}.png"
        save(figure, path)
        run.log_image(key, path)


def save(figure: Figure, path: Path) -> None:
    """A PNG, whole or not at all. Raises DataError as `write` does."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})  # matplotlib would write its version
    files.write(path, content.getvalue())
