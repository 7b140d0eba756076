"""Checkpoints of one training: one after every epoch, and one every so many seconds within it. The last two and the best epoch's
are kept, each with its digest.
"""

import hashlib
import io
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from filterlab import files
from filterlab.errors import DataError
from filterlab.training.bucket import S3Path, located

PATTERN = "epoch_*.ckpt"  # see `path`
KEPT = 2  # of the last ones: where the newest is damaged, the one before is used
DIGEST = hashlib.sha256().digest_size  # bytes before what torch.save writes
# Ctrl-C, the end of a job, and a scheduler's warning of it.
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]


Place = Path | S3Path  # of a checkpoint, or of their folder


class DigestedFiles(TorchCheckpointIO):
    """Checkpoints as files, or as objects in a bucket, that are there whole or not at all: a SHA-256, then what it is of, as
    torch.save writes it. A thread writes them, one at a time, while the training goes on.

    (Lightning moves a file over from the folder for temporary files, which is no single step where that folder is on another
    disk; torch.save says of a full disk that a position is unexpected.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self.pending: Future[None] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Copy the checkpoint and have it written. Raises DataError where the one before could not be.

        storage_options: is called once it is on the disk.
        """
        self.wait()
        # No callback changes a tensor that it has saved (the first layer of every epoch is among them): those are not copied.
        copied = {name: _copy(part, tensors=name != "callbacks") for name, part in checkpoint.items()}
        self.pending = self.thread.submit(_write, located(path), copied, storage_options or (lambda: None))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read(located(path))

    def is_busy(self) -> bool:
        """Whether one is being written. Raises DataError where it could not be."""
        if self.pending and not self.pending.done():
            return True
        self.wait()
        return False

    def wait(self) -> None:
        """Until what was saved is on the disk. Raises DataError where it could not be written."""
        pending, self.pending = self.pending, None
        if pending:
            pending.result()

    def close(self) -> None:
        """Wait, and end the thread."""
        try:
            self.wait()
        finally:
            self.thread.shutdown()


