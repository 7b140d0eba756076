"""A training that is ended within an epoch, at any place, goes on there: to the same bits, each number once."""

import contextlib
import itertools
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from filterlab.errors import DataError
from filterlab.training import checkpoints
from filterlab.training.classifier import Classifier

# An epoch is 13 batches of training, the last one smaller, and 2 of validation.
SMALL = [
    "trainer.max_epochs=2",
    "trainer.patience=2",
    "trainer.batch_size=16",
    "trainer.checkpoint_seconds=0",
    "schedule=one_cycle",
]
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


@pytest.fixture
def never_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint within an epoch, but where a signal asks for it."""
    monkeypatch.setattr(checkpoints.DigestedFiles, "is_busy", lambda files: True)


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


@pytest.mark.usefixtures("each_batch")
@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_a_balanced_training_goes_on_within_its_epoch(
    make_training: Callable, bits_of: Callable, tmp_path: Path, balance: str
) -> None:
    training = make_training(*SMALL, f"trainer.balance={balance}")
    with contextlib.suppress(KeyboardInterrupt), at_step(18, interrupt):
        training(tmp_path / "broken")
    assert newest(tmp_path / "broken") == (1, 2)
    bits = bits_of(training(tmp_path / "broken"))
    assert bits == bits_of(training(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("SIGTERM", 3, (0, 3)),
        ("SIGTERM", 13, (0, 13)),
        ("SIGTERM", 14, (0, 13)),
        ("SIGTERM", 15, (1, 0)),
        ("SIGUSR1", 17, (1, 2)),
        ("SIGUSR2", 29, (1, 13)),
    ],
    ids=["an epoch", "its last batch", "its validation", "its end", "the second epoch", "the second validation"],
)
def test_a_signal_ends_it_with_a_checkpoint_and_its_own_code(
    make_training: Callable, tmp_path: Path, never_due: None, name: str, number: int, expected: tuple[int, int]
) -> None:
    sent = signal.Signals[name]
    before = signal.getsignal(sent)
    with pytest.raises(SystemExit) as ended, at_step(number, lambda: signal.raise_signal(sent)):
        make_training(*SMALL)(tmp_path)
    assert (ended.value.code, newest(tmp_path)) == (128 + sent, expected)
    assert signal.getsignal(sent) is before


def test_an_interrupt_is_not_raised_where_it_could_be_lost(
    make_training: Callable, bits_of: Callable, tmp_path: Path, never_due: None, whole: bytes
) -> None:
    """Python ignores what is raised where a weak reference's callback, or an object's last method, happens to run."""
    handler = signal.getsignal(signal.SIGINT)
    reached = []

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("the step goes on")

    with pytest.raises(KeyboardInterrupt), at_step(5, interrupt):
        make_training(*SMALL)(tmp_path)
    assert reached == ["the step goes on"]
    assert newest(tmp_path) == (0, 5)
    assert signal.getsignal(signal.SIGINT) is handler
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole


def test_a_second_interrupt_does_not_wait_for_the_batch(make_training: Callable, tmp_path: Path, never_due: None) -> None:
    reached = []

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("first")
        signal.raise_signal(signal.SIGINT)
        reached.append("second")

    with pytest.raises(KeyboardInterrupt), at_step(5, twice):
        make_training(*SMALL)(tmp_path)
    assert reached == ["first"]


def test_a_launchers_own_use_of_a_signal_stays(make_training: Callable, tmp_path: Path, never_due: None) -> None:
    """submitit queues a job again at SIGUSR2, and SLURM ends it then by SIGTERM."""
    taken, before = [], signal.getsignal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, lambda number, frame: taken.append(number))
    try:
        with at_step(3, lambda: signal.raise_signal(signal.SIGUSR2)):
            make_training(*SMALL)(tmp_path)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert taken == [signal.SIGUSR2]


def test_one_is_due_when_the_seconds_are_over(
    make_training: Callable, tmp_path: Path, each_batch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch takes 13 s, by this clock: 60 are over with the fifth, and with the fifth after that."""
    clock, saved = itertools.count(0, 13), []
    real, step = checkpoints.DigestedFiles.save_checkpoint, Classifier.training_step
    now = SimpleNamespace(monotonic=lambda: now.seconds, seconds=next(clock))

    def training_step(classifier: Classifier, batch: Any, index: int) -> Any:
        now.seconds = next(clock)
        return step(classifier, batch, index)

    def save_checkpoint(written: checkpoints.DigestedFiles, checkpoint: dict[str, Any], path: Path, **given: Any) -> None:
        saved.append(path.name)
        real(written, checkpoint, path, **given)

    monkeypatch.setattr(checkpoints, "time", now)
    monkeypatch.setattr(Classifier, "training_step", training_step)
    monkeypatch.setattr(checkpoints.DigestedFiles, "save_checkpoint", save_checkpoint)
    make_training(*SMALL, "trainer.max_epochs=1", "trainer.checkpoint_seconds=60")(tmp_path)
    assert saved == ["epoch_1_batch_5.ckpt", "epoch_1_batch_10.ckpt", "epoch_1.ckpt"]


