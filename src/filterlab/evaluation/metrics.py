"""Classification metrics over all examples: cross-entropy, accuracy, confusion, scores by class, calibration. Numpy only.

Throughout: logits (N, K) float, probabilities (N, K) float in [0, 1], labels (N,) integers in 0..K-1, N >= 1.
The prediction is the largest output; where two are equal, the lower class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


def log_softmax(logits: Floats) -> NDArray[np.float64]:
    """(N, K) float64; shifted by the row's maximum, so that no logit overflows."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Probabilities (N, K), each row's sum being 1."""
    return np.exp(log_softmax(logits))


def cross_entropy(logits: Floats, labels: Integers) -> float:
    """Mean over the examples of -log p(true class), in nats."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def accuracy(logits: Floats, labels: Integers) -> float:
    """Share of right predictions, in [0, 1]."""
    return float((logits.argmax(axis=1) == labels).mean())


def confusion_matrix(predicted: Integers, labels: Integers, *, classes: int) -> NDArray[np.int64]:
    """(K, K) counts: row = actual class, column = predicted class."""
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class ClassScores:
    """One value a class, each (K,). The precision of a class that is never predicted counts as 0; a class without an example has
    no score: nan."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]

    def macro(self) -> dict[str, float]:
        """Means over the classes that have examples, each weighing the same."""
        present = self.support > 0
        scores = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {name: float(values[present].mean()) for name, values in scores.items()}


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """From a (K, K) confusion matrix: precision (of what was called k, how much is), recall (of what is k, how much was
    called so), F1 (their harmonic mean) and support (examples of k)."""
    hits, called, actual = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    scores = {"precision": _share(hits, called), "recall": _share(hits, actual), "f1": _share(2 * hits, called + actual)}
    return ClassScores(**{name: np.where(actual > 0, values, np.nan) for name, values in scores.items()}, support=actual)


def _share(part: Integers, whole: Integers) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


@dataclass(frozen=True)
class Reliability:
    """Examples grouped by confidence, each (B,): the bins' bounds, mean confidence and accuracy (nan in an empty bin), count."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, in [0, 1]: |accuracy - confidence| averaged over the examples
        (Guo, Pleiss, Sun, Weinberger 2017, arXiv 1706.04599, eq. 3)."""
        filled = self.count > 0
        gap = np.abs(self.accuracy - self.confidence)[filled]
        return float((gap * self.count[filled]).sum() / self.count.sum())


def reliability(probabilities: Floats, labels: Integers, *, bins: int = 15) -> Reliability:
    """Bins of equal width, ((b-1)/B, b/B], over the probability of the predicted class."""
    edges = np.linspace(0, 1, bins + 1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    # Rounding can lift a probability above 1, which belongs to the last bin.
    member = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(member, minlength=bins)
    empty = np.full(bins, np.nan)
    return Reliability(
        low=edges[:-1],
        high=edges[1:],
        confidence=np.divide(np.bincount(member, weights=confidence, minlength=bins), count, out=empty.copy(), where=count > 0),
        accuracy=np.divide(np.bincount(member, weights=right, minlength=bins), count, out=empty.copy(), where=count > 0),
        count=count,
    )


def surest_mistakes(probabilities: Floats, labels: Integers) -> NDArray[np.int64]:
    """Indices of all wrong predictions, the one made with the highest probability first, ties by index."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order]
