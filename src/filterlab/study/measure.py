"""The metric that settings are compared by: its format and its axis scale."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filterlab.study import scale
from filterlab.study.scale import Scale


@dataclass(frozen=True)
class Measure:
    """name: e.g. "validation accuracy"; share: whether it lies in [0, 1], is written in percent, and 1 is best."""

    name: str
    higher_is_better: bool
    share: bool

    @property
    def label(self) -> str:
        return f"{self.name} [%]" if self.share else self.name

    def show(self, value: float) -> str:
        if math.isnan(value):
            return "none"
        return f"{100 * value:.2f} %" if self.share else f"{value:.4g}"

    def difference(self, *values: float) -> list[str]:
        """Differences in percentage points or the measure's own unit, in digits that show the least of them but 0."""
        given = [100 * value if self.share else value for value in values]
        least = min((abs(value) for value in given if value), default=1.0)
        digits = min(12, max(2 if self.share else 0, 1 - math.floor(math.log10(least))))
        return [f"{value:.{digits}f}" for value in given]

    def merit(self, values: ArrayLike) -> NDArray[np.float64]:
        """The values turned so that greater is better."""
        given = np.asarray(values, np.float64)
        return given if self.higher_is_better else -given

    def scale(self, values: ArrayLike, *, wide: float = scale.WIDE) -> tuple[Scale, str]:
        """A scale for finite values, and a word on it for a caption, empty where it is linear.

        Values that span more than the factor `wide` are drawn logarithmically; shares by their distance from 1, because what
        settings differ in is the error: between 99.0 and 99.5 % half of it is gone.
        """
        given = np.asarray(values, np.float64)
        low, high = float(given.min()), float(given.max())
        if self.share:
            error = 1 - given
            least = float(error[error > 0].min()) if (error > 0).any() else 1.0
            if error.max() / least > wide:
                floor = least / 2  # no error at all has no logarithm
                found = scale.round_numbers(100 * least, 100 * float(error.max()))
                ticks = [(-math.log10(at / 100), f"{100 - at:.6g}") for at in found]
                ticks += [(-math.log10(floor), "100")] * bool((error <= 0).any())

                def forward(values: ArrayLike) -> NDArray[np.float64]:
                    return -np.log10(np.maximum(1 - np.asarray(values, np.float64), floor))

                return Scale(forward, sorted(ticks)), "logarithmic in the error"
            return scale.linear(low, high, unit=0.01), ""
        if low > 0 and high / low > wide:
            return scale.logarithmic(low, high), "logarithmic"
        return scale.linear(low, high), ""
