import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from filterlab.evaluation import metrics

K = 5


def outputs(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    # classes 3 and 4 are rare, so that some are absent or never predicted
    return draw.normal([1, 1, 1, 0, -3], 2, (n, K)).astype(np.float32), draw.choice(K, n, p=[0.4, 0.3, 0.28, 0.01, 0.01])


trials = st.builds(outputs, st.integers(0, 10**6), st.integers(1, 200))


@given(trials)
def test_scores_agree_with_scikit_learn(trial: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = trial
    predicted = logits.argmax(1)
    every = list(range(K))
    confusion = metrics.confusion_matrix(predicted, labels, classes=K)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(labels, predicted, labels=every))
    assert metrics.accuracy(logits, labels) == pytest.approx(reference.accuracy_score(labels, predicted), abs=1e-15)
    expected = reference.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    scores = metrics.class_scores(confusion)
    without = np.array(expected[3]) == 0
    found = np.array([scores.precision, scores.recall, scores.f1, scores.support])
    np.testing.assert_allclose(found[:, ~without], np.array(expected)[:, ~without], atol=1e-15)
    assert np.isnan(found[:3, without]).all(), "a class without examples has no score"
    present = np.unique(labels)
    expected = reference.precision_recall_fscore_support(labels, predicted, labels=present, average="macro", zero_division=0)
    assert [*scores.macro().values()] == pytest.approx(expected[:3], abs=1e-15)
    assert metrics.class_scores(np.diag([3, 0, 2])).macro() == {"precision": 1.0, "recall": 1.0, "f1": 1.0}, "a perfect one"
    loss = reference.log_loss(labels, np.exp(metrics.log_softmax(logits)), labels=every)
    assert metrics.cross_entropy(logits, labels) == pytest.approx(loss, rel=1e-9)


def test_loss_survives_logits_that_overflow() -> None:
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], dtype=np.float32)
    assert metrics.cross_entropy(logits, np.array([0, 0])) == 5000.0


@given(trials, st.sampled_from([1, 2, 10, 15]))
def test_calibration_agrees_with_a_plain_loop(trial: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    logits, labels = trial
    probabilities = np.exp(metrics.log_softmax(logits))
    error, counts = 0.0, []
    for b in range(bins):
        members = [i for i, row in enumerate(probabilities) if b / bins < row.max() <= (b + 1) / bins]
        counts.append(len(members))
        if members:
            right = sum(probabilities[i].argmax() == labels[i] for i in members) / len(members)
            sure = sum(probabilities[i].max() for i in members) / len(members)
            error += len(members) / len(labels) * abs(right - sure)
    found = metrics.reliability(probabilities, labels, bins=bins)
    assert found.count.tolist() == counts
    assert found.calibration_error == pytest.approx(error, abs=1e-12)
    assert np.isnan(found.accuracy[found.count == 0]).all()


def test_bins_hold_their_upper_bound() -> None:
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    assert metrics.reliability(probabilities, np.zeros(3, int), bins=4).count.tolist() == [0, 1, 1, 1]


def test_perfect_calibration_has_no_error() -> None:
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert metrics.reliability(probabilities, np.array([0, 0, 0, 1])).calibration_error == 0.0


def test_surest_mistakes_come_first_and_ties_by_index() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.6, 0.4]])
    assert metrics.surest_mistakes(probabilities, np.array([1, 0, 0, 0, 1])).tolist() == [3, 2, 0, 4]


def test_reference_value_of_two_classes() -> None:
    assert metrics.cross_entropy(np.zeros((3, 2), np.float32), np.array([0, 1, 1])) == pytest.approx(math.log(2))