@pytest.mark.usefixtures("each_batch")
@pytest.mark.parametrize(("damaged", "used"), [([9], 8), ([9, 8], 0)], ids=["the newest", "both"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(
    make_training: Callable,
    bits_of: Callable,
    tmp_path: Path,
    whole: bytes,
    damaged: list[int],
    used: int,
    capsys: pytest.CaptureFixture,
) -> None:
    with pytest.raises(KeyboardInterrupt), at_step(10, interrupt):
        make_training(*SMALL)(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"epoch_1_batch_8.ckpt", "epoch_1_batch_9.ckpt"}
    for batch in damaged:
        path = tmp_path / f"epoch_1_batch_{batch}.ckpt"
        path.write_bytes(path.read_bytes()[:-1])
    # Again, before one is saved: what is damaged is no reason to remove what is not.
    with pytest.raises(KeyboardInterrupt), at_step(2, interrupt):
        make_training(*SMALL)(tmp_path)
    expected = {f"epoch_1_batch_{batch}.ckpt" for batch in (used, used + 1) if batch}
    assert {path.name for path in tmp_path.iterdir()} == expected
    printed = capsys.readouterr().out
    assert [batch for batch in (9, 8) if f"epoch_1_batch_{batch}.ckpt is damaged" in printed] == damaged
    assert ("goes on within epoch 1, after batch 8\n" if used else "the training begins anew\n") in printed
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole


@pytest.mark.usefixtures("each_batch")
@pytest.mark.parametrize("save", [1, 14, 16])
def test_a_kill_in_the_middle_of_writing_leaves_one_to_go_on_from(
    make_training: Callable, bits_of: Callable, tmp_path: Path, ended_while_writing: Callable, whole: bytes, save: int
) -> None:
    with ended_while_writing(save):
        make_training(*SMALL)(tmp_path)
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole


@pytest.mark.usefixtures("each_batch")
def test_a_full_disk_is_named_within_the_epoch(
    make_training: Callable, bits_of: Callable, tmp_path: Path, file_size_limit: Callable, whole: bytes
) -> None:
    expected = rf"^cannot write {tmp_path}/epoch_1_batch_(4|5)\.ckpt: File too large$"  # the fourth may just be being written
    with contextlib.ExitStack() as full:
        full.enter_context(at_step(5, lambda: full.enter_context(file_size_limit(1000))))
        with pytest.raises(DataError, match=expected) as raised:
            make_training(*SMALL)(tmp_path)
    (named,) = re.findall(r"batch_(\d)", str(raised.value))
    assert newest(tmp_path) == (0, int(named) - 1)
    assert bits_of(make_training(*SMALL)(tmp_path)) == whole


def test_the_loop_does_not_wait_for_the_disk(make_training: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that takes until the validation: no other one is begun meanwhile, and the training has its own pace."""
    over, real, begun = threading.Event(), os.fsync, []

    def slow(file: int) -> None:
        begun.append(file)
        assert over.wait(60)
        real(file)

    def validation() -> None:
        assert (len(begun), newest(tmp_path)) == (1, (0, 0))
        over.set()

    monkeypatch.setattr(os, "fsync", slow)
    with at_step(BATCHES + 1, validation):
        make_training(*SMALL, "trainer.max_epochs=1")(tmp_path)
    assert newest(tmp_path) == (1, 0)
