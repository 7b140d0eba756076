"""Claims about the settings of many trainings, each judged seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filterlab.study.statistics import paired


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


Seeds = Mapping[Any, float] | Sequence[float] | NDArray[np.float64]  # values by seed, or in the seeds' order


def compare(claim: str, larger: Seeds, smaller: Seeds, *, unit: str, scale: float = 1.0) -> Hypothesis:
    """The claim that the one exceeds the other, paired seed by seed; `scale` turns a difference into `unit` (100: points)."""
    keyed = (values if isinstance(values, Mapping) else dict(enumerate(values)) for values in (larger, smaller))
    found = paired(*({str(seed): float(value) for seed, value in values.items()} for values in keyed))
    return Hypothesis(claim, unit, scale * found.difference, scale * found.low, scale * found.high, found.n)


def count_verdicts(hypotheses: Sequence[Hypothesis]) -> str:
    """E.g. "Of 9 claims 5 hold and 2 fail."."""
    verdicts = [found.verdict for found in hypotheses]
    return f"Of {len(verdicts)} claims {verdicts.count('holds')} hold and {verdicts.count('fails')} fail."
