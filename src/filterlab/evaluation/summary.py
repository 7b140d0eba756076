"""All metrics of one evaluation."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filterlab.config.faults import short
from filterlab.errors import UserError
from filterlab.evaluation import intervals, metrics


@dataclass(frozen=True)
class Evaluation:
    """Outputs on N examples of K classes and what follows from them."""

    data_name: str
    classes: list[str]
    labels: NDArray[np.integer]  # (N,)
    predicted: NDArray[np.int64]  # (N,)
    probabilities: NDArray[np.float64]  # (N, K)
    loss: float
    confusion: NDArray[np.int64]  # (K, K), row = actual
    by_class: metrics.ClassScores
    reliability: metrics.Reliability
    mistakes: NDArray[np.int64]  # indices of the wrong predictions, the surest first

    def numbers(self) -> dict[str, Any]:
        """Nested dict for metrics.json: each number repeats exactly with the same logits. accuracy_low/high: Wilson, 95 %.

        Each is a column of `dvc exp show`: scores of single classes are in results/evaluation/ alone.

        Raises UserError: one of METRICS has a name that is in use, or is no finite number.
        """
        examples, errors = len(self.labels), len(self.mistakes)
        low, high = intervals.wilson(examples - errors, examples, confidence=0.95)
        built_in = {
            "data": self.data_name,
            "examples": examples,
            "errors": errors,
            "accuracy": (examples - errors) / examples,
            "accuracy_low": low,
            "accuracy_high": high,
            "loss": self.loss,
            "ece": self.reliability.calibration_error,
        }
        return {**built_in, **self.added(taken=[*built_in, "macro"]), "macro": self.by_class.macro()}

    def added(self, *, taken: list[str]) -> dict[str, float]:
        """The numbers of METRICS. Raises UserError as `numbers` does."""
        for name in METRICS:
            if name in taken or not re.fullmatch(r"\w+", name):
                raise UserError(f"METRICS has {name!r}, expected letters, digits and _, and another name than {', '.join(taken)}")
        found = {name: measure(self) for name, measure in METRICS.items()}
        for name, number in found.items():
            if not (isinstance(number, Real) and math.isfinite(number)):
                raise UserError(f"the metric {name} is {' '.join(short(number).split())}, expected a finite number")
        return {name: float(number) for name, number in found.items()}


def evaluate(logits: NDArray[np.floating], labels: NDArray[np.integer], *, classes: list[str], data_name: str) -> Evaluation:
    """logits: (N, K); labels: (N,); classes: the K names."""
    predicted = logits.argmax(axis=1)
    probabilities = metrics.softmax(logits)
    confusion = metrics.confusion_matrix(predicted, labels, classes=len(classes))
    return Evaluation(
        data_name=data_name,
        classes=classes,
        labels=labels,
        predicted=predicted,
        probabilities=probabilities,
        loss=metrics.cross_entropy(logits, labels),
        confusion=confusion,
        by_class=metrics.class_scores(confusion),
        reliability=metrics.reliability(probabilities, labels),
        mistakes=metrics.surest_mistakes(probabilities, labels),
    )


# Further numbers of an evaluation by their names in metrics.json.
METRICS: dict[str, Callable[[Evaluation], float]] = {}
