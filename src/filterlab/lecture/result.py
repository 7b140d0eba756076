"""What a topic of the lecture computes: checks, hypotheses, tables, figures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from filterlab.study.statistics import paired, summarize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Value = bool | int | float | str | list  # of numbers, nested as deep as the array it stands for


@dataclass(frozen=True)
class Check:
    """A number (or an array of them) of the lecture's beside ours. Made by `equal`, `close` or `between`.

    Attributes:
        says: what is checked, e.g. "parameters of the exercise's network".
        expected: in words or numbers, as the page shows it.
    """

    says: str
    value: Value
    expected: Value
    passed: bool


def equal(says: str, value: Value, expected: Value) -> Check:
    """Exactly: whole numbers, texts, truths, and lists of them."""
    return Check(says, value, expected, passed=type(value) is type(expected) and value == expected)


def close(says: str, value: float | list, expected: float | list, *, tolerance: float) -> Check:
    """Each number within `tolerance` (absolute) of the expected one; the same shape."""
    given, wanted = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    passed = given.shape == wanted.shape and bool((np.abs(given - wanted) <= tolerance).all())
    return Check(says, value, f"{expected} ± {tolerance:g}", passed)


def between(says: str, value: float, low: float, high: float = math.inf) -> Check:
    """low <= value <= high."""
    expected = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
    return Check(says, value, expected, passed=low <= value <= high)


def below(says: str, value: float, high: float) -> Check:
    """value <= high."""
    return Check(says, value, f"at most {high:g}", passed=value <= high)


@dataclass(frozen=True)
class Hypothesis:
    """A claim that was stated before anything was measured, and what came out. It may fail: that is a result, and no error.

    Attributes:
        claim: e.g. "3x3 filters beat 9x9".
        unit: of the difference, e.g. "points of validation accuracy".
        difference: mean over n paired seeds; the claim says that it is positive.
        low, high: its two-sided 95 % interval; nan where it can't be told.
    """

    claim: str
    unit: str
    difference: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """holds (the interval lies above 0), fails (below 0), or can't be told."""
        return "holds" if self.low > 0 else "fails" if self.high < 0 else "can't be told"


Seeds = Mapping[Any, float] | Sequence[float] | Floats  # values by seed, or in the seeds' order


def compare(claim: str, larger: Seeds, smaller: Seeds, *, unit: str, scale: float = 1.0) -> Hypothesis:
    """The claim that the one exceeds the other, paired seed by seed; `scale` turns a difference into `unit` (100: points)."""
    keyed = (values if isinstance(values, Mapping) else dict(enumerate(values)) for values in (larger, smaller))
    found = paired(*({str(seed): float(value) for seed, value in values.items()} for values in keyed))
    return Hypothesis(claim, unit, scale * found.difference, scale * found.low, scale * found.high, found.n)


def count_verdicts(hypotheses: Sequence[Hypothesis]) -> str:
    """E.g. "Of 9 claims 5 hold and 2 fail."."""
    verdicts = [found.verdict for found in hypotheses]
    return f"Of {len(verdicts)} claims {verdicts.count('holds')} hold and {verdicts.count('fails')} fail."


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


@dataclass(frozen=True)
class Table:
    """caption: one sentence. Every row has as many cells as the header; numbers are already written as they are to be read."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Result:
    """What came out of a topic. The same seed gives the same, but for `costs`.

    Attributes:
        checks: what has to hold; one that does not is an error of this program.
        figures: by file name without its ending; the topic's Markdown says what each shows.
        hypotheses: what was to be found out.
        tables: results that repeat exactly.
        conclusion: what came out, in a sentence or two made from the numbers.
        costs: tables of seconds and memory, which no rerun repeats.
    """

    checks: Sequence[Check]
    figures: dict[str, "Figure"]
    hypotheses: Sequence[Hypothesis] = ()
    tables: Sequence[Table] = ()
    conclusion: str = ""
    costs: Sequence[Table] = field(default=())
