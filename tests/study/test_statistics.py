import math

import numpy as np
import pytest
from scipy import stats

from filterlab.study.statistics import Summary, mcnemar, paired, summarize


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_a_summary_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(0.99, 0.001, n)
    found = summarize(values)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert found.n == n
    np.testing.assert_allclose(
        [found.mean, found.std, found.low, found.high], [values.mean(), values.std(ddof=1), low, high], rtol=1e-12
    )


def test_a_summary_by_hand() -> None:
    """t(0.975, 1) is 12.7062 in every table."""
    found = summarize([1.0, 3.0])
    assert (found.mean, found.std) == (2.0, math.sqrt(2))
    assert found.high - 2 == pytest.approx(12.7062, abs=1e-4) == 2 - found.low


def test_what_few_values_cannot_tell_is_nan() -> None:
    assert repr(summarize([0.5])) == repr(Summary(n=1, mean=0.5, std=math.nan, low=math.nan, high=math.nan))
    assert repr(summarize([])) == repr(Summary(n=0, mean=math.nan, std=math.nan, low=math.nan, high=math.nan))


@pytest.mark.parametrize("shift", [0.0, 0.001, -0.02])
def test_a_paired_comparison_is_scipys_over_the_common_seeds(shift: float) -> None:
    draw = np.random.default_rng(1)
    a, b = draw.normal(0.99 + shift, 0.001, 6), draw.normal(0.99, 0.001, 6)
    seeds = [str(seed) for seed in range(6)]
    found = paired(dict(zip(seeds, a, strict=True)) | {"77": 0.1}, dict(zip(reversed(seeds), b[::-1], strict=True)) | {"78": 0.9})
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert found.n == 6
    np.testing.assert_allclose(
        [found.difference, found.low, found.high, found.p],
        [(a - b).mean(), interval.low, interval.high, expected.pvalue],
        rtol=1e-9,
    )
    assert found.distinguishable == (expected.pvalue < 0.05)


def test_pairing_finds_what_the_spread_of_the_seeds_hides() -> None:
    seeds = {str(seed): 0.98 + 0.002 * seed for seed in range(5)}
    better = {seed: value + 0.0005 + 0.0001 * (int(seed) % 2) for seed, value in seeds.items()}
    assert paired(better, seeds).distinguishable
    assert stats.ttest_ind(list(better.values()), list(seeds.values())).pvalue > 0.5


@pytest.mark.parametrize("difference", [0.0, 0.001])
def test_equal_differences_have_no_interval(difference: float) -> None:
    """Also where rounding makes them unequal: 0.992 - 0.991 is not 0.993 - 0.992."""
    b = {str(seed): 0.991 + 0.001 * seed for seed in range(4)}
    found = paired({seed: value + difference for seed, value in b.items()}, b)
    assert found.difference == pytest.approx(difference)
    assert math.isnan(found.low) and math.isnan(found.high) and math.isnan(found.p)
    assert not found.distinguishable


def test_one_common_seed_is_too_few() -> None:
    with pytest.raises(ValueError, match="both have seed 1, the first alone seed 0, 5, the second alone none"):
        paired({"1": 0.5, "0": 0.5, "5": 0.4}, {"1": 0.6})


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 61), (700, 900)])
def test_mcnemar_is_the_binomial_test_of_those_that_one_alone_has_right(first: int, second: int) -> None:
    a = [True] * first + [False] * second + [True] * 1000 + [False] * 17
    b = [False] * first + [True] * second + [True] * 1000 + [False] * 17
    found = mcnemar(a, b)
    assert (found.n, found.first, found.second) == (1017 + first + second, first, second)
    assert found.p == pytest.approx(stats.binomtest(first, first + second).pvalue if first + second else 1.0)
    assert found.low < found.difference < found.high or found.difference == 0
    assert found.distinguishable == (found.p < 0.05)
    other = mcnemar(b, a)
    assert (other.p, other.low, other.high) == pytest.approx((found.p, -found.high, -found.low))


def test_mcnemar_s_interval_holds_what_it_says() -> None:
    """In 2,000 draws of 500 pictures, of which 6 % and 3 % are one's alone: 95 % of the intervals hold the difference of 3 %."""
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(2_000):
        cells = draw.choice(3, size=500, p=[0.06, 0.03, 0.91])
        found = mcnemar(cells != 1, cells != 0)
        held += found.low <= 0.03 <= found.high
    assert 0.935 < held / 2_000 < 0.965
