"""Accuracy against the number of training images, for networks and support vector machines alike: what topic 18 measures."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.baselines import svm
from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.evaluation.intervals import wilson
from filterlab.lecture.context import Record
from filterlab.lecture.plots import new_figure
from filterlab.lecture.result import Floats
from filterlab.lecture.trainings import Job, fit
from filterlab.study.statistics import CONFIDENCE, summarize
from filterlab.visualization.style import MARGIN, MUTED, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL = 0  # images per class: as many as there are
CLASSES = 10
LIBRARIES = ["filterlab.training.fit", "sklearn.svm", "sklearn.model_selection"]  # whose seconds and memory don't count
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

    right: (N,) bool, which test images it got right. stored: MB of the model, four bytes a number. chosen: what tuning chose, or
    how a network was trained. seconds, test_seconds: on one core. memory: MB of the inputs and of what training took beside them.
    """

    params: Mapping[str, Any]
    images: int
    right: NDArray[np.bool_]
    stored: float
    chosen: Mapping[str, float]
    seconds: float
    test_seconds: float
    memory: float

    @property
    def accuracy(self) -> float:
        """On the test images, in [0, 1]."""
        return float(self.right.mean())

    def record(self) -> Record:
        named = {"images": self.images, "test/accuracy": self.accuracy, "model/MB": self.stored}
        costs = {"training/seconds": self.seconds, "test/seconds": self.test_seconds, "training/MB": self.memory}
        return Record(self.params, metrics={**named, **costs, **self.chosen})


def measure(task: Task) -> Measured:
    """Train and test, in the process this is called in."""
    for module in LIBRARIES:
        import_module(module)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM, the highest VmRSS, counts from here (man 5 proc)
    learned = train_machine(task) if task.config is None else train_network(task, task.config)
    memory = resident("VmHWM") - before + task.inputs.nbytes / 1e6
    started = time.perf_counter()
    predicted = learned.predict(task.test_inputs)
    return Measured(
        params=task.params,
        images=len(task.labels),
        right=predicted == task.test_labels,
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
    """A trained model: inputs -> labels, how many numbers it consists of, the seconds it took, and `Measured.chosen`."""

    predict: Callable[[NDArray[Any]], NDArray[Any]]
    numbers: int
    seconds: float
    chosen: Mapping[str, float]


def train_machine(task: Task) -> Learned:
    started = time.perf_counter()
    fitted = svm.fit(task.inputs, task.labels, seed=task.params["subset"])
    chosen = {"C": fitted.C, "gamma": fitted.gamma, "folds": fitted.folds, "support_vectors": fitted.vectors}
    return Learned(fitted.predict, fitted.numbers, time.perf_counter() - started, chosen)


def train_network(task: Task, config: schema.Config) -> Learned:
    """Trained in a single epoch over repeated images: no epoch has to be chosen, so no image is needed to choose by."""
    from filterlab.evaluation.predict import predict

    assert config.trainer.max_epochs == 1, config.trainer.max_epochs
    copies = repetitions(len(task.labels), batch_size=config.trainer.batch_size, passes=task.passes, steps=task.steps)
    given = LabelledImages(images=np.tile(task.inputs, (copies, 1, 1, 1)), labels=np.tile(task.labels, copies))
    seen = LabelledImages(images=task.inputs[:CHECKED], labels=task.labels[:CHECKED])
    outcome = fit(Job(task.params, config=config, train=given, validation=seen))
    return Learned(
        predict=lambda images: predict(outcome.predictor, images.copy()).argmax(axis=1),  # a copy: PyTorch wants it writable
        numbers=outcome.parameters,
        seconds=outcome.seconds,
        chosen={"passes": copies, "training/accuracy": outcome.best("validation/accuracy")},
    )


def repetitions(images: int, *, batch_size: int, passes: int, steps: int) -> int:
    """How many times `images` are repeated to give each at least `passes` passes, and `steps` full batches in all."""
    return max(passes, math.ceil(steps * batch_size / images))


Curves = dict[str, dict[float, list[Measured]]]  # by method and images per class, ascending; one a subset


def group_by_method(measured: Sequence[Measured], methods: Sequence[str]) -> Curves:
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


# By images per class, ascending: (subsets, test images), 1 where one method alone was right, -1 where the other was, else 0.
Gaps = dict[float, NDArray[np.int8]]


@dataclass(frozen=True)
class Crossover:
    """From how many images on a difference stays positive, and its 95 % interval; 0: it always is; inf: at the last it isn't."""

    at: float
    low: float
    high: float

    @property
    def interval(self) -> str:
        return write_size(self.low) if self.low == self.high else f"{write_size(self.low)} to {write_size(self.high)}"


def crossover(gaps: Gaps, *, resamples: int = 1000, seed: int = 0) -> Crossover:
    """Of the mean difference, interpolated over the logarithm of the number of images; percentile bootstrap (Efron 1979).

    Resampled are the test images and the subsets. Subsets of one draw are nested, so that a resample takes the same draws at each
    number of images that has equally many.
    """
    draw = np.random.default_rng(seed)
    sizes, rows = np.array(list(gaps)), np.concatenate(list(gaps.values())).astype(np.float64)
    counts, tested = [len(given) for given in gaps.values()], rows.shape[1]
    found = []
    for _ in range(resamples):
        means = rows @ draw.multinomial(tested, np.full(tested, 1 / tested)) / tested
        taken = {count: draw.integers(0, count, count) for count in sorted(set(counts))}
        parts = np.split(means, np.cumsum(counts)[:-1])
        found.append(turn(sizes, np.array([part[taken[len(part)]].mean() for part in parts])))
    # Order statistics, as between a number and infinity nothing can be interpolated.
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="inverted_cdf")
    return Crossover(turn(sizes, np.array([given.mean() for given in gaps.values()])), float(low), float(high))


