"""Turn the raw files, or a user's own images, into arrays: training and validation for the stages that learn, the test apart."""

import sys
from pathlib import Path

from filterlab.config import resolved, schema
from filterlab.data import arrays, progress
from filterlab.data.own.write import write
from filterlab.data.prepare import prepare


def run(root: Path) -> None:
    """Write data/processed/train/ and data/processed/test/. Raises DataError."""
    data, processed = resolved.load(root).data, root / "data/processed"
    if isinstance(data, schema.Own):
        with progress.on(sys.stderr, counting="images") as watched:
            write(data, root=root, processed=processed, scratch=root / "data/partial", progress=watched)
        return
    prepared = prepare(data, raw=root / "data/raw")
    arrays.save(processed / "train", {"train": prepared.train, "validation": prepared.validation}, prepared.train_card)
    arrays.save(processed / "test", {"test": prepared.test}, prepared.test_card)
