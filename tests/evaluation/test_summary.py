import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from filterlab.evaluation.intervals import wilson
from filterlab.evaluation.summary import evaluate

CLASSES = ["coat", "bag", "boot", "never seen"]


def test_numbers_count_every_example() -> None:
    draw = np.random.default_rng(1)
    logits, labels = draw.normal(size=(1003, 4)).astype(np.float32), draw.integers(0, 3, 1003)
    numbers = evaluate(logits, labels, classes=CLASSES, data_name="clothes").numbers()
    right = int((logits.argmax(1) == labels).sum())
    assert numbers["examples"] == 1003 and numbers["errors"] == 1003 - right and numbers["accuracy"] == right / 1003
    assert (numbers["accuracy_low"], numbers["accuracy_high"]) == wilson(right, 1003, confidence=0.95)
    assert numbers["macro"]["f1"] == pytest.approx(f1_score(labels, logits.argmax(1), labels=range(4), average="macro"))
    assert "per_class" not in numbers, "each number would be a column of `dvc exp show`, however many classes there are"
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
