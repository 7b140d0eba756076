"""The bump against scipy and exact arithmetic, and the topic's checks."""

from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from filterlab.lecture import bump
from filterlab.lecture.context import Context

ROOT = Path(__file__).parents[2]


def exactly(x: float) -> Decimal:
    """s(1 + x) + s(1 - x) - 1 in 200 digits."""
    with localcontext(prec=200):
        return sum((1 / (1 + (-1 - sign * Decimal(x)).exp()) for sign in (1, -1)), Decimal(-1))


def test_the_lectures_numbers() -> None:
    assert bump.bump(np.array([0.0, 5.0, -5.0])) == pytest.approx([1.4621, 1.0155, 1.0155], abs=5e-5)


def test_bump_is_the_sum() -> None:
    x = np.linspace(-20, 20, 401)
    np.testing.assert_allclose(bump.bump(x), expit(1 + x) + expit(1 - x), rtol=1e-14)


@pytest.mark.parametrize("x", [0.0, -5.0, 30.0, -100.0, 200.0])
def test_it_stays_above_its_floor(x: float) -> None:
    """Also where the sum of two 64-bit numbers is 1."""
    assert exactly(x) > 0
    assert float(bump.excess(np.array(x))) == pytest.approx(float(exactly(x)), rel=1e-13)


def test_where_64_bits_lose_sight_of_it() -> None:
    near, beyond = bump.bump(np.array([35.0, 40.0]))
    assert near > 1
    assert beyond == 1


def test_topic() -> None:
    findings = bump.add_logistic_units(Context(ROOT, quick=True, record=lambda record: None))
    assert [check.says for check in findings.checks if not check.passed] == []
    assert len(findings.checks) == 6
    assert findings.conclusion.startswith("The sum of a rising and a falling unit peaks at 1.4621 and is still 1.0155 at x = 5;")
