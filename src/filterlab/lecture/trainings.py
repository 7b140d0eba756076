"""The trainings of a topic: side by side, to the same bits as alone, each recorded."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.lecture.context import Context, Record

K = TypeVar("K")


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


def train_all(context: Context, jobs: Mapping[K, Job]) -> dict[K, Outcome]:
    """Train every job, as many at a time as there are cores; record each."""
    outcomes: dict[K, Outcome] = {}
    for (key, job), outcome in zip(jobs.items(), context.map_parallel(fit, list(jobs.values())), strict=True):
        outcomes[key] = outcome
        metrics = {f"best/{name}": outcome.best(name) for name in outcome.curves}
        metrics |= {"best_epoch": outcome.best_epoch, "training/seconds": outcome.seconds}
        accuracy = f"validation {outcome.best('validation/accuracy'):.2%}"
        if job.test is not None:
            metrics["test/accuracy"] = outcome.test_accuracy
            accuracy += f", test {outcome.test_accuracy:.2%}"
        context.record(Record(name=job.name, params=job.params, metrics=metrics, curves=outcome.curves))
        print(f"  {len(outcomes):>3} of {len(jobs)}  {job.name}: {accuracy}, {outcome.seconds:.1f} s", flush=True)
    return outcomes


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
