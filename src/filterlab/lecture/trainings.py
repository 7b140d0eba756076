"""The trainings of a topic: side by side, to the same bits as alone, each recorded."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.lecture.context import Context, Record


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

    @property
    def parameters(self) -> int:
        """How many numbers the network has learned, or has kept as they were."""
        return sum(weights.numel() for weights in self.network.parameters())

    def record(self) -> Record:
        metrics = {f"best/{name}": self.best(name) for name in self.curves}
        metrics |= {"best_epoch": self.best_epoch, "training/seconds": self.seconds}
        metrics |= {"test/accuracy": self.test_accuracy} if self.logits is not None else {}
        return Record(self.params, metrics, self.curves)


class Recorded(Protocol):
    """What comes of a training, and knows how it is recorded."""

    def record(self) -> Record: ...


K = TypeVar("K")
R = TypeVar("R", bound=Recorded)
SHOWN = {"validation": "best/validation/accuracy", "test": "test/accuracy"}  # of a record's metrics, where it has them


def record_all(context: Context, function: Callable[[Any], R], jobs: Mapping[K, Any]) -> dict[K, R]:
    """function(job) of every job, as many at a time as there are cores; each is recorded, and a line of it printed."""
    done: dict[K, R] = {}
    for key, outcome in zip(jobs, context.map_parallel(function, list(jobs.values())), strict=True):
        done[key], record = outcome, outcome.record()
        context.record(record)
        accuracy = ", ".join(f"{name} {record.metrics[key]:.2%}" for name, key in SHOWN.items() if key in record.metrics)
        seconds = record.metrics["training/seconds"]
        print(f"  {len(done):>3} of {len(jobs)}  {record.name}: {accuracy}, {seconds:.1f} s", flush=True)
    return done


def train_all(context: Context, jobs: Mapping[K, Job]) -> dict[K, Outcome]:
    """Train every job; record each."""
    return record_all(context, fit, jobs)


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


def writable(part: LabelledImages) -> LabelledImages:
    """A copy: PyTorch warns of arrays that it must not write to, as those of files and of other processes are."""
    return LabelledImages(images=part.images.copy(), labels=part.labels.copy())
