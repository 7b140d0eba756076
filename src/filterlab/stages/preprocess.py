"""Turn the raw files into arrays: training and validation for the stages that learn, the test set for evaluate alone."""

from pathlib import Path

from filterlab.config import compose
from filterlab.data.prepare import prepare


def run(root: Path) -> None:
    """Write data/processed/train/ and data/processed/test/. Raises DataError."""
    prepared = prepare(compose.load(root).data, raw=root / "data/raw")
    train, test = root / "data/processed/train", root / "data/processed/test"
    prepared.train.save(train, "train")
    prepared.validation.save(train, "validation")
    prepared.train_card.save(train / "card.json")
    prepared.test.save(test, "test")
    prepared.test_card.save(test / "card.json")