class KeptCheckpoints(Checkpoint):
    """Saves a checkpoint at the end of every epoch, every so many seconds within it, and when a signal asks for the end; after
    all other callbacks. Knows the best epoch.

    Attributes:
        best_epoch: counted from 1; the first one with the best value of `monitor`; 0 before the first epoch's end.
    """

    def __init__(self, folder: Place, written: DigestedFiles, *, monitor: str, mode: str, seconds: float):
        """`mode`: "max" or "min" of the metric `monitor`; `seconds`: between two checkpoints within an epoch."""
        self.folder, self.written, self.monitor, self.seconds = folder, written, monitor, seconds
        self.sign = 1 if mode == "max" else -1
        self.best_epoch, self.best = 0, 0.0
        self.last: list[Place] = []  # checkpoints that were saved last, or gone on from
        self.saved = 0.0  # when
        self.signal = 0  # that asks for the end

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals; Lightning gives back the handlers that were there before it."""
        self.saved = time.monotonic()

        def note(number: int, frame: FrameType | None) -> None:
            # The first ends the training after the batch. Raised at once, it could be lost: Python ignores what is raised within
            # a weak reference's callback. A second Ctrl-C does not wait for the batch.
            if number == self.signal == signal.SIGINT:
                raise KeyboardInterrupt
            self.signal = number

        for number in SIGNALS if threading.current_thread() is threading.main_thread() else []:
            # Instead of Lightning's of SIGTERM, which in ddp talks to the other processes wherever each of them stands. A
            # launcher may have a use of its own for the others.
            if number == signal.SIGTERM or signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, note)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Lightning would take an epoch whose last batch is done for one that was validated too: see on_validation_batch_start.
        if not trainer.is_last_batch:
            self.save_if_due(trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.save_if_due(trainer)

    def save_if_due(self, trainer: pl.Trainer) -> None:
        """Save where the seconds are over and the disk is free, on each rank where rank zero says so; or save and end."""
        due = trainer.is_global_zero and time.monotonic() - self.saved >= self.seconds and not self.written.is_busy()
        if trainer.strategy.reduce_boolean_decision(due or self.is_to_end(trainer), all=False):
            batches = trainer.fit_loop.batch_idx + 1
            saved = path(self.folder, trainer.current_epoch + 1, batches)
            if [saved] != self.last[-1:]:  # nothing changes while it validates
                self.save(trainer, saved)
            self.end_if_signalled(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        value = float(trainer.callback_metrics[self.monitor])
        if not self.best_epoch or self.sign * value > self.sign * self.best:
            self.best_epoch, self.best = epoch, value
        self.save(trainer, path(self.folder, epoch))
        self.end_if_signalled(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.written.wait()
        trainer.strategy.barrier("the last checkpoint is written")  # each rank reads the best one

    def save(self, trainer: pl.Trainer, saved: Place) -> None:
        self.written.wait()
        self.last = [*(other for other in self.last if other != saved), saved][-KEPT:]
        best = path(self.folder, self.best_epoch)
        trainer.save_checkpoint(saved, storage_options=_remover(self.folder, {best, *self.last}))
        self.saved = time.monotonic()

    def is_to_end(self, trainer: pl.Trainer) -> bool:
        return bool(self.signal) or trainer.received_sigterm  # before on_train_start Lightning takes it

    def end_if_signalled(self, trainer: pl.Trainer) -> None:
        """Raises SystemExit with the code of the signal, on every rank; KeyboardInterrupt for SIGINT's."""
        if trainer.strategy.reduce_boolean_decision(self.is_to_end(trainer), all=False):
            if self.signal == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + (self.signal or signal.SIGTERM))

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if (
            trainer.validating
        ):  # what goes on from it begins the validation anew: in Lightning's words, it stands at its first batch
            first = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"] |= {"total": first, "current": first}

    def state_dict(self) -> dict[str, Any]:
        return {"best_epoch": self.best_epoch, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_epoch, self.best = state_dict["best_epoch"], state_dict["best"]

    def newest(self) -> tuple[Place | None, list[DataError]]:
        """The last checkpoint that is intact and whose best epoch's is, too; None without one. And what is wrong with those
        after it. Raises DataError: the folder can't be read.
        """
        faults = []
        with files.blaming(self.folder, verb="read"):
            there = sorted(self.folder.glob(PATTERN), key=position, reverse=True)
        for found in there:
            try:
                best_epoch = read(found)["callbacks"][self.state_key]["best_epoch"]
                if best_epoch and path(self.folder, best_epoch) != found:
                    read(path(self.folder, best_epoch))
            except DataError as error:
                faults.append(error)
            else:
                self.last = [found]
                return found, faults
        return None, faults


def path(folder: Place, epoch: int, batches: int = 0) -> Place:
    """Of the checkpoint after an epoch, counted from 1; with `batches`, of that within it, after so many."""
    return folder / (f"epoch_{epoch}_batch_{batches}.ckpt" if batches else f"epoch_{epoch}.ckpt")


def position(path: Place) -> tuple[int, int]:
    """Where it stands in the training: finished epochs, and batches of the next."""
    epoch, *batches = map(int, re.findall(r"\d+", path.name))
    return (epoch - 1, batches[0]) if batches else (epoch, 0)


def place(path: Place) -> str:
    """The same in words."""
    epoch, *batches = re.findall(r"\d+", path.name)
    return f"within epoch {epoch}, after batch {batches[0]}" if batches else f"after epoch {epoch}"


def read(path: Place) -> dict[str, Any]:
    """A checkpoint, its tensors on the CPU. Raises DataError where it is missing, or is not what was written."""
    with files.blaming(path, verb="read"):
        content = memoryview(path.read_bytes())
    written, found = content[:DIGEST].tobytes(), hashlib.sha256(content[DIGEST:]).digest()
    if written != found:
        raise DataError(
            f"{path} is damaged: its content has the SHA-256 {found.hex()}, expected {written.hex() or 'one before it'}"
        )
    checkpoint: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST:]), weights_only=True, map_location="cpu")
    return checkpoint


def _write(path: Place, checkpoint: dict[str, Any], then: Callable[[], None]) -> None:
    content = io.BytesIO()
    content.write(bytes(DIGEST))
    torch.save(checkpoint, content)
    whole = content.getbuffer()
    whole[:DIGEST] = hashlib.sha256(whole[DIGEST:]).digest()
    if isinstance(path, Path):
        with files.replacing(path) as file:
            file.write(whole)
    else:
        with files.blaming(path, verb="write"):
            path.write_bytes(content.getvalue())
    then()


def _remover(folder: Place, kept: set[Place]) -> Callable[[], None]:
    def remove() -> None:
        with files.blaming(folder, verb="remove old checkpoints in"):
            there: list[Place] = [*folder.glob(PATTERN)]
            for other in there:
                if other not in kept:
                    other.unlink()

    return remove


def _copy(tree: Any, *, tensors: bool) -> Any:
    """The dicts, lists and tuples anew, and of the tensors, where they are copied, the values, on the CPU."""
    if isinstance(tree, dict):
        return {key: _copy(leaf, tensors=tensors) for key, leaf in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_copy(leaf, tensors=tensors) for leaf in tree)
    return tree.detach().to("cpu", copy=True) if tensors and isinstance(tree, torch.Tensor) else tree
