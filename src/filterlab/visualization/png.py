"""Figures on their way to the disk."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from filterlab import files


def write(figure: Figure, path: Path) -> None:
    """A PNG, whole or not at all, the same bytes on every rerun. Raises DataError naming `path` and the reason."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})  # matplotlib would write its version
    files.write(path, content.getvalue())
