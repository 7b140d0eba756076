"""Turn the raw files, or a user's own images, into arrays: training and validation for the stages that learn, the test apart."""

import sys
from pathlib import Path

from filterlab.config import resolved, schema
from filterlab.data import origin, prepare, progress
from filterlab.data.own import state
from filterlab.data.own.write import write


def run(root: Path) -> None:
    """Write data/processed/train/ and data/processed/test/. Raises DataError."""
    data, processed = resolved.load(root).data, root / "data/processed"
    if isinstance(data, schema.Own):
        with progress.on(sys.stderr, counting="images") as watched:
            place = origin.place(data, root)
            write(data, place=place, processed=processed, scratch=root / "data/partial", progress=watched)
        if not data.files:
            state.record(data, processed, root)
    else:
        prepare.save(prepare.prepare(data, raw=root / "data/raw"), processed)
