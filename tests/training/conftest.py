"""A training small enough to run many times: 8x8 images of three patterns in noise, a network of a few hundred weights."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from filterlab.config import compose, schema
from filterlab.data.arrays import LabelledImages
from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.predictor import Predictor
from filterlab.training.fit import Fitted, fit
from filterlab.training.history import Epoch, EpochCallback

SHAPE, CLASSES = (1, 8, 8), ["a", "b", "c"]
CONF = Path(__file__).parents[2] / "conf"
COMPOSED = compose.Composer(CONF)
BASE = [
    "optimizer=adam",
    "optimizer.lr=0.01",
    "trainer=cpu",
    "trainer.precision='32'",
    "trainer.batch_size=32",
    "trainer.threads=1",
]
MODEL = ConvNet("conv_net", [ConvLayer(filters=4, kernel=3, batch_norm=True, pool=2, dropout=0.2)], "flatten", [], 0.1)


def images(n: int, *, noise: int, seed: int) -> LabelledImages:
    draw = np.random.Generator(np.random.PCG64(seed))
    labels = draw.integers(0, 3, n).astype(np.uint8)
    pictures = draw.integers(0, noise, (n, *SHAPE))
    for label in range(3):
        pictures[labels == label, :, 2 * label : 2 * label + 3] += 60
    return LabelledImages(images=pictures.clip(0, 255).astype(np.uint8), labels=labels)


@dataclass
class Training:
    """train(folder) runs it, as `filterlab stage train` would, and keeps what it was told of each epoch."""

    config: schema.Config
    noise: int
    model: schema.Model = field(default_factory=lambda: MODEL)
    told: list[Epoch] = field(default_factory=list)
    told_of: Callable[[Epoch], Any] = lambda epoch: None

    def __post_init__(self) -> None:
        self.train, self.validation = images(203, noise=self.noise, seed=1), images(77, noise=self.noise, seed=2)

    def __call__(self, checkpoints: Path, **more: bool) -> Fitted:
        network = registry.build(self.model, channels=1, height=8, width=8, classes=3, seed=self.config.seed)
        predictor = Predictor(network, data_name="patterns", classes=CLASSES, shape=SHAPE, mean=0.4, std=0.3)
        self.told = []

        class Tell(EpochCallback):
            def on_epoch(callback, epoch: Epoch) -> bool:
                self.told.append(epoch)
                return bool(self.told_of(epoch))

        return fit(predictor, self.train, self.validation, config=self.config, folder=checkpoints, callbacks=[Tell()], **more)


@pytest.fixture(scope="session")
def make_training() -> Callable[..., Training]:
    def make(*overrides: str, noise: int = 250, model: schema.Model = MODEL, told_of: Any = lambda epoch: None) -> Training:
        named = {override.split("=")[0] for override in overrides}
        base = [line for line in BASE if line.split("=")[0] not in named]
        return Training(COMPOSED(base + list(overrides)), noise=noise, model=model, told_of=told_of)

    return make


def bits(fitted: Fitted) -> bytes:
    """All that a training leaves: weights, curves, first layers."""
    weights = b"".join(tensor.numpy().tobytes() for tensor in fitted.predictor.state_dict().values())
    curves = repr([(epoch.number, epoch.metrics, epoch.steps) for epoch in fitted.epochs]).encode()
    return weights + curves + torch.stack([epoch.first_layer for epoch in fitted.epochs]).numpy().tobytes()


@pytest.fixture(scope="session")
def bits_of() -> Callable[[Fitted], bytes]:
    return bits


@pytest.fixture
def ended_while_writing() -> Callable[[int], AbstractContextManager[None]]:
    """with ended_while_writing(n): the n-th file that is written is cut in half, and the training ends there."""

    @contextmanager
    def end(write: int) -> Iterator[None]:
        real, count = os.fsync, itertools.count(1)

        def dies(file: int) -> None:
            if next(count) == write:
                os.truncate(file, os.fstat(file).st_size // 2)
                raise KeyboardInterrupt
            real(file)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "fsync", dies)
            yield

    return end
