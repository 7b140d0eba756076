"""Bring the data set's files to data/raw, verified."""

import sys
from pathlib import Path

from filterlab.config import resolved
from filterlab.data import progress, sources


def run(root: Path) -> None:
    """Write data/raw/<folder>/raw/; unfinished downloads stay in data/partial. Raises DataError, UnreachableError."""
    data = resolved.load(root).data
    with progress.on(sys.stderr) as watched:
        sources.download(data, raw=root / "data/raw", partial=root / "data/partial", progress=watched)
