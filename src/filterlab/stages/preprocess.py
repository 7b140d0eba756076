"""Turn the raw files into arrays: training and validation for the stages that learn, the test set for evaluate alone."""

from pathlib import Path

from filterlab.config import resolved
from filterlab.data import arrays
from filterlab.data.prepare import prepare


def run(root: Path) -> None:
    """Write data/processed/train/ and data/processed/test/. Raises DataError."""
    prepared = prepare(resolved.load(root).data, raw=root / "data/raw")
    train, test = root / "data/processed/train", root / "data/processed/test"
    arrays.save(train, {"train": prepared.train, "validation": prepared.validation}, prepared.train_card)
    arrays.save(test, {"test": prepared.test}, prepared.test_card)
