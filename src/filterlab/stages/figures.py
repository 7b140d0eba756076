"""Figures on their way to the disk and to the run."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from filterlab import tracking


def write(figures: Mapping[str, Figure], folder: Path, *, run: tracking.NullRun) -> None:
    """Each figure as `folder`/<key>.png, the same bytes on every rerun, and as the run's image under <key>."""
    for key, figure in figures.items():
        path = folder / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})  # matplotlib would write its version
        run.log_image(key, path)
