"""The logistic unit against scipy, its midpoint and slope against -b/w and w/4, and the topic's checks."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from filterlab.lecture import logistic
from filterlab.lecture.context import Context, Record

ROOT = Path(__file__).parents[2]


def test_it_is_the_logistic_function() -> None:
    z = np.linspace(-700, 700, 2001)
    np.testing.assert_allclose(logistic.logistic(z), expit(z), rtol=1e-13)


def test_the_lectures_four_pairs() -> None:
    assert logistic.PAIRS == [(0, 1), (0, 5), (2, 1), (0, -1)]


@pytest.mark.parametrize(("bias", "weight"), [*logistic.PAIRS, (-3, 2), (1.5, -0.7)])
def test_midpoint_and_slope(bias: float, weight: float) -> None:
    middle = logistic.midpoint(bias=bias, weight=weight)
    assert middle == pytest.approx(-bias / weight, abs=1e-11)
    assert logistic.slope(middle, bias=bias, weight=weight) == pytest.approx(weight / 4, abs=1e-8)


def test_slope_is_the_derivative_away_from_the_midpoint() -> None:
    y = expit(1 + 2 * 0.3)
    assert logistic.slope(0.3, bias=1, weight=2) == pytest.approx(2 * y * (1 - y), abs=1e-8)


def test_checks_see_a_wrong_midpoint_and_a_wrong_slope() -> None:
    right = logistic.check_units([0.0, 0.0, -2.0, 0.0], [0.25, 1.25, 0.25, -0.25])
    wrong = logistic.check_units([0.0, 0.0, 2.0, 0.0], [0.25, 1.25, 0.25, 0.25])
    assert [check.passed for check in right] == [True] * 6
    assert [check.passed for check in wrong] == [True, False, False, True, True, True]


def test_topic() -> None:
    points: list[Record] = []
    findings = logistic.examine_logistic_units(Context(ROOT, quick=True, record=points.append))
    assert [check.says for check in findings.checks if not check.passed] == []
    assert len(findings.checks) == 6
    rows = [
        ["0", "1", "0.000000", "0.000000", "0.250000", "0.250000"],
        ["0", "5", "0.000000", "0.000000", "1.250000", "1.250000"],
    ]
    rows += [["2", "1", "-2.000000", "-2.000000", "0.250000", "0.250000"]]
    rows += [["0", "-1", "0.000000", "0.000000", "-0.250000", "-0.250000"]]
    assert findings.tables[0].rows == rows
    assert len(findings.figures["logistic"].axes) == 4
    assert points == []
