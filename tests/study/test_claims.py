"""Claims judged seed by seed."""

import pytest

from filterlab.study.claims import compare, count_verdicts
from filterlab.study.statistics import mean_interval, paired, plus_minus


def test_a_hypothesis_may_hold_fail_or_stay_open() -> None:
    seeds = [str(seed) for seed in range(5)]
    up = dict(zip(seeds, [0.91, 0.93, 0.92, 0.94, 0.95], strict=True))
    down = dict(zip(seeds, [0.90, 0.91, 0.91, 0.92, 0.94], strict=True))
    found = compare("up beats down", up, down, unit="points", scale=100)
    assert found.verdict == "holds" and found.n == 5
    assert found.difference == pytest.approx(1.4) and found.low == pytest.approx(100 * paired(up, down).low)
    assert compare("down beats up", down, up, unit="").verdict == "fails"
    same = compare("up beats up", up, list(up.values()), unit="")
    assert same.verdict == "can't be told"
    assert count_verdicts([found, same]) == "Of 2 claims 1 hold and 0 fail."


def test_an_interval_is_written_around_its_mean() -> None:
    """Of two values 1 and 3: half is t(0.975, 1) = 12.706."""
    assert mean_interval([1.0, 3.0], ".1f") == "2.0 [-10.7, 14.7]"
    assert mean_interval([1.0, 3.0], ".0f", scale=100) == "200 [-1071, 1471]"
    assert plus_minus([1.0, 3.0], ".1f") == "2.0 ± 12.7"
