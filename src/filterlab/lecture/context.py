"""What a topic is given to work with: MNIST, a budget, trainings side by side, and a place to record each."""

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from filterlab.config import compose, schema
from filterlab.data import prepare
from filterlab.data.arrays import LabelledImages

K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One training or fit of a topic, as it is recorded: params tell it from the others, curves are by epoch, from 1."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A training to be done.

    Attributes:
        params: what tells it from the topic's other jobs, e.g. {"kernel": 9, "seed": 0}.
        config: model, optimizer, schedule, augmentation, trainer and seed; its data section only names the data.
        train, validation: images and labels; validation chooses the epoch.
        test: measured once, with the chosen epoch's weights; None: nothing is.
        change: applied to the untrained network, e.g. to fix filters; a function of a module, so that it can be sent to
            another process.
    """

    params: Mapping[str, Any]
    config: schema.Config
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages | None = None
    change: Callable[[Any], None] | None = None

    @property
    def name(self) -> str:
        return " ".join(f"{key}={given}" for key, given in self.params.items())


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        curves: by name (train/loss, train/accuracy, validation/loss, validation/accuracy), one value an epoch, from epoch 1.
        best_epoch: counted from 1: the first with the best value of the monitored metric. Its weights are kept.
        network: an nn.Module in eval mode that takes scaled images; predictor: the same, for raw ones.
        first_layers: (1 + epochs, *weight) float32: the first convolution's (or dense layer's) weight, before training first.
        logits: of the job's test images, (N, K) float32; None without them.
        seconds: in the training loop, on one core.
    """

    params: Mapping[str, Any]
    curves: dict[str, list[float]]
    best_epoch: int
    predictor: Any
    first_layers: NDArray[np.float32]
    logits: NDArray[np.float32] | None
    test_labels: NDArray[np.uint8] | None
    seconds: float

    @property
    def network(self) -> Any:
        return self.predictor.network

    def best(self, metric: str) -> float:
        """A curve's value at the best epoch, e.g. of validation/accuracy."""
        return self.curves[metric][self.best_epoch - 1]

    @property
    def test_accuracy(self) -> float:
        assert self.logits is not None and self.test_labels is not None, "the job had no test images"
        return float((self.logits.argmax(axis=1) == self.test_labels).mean())


