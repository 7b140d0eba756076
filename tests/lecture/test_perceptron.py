"""The parameters of multilayer perceptrons, counted four ways, and the bias as a weight; the topic's checks."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from filterlab.lecture import perceptron
from filterlab.lecture.context import Context

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def context() -> Context:
    return Context(ROOT, quick=True, record=lambda record: None)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((1, 1, 1), 4), ((2, 3, 1), 13), ((4, 5, 3), 43), ((7, 2, 6), 34), ((784, 256, 10), 203_530), ((4608, 32, 10), 147_818)],
)
def test_all_count_the_same(context: Context, sizes: tuple[int, int, int], expected: int) -> None:
    assert perceptron.count_parameters(*sizes) == expected
    assert sum(matrix.size for matrix in perceptron.matrices(sizes, seed=0)) == expected
    assert perceptron.compare_network(context, sizes, seed=0)[:2] == (expected, expected)


def test_scores_are_those_of_layers_with_biases() -> None:
    first, second = perceptron.matrices((4, 5, 3), seed=2)
    x = np.random.default_rng(3).standard_normal((7, 4))
    expected = expit(x @ first[1:] + first[0]) @ second[1:] + second[0]
    np.testing.assert_allclose(perceptron.compute_scores(x, (first, second)), expected, rtol=0, atol=1e-14)


def test_scores_are_the_projects(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    assert perceptron.compare_network(context, (4, 5, 3), seed=1)[2] < 1e-14
    right = perceptron.compute_scores
    monkeypatch.setattr(perceptron, "compute_scores", lambda x, weights: right(x, weights) + 0.25)
    assert perceptron.compare_network(context, (4, 5, 3), seed=1)[2] == pytest.approx(0.25)


def test_checks_see_a_missing_bias() -> None:
    expected = [perceptron.count_parameters(*sizes) for sizes in perceptron.SIZES]
    without = [p * h + h * k for p, h, k in perceptron.SIZES]
    passed = [check.passed for check in perceptron.check_counts([(a, b, 0.0) for a, b in zip(expected, without, strict=True)])]
    assert passed == [True, True, False, False]


def test_figure_has_a_line_for_each_parameter() -> None:
    axes = perceptron.plot_network(3, 2, 4).axes[0]
    assert len(axes.lines) == (3 + 1) * 2 + (2 + 1) * 4
    units = [len(column.get_offsets()) for column in axes.collections]
    assert units == [3 + 1, 2 + 1, 4], "with the two that are always 1"


def test_topic(context: Context) -> None:
    findings = perceptron.count_perceptron_parameters(context)
    assert [check.says for check in findings.checks if not check.passed] == []
    assert len(findings.checks) == 9
    assert list(findings.tables[0].rows[4]) == ["784", "256", "10", "200,960", "2,570", "203,530", "203,530", "203,530"]
