"""Confidence interval of a mean over seeds, and the paired t-test of a difference."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """n values: mean, standard deviation (n - 1 in the denominator) and the mean's two-sided 95 % interval.

    nan is what n values can't tell: the mean of none, the spread of one.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """The mean of n differences a - b, its two-sided 95 % interval, and the p-value of the paired t-test.

    Where all differences are the same there is no spread to judge them by: low, high and p are nan.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float

    @property
    def distinguishable(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Classifiers:
    """Two classifiers on the same n pictures.

    Attributes:
        first, second: how many pictures the one alone has right, and the other alone.
        low, high: the 95 % interval of the difference of their accuracies, first - second.
        p: of McNemar's test, exact.
    """

    n: int
    first: int
    second: int
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        return (self.first - self.second) / self.n

    @property
    def distinguishable(self) -> bool:
        return self.p < 1 - CONFIDENCE


def summarize(values: Iterable[float]) -> Summary:
    """The interval is mean +- t(0.975, n - 1) std / sqrt(n) (Student 1908, "The probable error of a mean")."""
    given = np.array(list(values), dtype=np.float64)
    n = len(given)
    if n < 2:
        return Summary(n, float(given[0]) if n else math.nan, math.nan, math.nan, math.nan)
    from scipy.special import stdtrit

    mean, std = float(given.mean()), float(given.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> Paired:
    """Compare two settings seed by seed: what a seed does to both cancels.

    a, b: finite values by seed. Raises ValueError where they have fewer than two seeds in common.
    """
    common = sorted(a.keys() & b.keys())
    if len(common) < 2:
        of_first, of_second = _seeds(a.keys() - b.keys()), _seeds(b.keys() - a.keys())
        raise ValueError(
            "a paired comparison needs two seeds that both settings have; "
            f"both have {_seeds(common)}, the first alone {of_first}, the second alone {of_second}"
        )
    differences = np.array([a[seed] - b[seed] for seed in common])
    # Equal differences are told from rounding: 0.992 - 0.991 is not 0.993 - 0.992 to the last bit.
    scale = max(abs(given[seed]) for given in (a, b) for seed in common)
    if np.ptp(differences) <= 8 * np.finfo(np.float64).eps * scale:
        return Paired(len(common), float(differences.mean()), math.nan, math.nan, math.nan)
    from scipy.special import stdtr

    found = summarize(differences)
    t = found.mean / (found.std / math.sqrt(found.n))
    return Paired(found.n, found.mean, found.low, found.high, p=2 * float(stdtr(found.n - 1, -abs(t))))


def write_interval(mean: float, low: float, high: float, form: str) -> str:
    """E.g. 0.97 [0.96, 0.98], each number in the format `form`."""
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def mean_interval(values: Iterable[float], form: str, *, scale: float = 1.0) -> str:
    """The mean of the values and its 95 % interval, e.g. 0.97 [0.96, 0.98]."""
    found = summarize(values)
    return write_interval(scale * found.mean, scale * found.low, scale * found.high, form)


def plus_minus(values: Iterable[float], form: str) -> str:
    """The mean of the values and half of its 95 % interval, e.g. 0.97 ± 0.01."""
    found = summarize(values)
    return f"{found.mean:{form}} ± {found.high - found.mean:{form}}"


def _seeds(seeds: Collection[str]) -> str:
    return f"seed {', '.join(sorted(seeds))}" if seeds else "none"


def mcnemar(a: Sequence[bool] | np.ndarray, b: Sequence[bool] | np.ndarray) -> Classifiers:
    """Compare two classifiers by whether each has each of n >= 1 pictures right, the same pictures in the same order.

    The test is exact at any count: of the pictures that one alone has right, each is heads or tails (McNemar 1947; the two-sided
    binomial test at 1/2). The interval is Wald's with half a picture added to each of the four cells (Agresti, Min 2005).
    """
    from scipy.special import bdtr, ndtri

    right, other = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    n, first, second = len(right), int((right & ~other).sum()), int((~right & other).sum())
    differ = first + second
    p = min(1.0, 2 * float(bdtr(min(first, second), differ, 0.5))) if differ else 1.0
    middle, wide = (first - second) / (n + 2), first + second + 1
    half = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(wide - (first - second) ** 2 / (n + 2)) / (n + 2)
    return Classifiers(n, first, second, middle - half, middle + half, p)
