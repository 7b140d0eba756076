import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from filterlab.evaluation.intervals import wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (9, 10), (9950, 10000), (3, 7)])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_agrees_with_scipy(successes: int, n: int, confidence: float) -> None:
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson(successes, n, confidence=confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_solve_the_score_equation(trial: tuple[int, int]) -> None:
    successes, n = trial
    share, z = successes / n, 1.959963984540054
    for bound in wilson(successes, n, confidence=0.95):
        assert 0 <= bound <= 1
        assert abs(share - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n), abs=1e-7)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(0, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)])
def test_refuses_what_is_no_share(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"trial|successes|confidence"):
        wilson(successes, n, confidence=confidence)
