"""Topic 1 beside other people's least squares."""

from pathlib import Path

import numpy as np

from filterlab.lecture import line
from filterlab.lecture.context import Context

ROOT = Path(__file__).parents[2]


def test_gradient_descent_arrives_where_least_squares_does() -> None:
    draw = np.random.default_rng(0)
    x = draw.uniform(0, 1, 30)
    y = 3 - 4 * x + draw.standard_normal(30)
    path = line.descend(np.stack([np.ones(30), x], axis=1), y, rate=0.5, steps=400)
    assert path.shape == (401, 2) and not path[0].any()
    np.testing.assert_allclose(path[-1], np.polyfit(x, y, 1)[::-1], atol=1e-6)
    assert not np.allclose(path[20], path[-1], atol=1e-3)


def test_a_step_goes_against_the_finite_differences() -> None:
    design, y = np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 3.0]]), np.array([1.0, -1.0, 2.0])

    def error(b: np.ndarray) -> float:
        return float(((design @ b - y) ** 2).mean())

    step = line.descend(design, y, rate=0.1, steps=1)[1]
    slopes = [(error(1e-6 * unit) - error(-1e-6 * unit)) / 2e-6 for unit in np.eye(2)]
    np.testing.assert_allclose(step, -0.1 * np.array(slopes), rtol=1e-8)


def test_the_topic() -> None:
    findings = line.fit_line(Context(ROOT, quick=True, record=lambda record: None))
    assert [check.passed for check in findings.checks] == [True, True]
    assert list(findings.figures) == ["line"]