def turn(sizes: Floats, means: Floats) -> float:
    """Where the last step from not positive to positive crosses 0, over log(sizes); 0 and inf as in `Crossover`."""
    behind = np.flatnonzero(means <= 0)
    if not len(behind):
        return 0.0
    last = behind[-1]
    if last == len(means) - 1:
        return math.inf
    share = -means[last] / (means[last + 1] - means[last])
    return float(sizes[last] * (sizes[last + 1] / sizes[last]) ** share)


def write_size(size: float) -> str:
    """A number of images, or a crossover, as one reads it."""
    if size in (0, math.inf):
        return "the fewest" if size == 0 else "beyond all"
    return f"{size:.0f}" if size >= 10 else f"{size:.1f}".removesuffix(".0")


def plot_learning_curves(found: Curves, *, tested: int, colors: Mapping[str, str], dashed: Sequence[str]) -> Figure:
    drawn = new_figure("coding_or_discovery", "learning_curves", 11.5, 5.0, tested=tested)
    axes = panel(drawn, left=MARGIN + 0.55, bottom=0.75, width=8.3, height=4.1)
    for method, by in found.items():
        mean, low, high = 100 - np.array([interval(one, tested=tested) for one in by.values()]).T
        line, marker = ("--", "s") if method in dashed else ("-", "o")
        bars = axes.errorbar(list(by), mean, yerr=[mean - high, low - mean], label=method, color=colors[method], elinewidth=1)
        bars[0].set(linestyle=line, linewidth=2, marker=marker, markersize=5)
    axes.set_yscale("log")
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 90) if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylabel("test error, %")
    across(axes, list(next(iter(found.values()))))
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return drawn


def plot_crossover(gaps: Mapping[str, Gaps], turns: Mapping[str, Crossover], *, colors: Mapping[str, str]) -> Figure:
    sizes = list(next(iter(gaps.values())))
    drawn = new_figure("coding_or_discovery", "crossover", 11.5, 4.6)
    axes = panel(drawn, left=MARGIN + 0.55, bottom=0.75, width=8.3, height=3.7)
    axes.axhline(0, color=MUTED, linewidth=1)
    for name, gap in gaps.items():
        axes.plot(sizes, [100 * given.mean() for given in gap.values()], color=colors[name], label=name)
        for size, given in gap.items():
            axes.plot([size] * len(given), 100 * given.mean(axis=1), "o", color=colors[name], markersize=4, alpha=0.6)
        crossed = turns[name]
        low, high = np.clip([crossed.low, crossed.high], sizes[0], sizes[-1])
        axes.plot([low, high], [0, 0], color=colors[name], linewidth=7, alpha=0.35, solid_capstyle="butt")
        if 0 < crossed.at < math.inf:
            axes.plot(crossed.at, 0, "D", color=colors[name], markeredgecolor="white", markersize=9, zorder=4)
    axes.set_ylabel("ahead by, points")
    across(axes, sizes)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return drawn


def across(axes: "Axes", sizes: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{write_size(size)}\n(all)" if size == sizes[-1] else write_size(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("training images of each digit")
