"""Figures on their way to the disk and to the run."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from filterlab import tracking
from filterlab.visualization import png


def write(figures: Mapping[str, Figure], folder: Path, *, run: tracking.NullRun) -> None:
    """Each figure as `folder`/<key>.png, the same bytes on every rerun, and as the run's image under <key>.

    Raises DataError naming the file that could not be written.
    """
    for key, figure in figures.items():
        path = folder / f"{key}.png"
        png.write(figure, path)
        run.log_image(key, path)
