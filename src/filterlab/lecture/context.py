"""What a topic is given to work with: MNIST, a budget, several processes, and a place to record each training."""

import os
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

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One training or fit of a topic, as it is recorded: params tell it from the others, curves are by epoch, from 1."""

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join(f"{key}={given}" for key, given in self.params.items())


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
        """A configuration for MNIST from conf/ and `words` (Hydra's overrides) alone: params.yaml has no say in the lecture.

        On one core of the processor and in float32, so that jobs run side by side, and to the same bits on any number of cores.
        """
        return self.composer(["data=mnist", "trainer=cpu", "trainer.threads=1", "trainer.precision='32'", *words])

    @cached_property
    def mnist(self) -> schema.Data:
        return self.compose().data

    @cached_property
    def train(self) -> LabelledImages:
        """MNIST's 60,000 training images. Raises DataError, naming the stage that makes them, where they are missing."""
        return prepare.official(self.mnist, raw=self.root / "data/raw", part="train")

    @cached_property
    def test(self) -> LabelledImages:
        """MNIST's 10,000 test images: to measure, once all is chosen."""
        return prepare.official(self.mnist, raw=self.root / "data/raw", part="test")

    def compose_training(self, *words: str, epochs: int, seed: int) -> schema.Config:
        """`epochs` of Adam with a one-cycle rate, without augmentation or label smoothing, but for what `words` change."""
        budget = [f"trainer.max_epochs={epochs}", f"trainer.patience={epochs}", f"seed={seed}"]
        fixed = ["optimizer=adam", "schedule=one_cycle", "augment=none", "trainer.label_smoothing=0"]
        return self.compose(*fixed, *budget, *words)

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


def by_setting(values: Mapping[tuple[S, int], T]) -> dict[S, dict[int, T]]:
    """What there is of each setting and seed, as seeds of each setting."""
    found: dict[S, dict[int, T]] = {}
    for (setting, seed), value in values.items():
        found.setdefault(setting, {})[seed] = value
    return found


def part(images: LabelledImages, which: slice | NDArray[np.int64]) -> LabelledImages:
    """Those of the images, with their labels, that an index or a slice names."""
    return LabelledImages(images=images.images[which], labels=images.labels[which])
