"""Bring the data set's files to data/raw, verified; a user's own images are read where they lie."""

import sys
from pathlib import Path

from filterlab.config import resolved
from filterlab.data import aside, progress, sources


def run(root: Path) -> None:
    """Write data/raw/<folder>/raw/; unfinished downloads stay in data/partial, other data sets go to data/sets.

    Raises DataError, UnreachableError.
    """
    data, raw = resolved.load(root).data, root / "data/raw"
    aside.put_aside(raw, keep=data.folder, root=root)
    aside.bring_back(data, raw, root)
    with progress.on(sys.stderr) as watched:
        sources.download(data, raw=raw, partial=root / "data/partial", progress=watched)
