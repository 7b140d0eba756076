"""Checkpoints of one training: a file an epoch, of which the last two and the best epoch's are kept, each with its digest."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from filterlab import files
from filterlab.errors import DataError

PATTERN = "epoch_*.ckpt"  # see `path`
KEPT = 2  # of the last epochs: where the newest is damaged, the one before is used
DIGEST = hashlib.sha256().digest_size  # bytes before what torch.save writes


class EpochCheckpoints(Checkpoint):
    """Writes a checkpoint at the end of every epoch, after all other callbacks, and knows the best epoch.

    Attributes:
        best_epoch: counted from 1; the first one with the best value of `monitor`; 0 before the first epoch's end.
    """

    def __init__(self, folder: Path, *, monitor: str, mode: str):
        """`mode`: "max" or "min" of the metric `monitor`."""
        self.folder, self.monitor = folder, monitor
        self.sign = 1 if mode == "max" else -1
        self.best_epoch, self.best = 0, 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        value = float(trainer.callback_metrics[self.monitor])
        if not self.best_epoch or self.sign * value > self.sign * self.best:
            self.best_epoch, self.best = epoch, value
        trainer.save_checkpoint(path(self.folder, epoch))
        if trainer.is_global_zero:
            kept = {path(self.folder, number) for number in (self.best_epoch, *range(epoch - KEPT + 1, epoch + 1))}
            for other in set(self.folder.glob(PATTERN)) - kept:
                other.unlink()

    def state_dict(self) -> dict[str, Any]:
        return {"best_epoch": self.best_epoch, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_epoch, self.best = state_dict["best_epoch"], state_dict["best"]

    def newest(self) -> tuple[int, list[DataError]]:
        """The last epoch of which the checkpoint is intact, and that of its best epoch; 0 without one. And what is wrong with
        those after it.
        """
        faults = []
        for epoch in sorted((int(found.stem.partition("_")[2]) for found in self.folder.glob(PATTERN)), reverse=True):
            try:
                best_epoch = read(path(self.folder, epoch))["callbacks"][self.state_key]["best_epoch"]
                if best_epoch != epoch:
                    read(path(self.folder, best_epoch))
            except DataError as error:
                faults.append(error)
            else:
                return epoch, faults
        return 0, faults


class DigestedFiles(TorchCheckpointIO):
    """Checkpoints as files that are there whole or not at all: a SHA-256, then what it is of, as torch.save writes it.

    (Lightning moves a file over from the folder for temporary files, which is no single step where that folder is on another
    disk; torch.save says of a full disk that a position is unexpected.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with files.replacing(Path(path)) as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read(Path(path))


def path(folder: Path, epoch: int) -> Path:
    """Of the checkpoint after an epoch, counted from 1."""
    return folder / f"epoch_{epoch}.ckpt"


def read(path: Path) -> dict[str, Any]:
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
