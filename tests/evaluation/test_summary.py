import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from filterlab.errors import UserError
from filterlab.evaluation import summary
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
    assert numbers["macro"]["f1"] == pytest.approx(f1_score(labels, logits.argmax(1), labels=range(3), average="macro"))
    assert "per_class" not in numbers, "each number would be a column of `dvc exp show`, however many classes there are"
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "accuracy",
            0.5,
            "METRICS has 'accuracy', expected letters, digits and _, and another name than data, examples, errors, acc",
        ),
        ("loss", 0.5, "METRICS has 'loss', expected"),
        ("macro", 0.5, "METRICS has 'macro', expected"),
        ("top@2", 0.5, "METRICS has 'top@2', expected"),
        ("mine", float("nan"), "the metric mine is nan, expected a finite number"),
        ("mine", float("inf"), "the metric mine is inf, expected a finite number"),
        ("mine", None, "the metric mine is None, expected a finite number"),
        ("mine", np.zeros((2, 2)), "the metric mine is array([[0., 0.], [0., 0.]]), expected a finite number"),
    ],
)
def test_a_metric_that_is_none(monkeypatch: pytest.MonkeyPatch, name: str, value: object, expected: str) -> None:
    """Of one that is added; a built-in number is not replaced."""
    monkeypatch.setitem(summary.METRICS, name, lambda evaluation: value)
    evaluation = evaluate(np.eye(4, dtype=np.float32), np.arange(4), classes=CLASSES, data_name="clothes")
    with pytest.raises(UserError) as raised:
        evaluation.numbers()
    assert str(raised.value).startswith(expected) and "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), 0.5])
def test_any_number_is_a_metric(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setitem(summary.METRICS, "mine", lambda evaluation: value)
    numbers = evaluate(np.eye(4, dtype=np.float32), np.arange(4), classes=CLASSES, data_name="clothes").numbers()
    assert json.loads(json.dumps(numbers))["mine"] == 0.5
    assert [*numbers][-4:] == ["loss", "ece", "mine", "macro"]
