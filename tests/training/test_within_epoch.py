"""A training that is ended within an epoch, at any place, goes on there: to the same bits, each number once."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlab.errors import DataError
from filterlab.training import checkpoints
from filterlab.training.classifier import Classifier
from filterlab.training.fit import Fitted
from filterlab.training.history import Epoch

# An epoch is 13 batches of training, the last one smaller, and 2 of validation.
SMALL = ["trainer.max_epochs=2", "trainer.patience=2", "trainer.batch_size=16", "trainer.checkpoint_seconds=0", "schedule=one_cycle"]
BATCHES = 13


@pytest.fixture(scope="module")
def whole(make_training: Callable, bits_of: Callable, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bits_of(make_training(*SMALL, "trainer.checkpoint_seconds=60")(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each batch, however slow the disk is."""
    monkeypatch.setattr(checkpoints.DigestedFiles, "is_busy", checkpoints.DigestedFiles.wait)


@contextlib.contextmanager
def at_step(number: int, do: Callable[[], Any]) -> Iterator[None]:
    """`do` it at the start of the step of that number, those of training and of validation counted together from 1."""
    count = 0

    def counted(step: Callable) -> Callable:
        def counting(classifier: Classifier, batch: Any, index: int) -> Any:
            nonlocal count
            count += 1
            if count == number:
                do()
            return step(classifier, batch, index)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        for name in ("training_step", "validation_step"):
            patch.setattr(Classifier, name, counted(getattr(Classifier, name)))
        yield


def interrupt() -> None:
    raise KeyboardInterrupt


def newest(folder: Path) -> tuple[int, int]:
    return max((checkpoints.position(path) for path in folder.glob(checkpoints.PATTERN)), default=(0, 0))


@pytest.mark.usefixtures("each_batch")
def test_interrupted_at_every_batch_it_comes_to_the_same_bits(
    make_training: Callable, bits_of: Callable, tmp_path: Path, whole: bytes
) -> None:
    """Each process gets one step further: the second one ends it, but where validation has to begin anew."""
    training, fitted = make_training(*SMALL), None
    places, steps = [], 2
    while fitted is None:
        before = newest(tmp_path)
        with contextlib.suppress(KeyboardInterrupt), at_step(steps, interrupt):
            fitted = training(tmp_path)
        steps = 2 if newest(tmp_path) > before else steps + 1
        places.append(newest(tmp_path))
    within = [(epoch, batch) for epoch in range(2) for batch in range(1, BATCHES + 1)]
    assert set(places) == {*within, (1, 0), (2, 0)}
    assert bits_of(fitted) == whole
    assert fitted.images == 2 * 203
