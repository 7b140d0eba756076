"""Accuracy against the number of training images, for networks and support vector machines alike: what topic 18 measures."""

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filterlab.baselines import svm
from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.evaluation.intervals import wilson
from filterlab.evaluation.statistics import CONFIDENCE, summarize
from filterlab.lecture.lab import Job, Lab, Point, fit

ALL = 0  # images per class: as many as there are
CLASSES = 10
CHECKED = 1000  # of a network's training images, at most: its accuracy on them is recorded


@dataclass(frozen=True)
class Task:
    """One training and its test.

    Attributes:
        params: method, images_per_class and subset: what tells it from the others.
        inputs, labels: to learn from; images (N, 1, H, W) uint8 for a network, features (N, D) float32 for a machine.
        test_inputs, test_labels: to measure on.
        config: of a network; None is a support vector machine.
        passes, steps: a network's images are repeated until each was seen `passes` times and `steps` batches are full.
    """

    params: Mapping[str, Any]
    inputs: NDArray[Any]
    labels: NDArray[np.uint8]
    test_inputs: NDArray[Any]
    test_labels: NDArray[np.uint8]
    config: schema.Config | None = None
    passes: int = 1
    steps: int = 1


@dataclass(frozen=True)
class Measured:
    """What came of a task.

    accuracy: on the test images, in [0, 1]. stored: MB of the model, four bytes a number. chosen: what tuning chose, or how long
    a network trained. seconds, test_seconds: on one core. memory: MB of the inputs and of what training took beside them.
    """

    params: Mapping[str, Any]
    images: int
    accuracy: float
    stored: float
    chosen: Mapping[str, float]
    seconds: float
    test_seconds: float
    memory: float

    def point(self) -> Point:
        named = {"images": self.images, "test/accuracy": self.accuracy, "model/MB": self.stored}
        costs = {"training/seconds": self.seconds, "test/seconds": self.test_seconds, "training/MB": self.memory}
        name = " ".join(f"{key}={given}" for key, given in self.params.items())
        return Point(name, params=self.params, metrics={**named, **costs, **self.chosen})


def run(lab: Lab, tasks: Sequence[Task]) -> list[Measured]:
    """All tasks side by side, in their order; each is recorded, networks and machines under the same names."""
    found = []
    for measured in lab.side_by_side(measure, tasks):
        lab.record(measured.point())
        found.append(measured)
    return found


def measure(task: Task) -> Measured:
    """Train and test, in the process this is called in."""
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM, the highest VmRSS, counts from here (man 5 proc)
    learned = machine(task) if task.config is None else network(task, task.config)
    memory = resident("VmHWM") - before + task.inputs.nbytes / 1e6
    started = time.perf_counter()
    predicted = learned.predict(task.test_inputs)
    return Measured(
        params=task.params,
        images=len(task.labels),
        accuracy=float((predicted == task.test_labels).mean()),
        stored=4 * learned.numbers / 1e6,
        chosen=learned.chosen,
        seconds=learned.seconds,
        test_seconds=time.perf_counter() - started,
        memory=memory,
    )


def resident(kind: str) -> float:
    """Of this process, in MB; VmRSS is now, VmHWM the most there was."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, kind
    return int(found[1]) * 1024 / 1e6


@dataclass(frozen=True)
class Learned:
    """A trained model: predict (inputs -> labels), the numbers it consists of, and the seconds it took."""

    predict: Any
    numbers: int
    seconds: float
    chosen: Mapping[str, float]


def machine(task: Task) -> Learned:
    started = time.perf_counter()
    fitted = svm.fit(task.inputs, task.labels, seed=task.params["subset"])
    chosen = {"C": fitted.C, "gamma": fitted.gamma, "folds": fitted.folds, "support_vectors": fitted.vectors}
    return Learned(fitted.predict, fitted.numbers, time.perf_counter() - started, chosen)


def network(task: Task, config: schema.Config) -> Learned:
    """Trained in a single epoch over repeated images: no epoch has to be chosen, so no image is needed to choose by."""
    from filterlab.evaluation.predict import predict

    assert config.trainer.max_epochs == 1, config.trainer.max_epochs
    copies = repetitions(len(task.labels), batch_size=config.trainer.batch_size, passes=task.passes, steps=task.steps)
    given = LabelledImages(images=np.tile(task.inputs, (copies, 1, 1, 1)), labels=np.tile(task.labels, copies))
    seen = LabelledImages(images=task.inputs[:CHECKED], labels=task.labels[:CHECKED])
    outcome = fit(Job(task.params, config=config, train=given, validation=seen))
    return Learned(
        predict=lambda images: predict(outcome.predictor, images).argmax(axis=1),
        numbers=sum(weight.numel() for weight in outcome.network.parameters()),
        seconds=outcome.seconds,
        chosen={"passes": copies, "training/accuracy": outcome.best("validation/accuracy")},
    )


def repetitions(images: int, *, batch_size: int, passes: int, steps: int) -> int:
    """How many times `images` are repeated to give each at least `passes` passes, and `steps` full batches in all."""
    return max(passes, math.ceil(steps * batch_size / images))


Curves = dict[str, dict[float, list[Measured]]]  # by method and images per class, ascending; one a subset


def curves(measured: Sequence[Measured], methods: Sequence[str]) -> Curves:
    """Images per class are a mean where all images are taken, whose digits are not equally frequent."""
    found: Curves = {method: {} for method in methods}
    for one in sorted(measured, key=lambda one: (one.images, one.params["subset"])):
        found[one.params["method"]].setdefault(one.images / CLASSES, []).append(one)
    return found


def percent(found: Sequence[Measured]) -> list[float]:
    return [100 * one.accuracy for one in found]


def interval(found: Sequence[Measured], *, tested: int) -> tuple[float, float, float]:
    """Mean accuracy in % and its 95 % interval: over the subsets, or, of fewer than three, over the `tested` images."""
    values = percent(found)
    if len(values) > 2:
        summary = summarize(values)
        return summary.mean, summary.low, summary.high
    mean = float(np.mean(values))
    low, high = wilson(round(mean / 100 * tested), tested, confidence=CONFIDENCE)
    return mean, 100 * low, 100 * high


def crossover(
    differences: Mapping[float, Sequence[float]], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """From how many images on the mean difference stays positive, and the 95 % percentile interval over resampled subsets.

    differences: by number of images, ascending, one value a subset. Between two numbers the mean is interpolated over log n.
    0: it is positive everywhere; inf: it isn't at the last. The subsets of a seed are nested, so that a resample (Efron 1979)
    takes the same seeds at each number of images that has as many of them.
    """
    draw = np.random.default_rng(seed)
    sizes, values = np.array(list(differences)), [np.array(given) for given in differences.values()]
    counts = {len(given) for given in values}
    found = []
    for _ in range(resamples):
        taken = {count: draw.integers(0, count, count) for count in sorted(counts)}
        found.append(turn(sizes, np.array([given[taken[len(given)]].mean() for given in values])))
    # An order statistic: infinities can't be interpolated.
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return turn(sizes, np.array([given.mean() for given in values])), float(low), float(high)


def turn(sizes: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    """Where the last step from not positive to positive crosses 0, interpolated over log(sizes); 0 and inf as `crossover`."""
    behind = np.flatnonzero(means <= 0)
    if not len(behind):
        return 0.0
    last = behind[-1]
    if last == len(means) - 1:
        return math.inf
    share = -means[last] / (means[last + 1] - means[last])
    return float(np.exp(np.log(sizes[last]) + share * np.log(sizes[last + 1] / sizes[last])))
