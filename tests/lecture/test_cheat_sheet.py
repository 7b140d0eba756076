"""Losses, gradients and measures beside torch and scikit-learn; gradient descent beside least squares; the two slips."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, roc_auc_score, root_mean_squared_error

from filterlab.lecture import cheat_sheet
from filterlab.lecture.cheat_sheet import LOSSES, Row, fit
from filterlab.lecture.context import Context, Record

ROOT = Path(__file__).parents[2]
THEIRS = {
    "SSE": lambda z, y: F.mse_loss(z, y, reduction="sum"),
    "sigmoid, SSE": lambda z, y: F.mse_loss(z.sigmoid(), y, reduction="sum"),
    "sigmoid, cross-entropy": lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum"),
    "sigmoid, log p twice": lambda z, y: -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(z)).sum(),
    "softmax, cross-entropy": lambda z, y: F.cross_entropy(z, y, reduction="sum"),
    "softmax of -z": lambda z, y: F.cross_entropy(-z, y, reduction="sum"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_those_of_torch(name: str) -> None:
    draw = np.random.default_rng(1)
    z, y = draw.normal(0, 3, (20, 5)), np.eye(5)[draw.integers(0, 5, 20)]
    tensor = torch.tensor(z, requires_grad=True)
    theirs = THEIRS[name](tensor, torch.tensor(y))
    theirs.backward()
    assert LOSSES[name].value(z, y).sum() == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(LOSSES[name].slope(z, y), tensor.grad, atol=1e-13)


def test_gradients_of_the_corrected_losses_are_p_minus_y() -> None:
    draw = np.random.default_rng(2)
    z, y = draw.normal(0, 3, (20, 5)), np.eye(5)[draw.integers(0, 5, 20)]
    for name in ("sigmoid, cross-entropy", "softmax, cross-entropy"):
        np.testing.assert_array_equal(LOSSES[name].slope(z, y), LOSSES[name].predict(z) - y)
    np.testing.assert_allclose(cheat_sheet.softmax(z), torch.tensor(z).softmax(1), rtol=1e-13)


def test_measures_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    truth = (draw.random((300, 1)) < 0.3).astype(np.float64)
    scores = np.round(0.3 * truth + draw.random((300, 1)), 1) / 1.3  # rounded: with ties
    assert cheat_sheet.auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert cheat_sheet.labels_right(scores, truth) == accuracy_score(truth, scores >= 0.5)
    one_hot, probabilities = np.eye(4)[draw.integers(0, 4, 300)], draw.random((300, 4))
    right = accuracy_score(one_hot.argmax(1), probabilities.argmax(1))
    assert cheat_sheet.classes_right(probabilities, one_hot) == right
    assert cheat_sheet.rmse(probabilities, one_hot) == pytest.approx(
        root_mean_squared_error(one_hot.ravel(), probabilities.ravel())
    )


def test_descent_reaches_least_squares() -> None:
    draw = np.random.default_rng(4)
    x = np.c_[np.ones(800), draw.standard_normal((800, 3))]
    y = x @ draw.standard_normal((4, 2)) + 0.1 * draw.standard_normal((800, 2))
    row = Row(LOSSES["SSE"], x, y, rate=0.2, measures={})
    fitted = fit(row, seed=5, steps=200)
    seen, held_out = cheat_sheet.split(800, 5)
    assert len(held_out) == cheat_sheet.HELD_OUT == len(fitted.truth)
    np.testing.assert_array_equal(np.sort(np.concatenate([seen, held_out])), np.arange(800))
    solved, *_ = np.linalg.lstsq(x[seen], y[seen], rcond=None)
    np.testing.assert_allclose(fitted.path[-1], solved, atol=1e-9)
    np.testing.assert_allclose(fitted.predicted, x[held_out] @ solved, atol=1e-9)


def test_a_wrong_gradient_fails_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [check.passed for check in cheat_sheet.check_slopes()] == [True] * 8
    wrong = LOSSES["sigmoid, SSE"]._replace(slope=LOSSES["sigmoid, cross-entropy"].slope)
    monkeypatch.setitem(LOSSES, "sigmoid, SSE", wrong)
    assert [check.says.split(":")[0] for check in cheat_sheet.check_slopes() if not check.passed] == ["sigmoid, SSE"] * 2


def test_the_topic() -> None:
    points: list[Record] = []
    findings = cheat_sheet.compare_losses(Context(ROOT, quick=True, record=points.append))
    assert [check.says for check in findings.checks if not check.passed] == []
    metrics = {(point.params["row"], point.params["split"]): point.metrics for point in points}
    assert len(metrics) == 14
    for seed in (0, 1):
        right, slide = (metrics[name, seed] for name in ("binary", cheat_sheet.SLIPS[0]))
        assert slide["called positive"] == 1
        assert 0 < right["called positive"] < 0.2
        assert slide["accuracy"] < 0.2 < 0.9 < right["accuracy"]
        assert metrics["multiclass", seed] == metrics[cheat_sheet.SLIPS[1], seed]
    assert [row[0] for row in findings.tables[0].rows] == list(cheat_sheet.WRITTEN)
    assert [row[5] for row in findings.tables[0].rows][3:6] == ["p - y", "p - 1", "p - y"]
    assert [found.n for found in findings.hypotheses] == [2, 2]