class Context:
    """Made by the stage, one a topic.

    Attributes:
        quick: the small budget: everything runs, on less data, for fewer epochs and seeds; its numbers mean little.
    """

    def __init__(self, root: Path, *, quick: bool, record: Callable[[Record], None]):
        self.root = root
        self.quick = quick
        self.record = record
        self.composer = compose.Composer(root / "conf")

    def budget(self, *, full: T, quick: T) -> T:
        """What the budget allows."""
        return quick if self.quick else full

    def compose(self, *words: str) -> schema.Config:
        """A configuration from conf/ and `words` (Hydra's overrides) alone: params.yaml has no say in the lecture.

        On one core of the processor and in float32, so that jobs run side by side, and to the same bits on any number of cores.
        """
        return self.composer(["trainer=cpu", "trainer.threads=1", "trainer.precision='32'", *words])

    @cached_property
    def mnist(self) -> schema.Data:
        return self.compose("data=mnist").data

    @cached_property
    def train(self) -> LabelledImages:
        """MNIST's 60,000 training images. Raises DataError, naming the stage that makes them, where they are missing."""
        return prepare.official(self.mnist, raw=self.root / "data/raw", part="train")

    @cached_property
    def test(self) -> LabelledImages:
        """MNIST's 10,000 test images: to measure, once all is chosen."""
        return prepare.official(self.mnist, raw=self.root / "data/raw", part="test")

    def compose_training(self, *words: str, epochs: int, seed: int) -> schema.Config:
        """`epochs` of Adam, without augmentation or label smoothing, but for what `words` change."""
        budget = [f"trainer.max_epochs={epochs}", f"trainer.patience={epochs}", f"seed={seed}"]
        return self.compose("optimizer=adam", "augment=none", "trainer.label_smoothing=0", *budget, *words)

    def train_all(self, jobs: Mapping[K, Job]) -> dict[K, Outcome]:
        """Train every job, as many at a time as there are cores; record each."""
        outcomes: dict[K, Outcome] = {}
        for (key, job), outcome in zip(jobs.items(), self.map_parallel(fit, list(jobs.values())), strict=True):
            outcomes[key] = outcome
            metrics = {f"best/{name}": outcome.best(name) for name in outcome.curves}
            metrics |= {"best_epoch": outcome.best_epoch, "training/seconds": outcome.seconds}
            accuracy = f"validation {outcome.best('validation/accuracy'):.2%}"
            if job.test is not None:
                metrics["test/accuracy"] = outcome.test_accuracy
                accuracy += f", test {outcome.test_accuracy:.2%}"
            self.record(Record(name=job.name, params=job.params, metrics=metrics, curves=outcome.curves))
            print(f"  {len(outcomes):>3} of {len(jobs)}  {job.name}: {accuracy}, {outcome.seconds:.1f} s", flush=True)
        return outcomes

    def map_parallel(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
        """function(item) of each, in the order of the items, as many at a time as there are cores, each on one core.

        function: of a module, so that it can be sent to another process; items and what it gives are pickled.
        """
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=1), warnings.catch_warnings():
            # A worker that imports Lightning after its first task grows by 300 MB, is taken for one that leaks, and replaced.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
            workers = Parallel(n_jobs=len(os.sched_getaffinity(0)), return_as="generator", max_nbytes=None, batch_size=1)
            yield from workers(delayed(function)(item) for item in items)


def fit(job: Job) -> Outcome:
    """Train one job, in the process this is called in."""
    import torch

    from filterlab.data.prepare import pixel_statistics
    from filterlab.evaluation.predict import predict
    from filterlab.models import registry
    from filterlab.models.predictor import scaling
    from filterlab.training import fit as training

    config, train, validation = job.config, writable(job.train), writable(job.validation)
    mean, std = pixel_statistics(train.images)
    predictor = registry.predictor(config, **scaling(config.trainer.scaling, mean=mean, std=std))
    if job.change is not None:
        job.change(predictor.network)
    with tempfile.TemporaryDirectory() as checkpoints:
        started = time.perf_counter()
        fitted = training.fit(predictor, train, validation, config=config, folder=Path(checkpoints))
        seconds = time.perf_counter() - started
    epochs = [epoch.metrics for epoch in fitted.epochs[1:]]
    return Outcome(
        params=job.params,
        curves={name: [metrics[name] for metrics in epochs] for name in epochs[0] if name != "lr"},
        best_epoch=fitted.best_epoch,
        predictor=fitted.predictor,
        first_layers=torch.stack([epoch.first_layer for epoch in fitted.epochs]).numpy(),
        logits=predict(fitted.predictor, writable(job.test).images) if job.test is not None else None,
        test_labels=job.test.labels if job.test is not None else None,
        seconds=seconds,
    )


def by_setting(values: Mapping[tuple[S, int], T]) -> dict[S, dict[int, T]]:
    """What there is of each setting and seed, as seeds of each setting."""
    found: dict[S, dict[int, T]] = {}
    for (setting, seed), value in values.items():
        found.setdefault(setting, {})[seed] = value
    return found


def part(images: LabelledImages, which: slice | NDArray[np.int64]) -> LabelledImages:
    """Those of the images, with their labels, that an index or a slice names."""
    return LabelledImages(images=images.images[which], labels=images.labels[which])


def writable(part: LabelledImages) -> LabelledImages:
    """A copy: PyTorch warns of arrays that it must not write to, as those of files and of other processes are."""
    return LabelledImages(images=part.images.copy(), labels=part.labels.copy())
