"""Training of one network by Lightning: from arrays to the best epoch's weights."""

import logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning.callbacks import Callback, EarlyStopping, RichProgressBar

from filterlab.config import schema
from filterlab.data.arrays import LabelledImages
from filterlab.data.datamodule import ImageData
from filterlab.errors import UserError
from filterlab.models.artifact import Predictor
from filterlab.training import bucket, checkpoints, devices
from filterlab.training.classifier import Classifier
from filterlab.training.history import Epoch, History

_BACKENDS: Any = torch.backends  # modules with properties, which mypy doesn't see
# By these, and not by the newer `fp32_precision`: Lightning asks for the matmul precision, which PyTorch refuses after that one.
MULTIPLIES = [_BACKENDS.cuda.matmul, _BACKENDS.cudnn]
NO_MEMORY = re.compile(
    "ALLOC_FAILED|ALLOCATION_FAILED|CUDA error: out of memory|unable to find an engine"
)  # cuBLAS's and cuDNN's


@dataclass(frozen=True)
class Fitted:
    """The outcome of a training.

    Attributes:
        predictor: with the weights of the best epoch, in float32 on the CPU, in eval mode.
        epochs: number 0 (before training), then one a finished epoch.
        best_epoch: counted from 1; the first one with the best value of the monitored metric.
        precision: that was used, "bf16", "tf32" or "32".
        device: that was used, e.g. "cpu" or "cuda"; "cuda, then cpu" where it went on on another one.
        threads: of the CPU that were used.
        seconds: spent in the finished epochs (training, validation, checkpoints), before interruptions too.
        images: trained on in those seconds, over all devices.
        pruned: whether an EpochCallback stopped it.
    """

    predictor: Predictor
    epochs: list[Epoch]
    best_epoch: int
    precision: str
    device: str
    threads: int
    seconds: float
    images: int
    pruned: bool

    @property
    def state(self) -> str:
        return "pruned" if self.pruned else "done"


@contextmanager
def own_algorithms() -> Iterator[None]:
    """Gives PyTorch back as it was, its number of threads too: Lightning leaves deterministic algorithms chosen for all that this
    process does later, and so with the precision of float32 on a GPU, where PyTorch by itself rounds to TF32 in convolutions.

    With them, PyTorch fills memory with NaN wherever something is to be written next, so that a read before that shows. It
    changes no bits of what is computed, and costs time: it is off here.
    """
    chosen, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module with a property, which mypy doesn't see
    threads = torch.get_num_threads()
    rounded = [place.allow_tf32 for place in MULTIPLIES]
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(chosen, warn_only=warns)
        memory.fill_uninitialized_memory = filled
        torch.set_num_threads(threads)
        allow_tf32(rounded)


def allow_tf32(allowed: Iterable[bool]) -> None:
    """Whether a GPU may round float32 to TF32 where it multiplies: in matrix products, and in convolutions."""
    for place, may in zip(MULTIPLIES, allowed, strict=True):
        place.allow_tf32 = may


@own_algorithms()
def fit(
    predictor: Predictor,
    train: LabelledImages,
    validation: LabelledImages,
    *,
    config: schema.Config,
    folder: Path,
    callbacks: Sequence[Callback] = (),
    every_first_layer: bool = True,
) -> Fitted:
    """Train until validation stops improving or max_epochs is reached; go on from a checkpoint where a training broke off.

    Args:
        predictor: with initial weights; trained in place.
        train: images (N, C, H, W) uint8 and labels.
        validation: the same; chooses the epoch.
        config: of the whole experiment.
        folder: of checkpoints, for this training alone; in trainer.checkpoints, where that is set, by the same name. It has the
            last two, so that an interrupted training loses at most trainer.checkpoint_seconds (twice that, where the last one's
            file is damaged), and goes on, within an epoch too, to the same bits as one that was never interrupted: also with
            another number of cores, by the threads that it began with.
        callbacks: Lightning's; see also EpochCallback.
        every_first_layer: keep the first layer of each epoch; otherwise of the best one and the last, and checkpoints do not
            grow with the epochs.

    Raises:
        UserError: this machine lacks the devices asked for, or the loss is no longer finite.
        DataError: a checkpoint can't be written, or the folder not be read; those before it are kept.
        KeyboardInterrupt: on Ctrl-C. SystemExit: on SIGTERM (143), SIGUSR1 (138) and SIGUSR2 (140), after a checkpoint.
    """
    settings = config.trainer
    devices.check(settings)
    devices.check_gpus(settings)
    quiet()
    if settings.channels_last:
        predictor.to(memory_format=torch.channels_last)
    clock = Clock()
    written, mode = checkpoints.DigestedFiles(), direction(settings.monitor)
    place = bucket.kept(folder, settings.checkpoints)
    kept = checkpoints.KeptCheckpoints(place, written, monitor=settings.monitor, mode=mode, seconds=settings.checkpoint_seconds)
    history = History(None if every_first_layer else lambda: kept.best_epoch)
    last, faults = kept.newest()
    machine = Machine(threads=settings.threads or torch.get_num_threads(), precision=resolve_precision(settings))
    if last:
        machine.load_state_dict(checkpoints.read(last)["callbacks"][machine.state_key])
    torch.set_num_threads(machine.threads)
    allow_tf32([machine.precision == "tf32"] * 2)
    stop = Patience(settings.monitor, mode=mode, patience=settings.patience, check_on_train_epoch_end=True)
    classifier = Classifier(predictor, config=config)
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        precision="bf16-mixed" if machine.precision == "bf16" else "32-true",
        max_epochs=settings.max_epochs,
        # Some operations, max pooling's gradient among them, have no deterministic form on a GPU.
        deterministic="warn" if devices.on_gpu(settings) else True,
        logger=False,
        callbacks=[history, clock, machine, stop, kept, *callbacks, *progress_bar()],
        enable_progress_bar=bool(progress_bar()),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # Lightning would take every process within an allocation of SLURM's for one of several.
        plugins=[written, *([] if devices.started_by_slurm(settings) else [LightningEnvironment()])],
    )
    if trainer.is_global_zero:
        for fault in faults:
            print(f"{fault}: it is not used", flush=True)
        if last:
            print(f"goes on {checkpoints.place(last)}", flush=True)
        elif faults:
            print("no checkpoint is left to go on from: the training begins anew", flush=True)
    try:
        with own_processes(), closing(written):
            trainer.fit(
                classifier,
                datamodule=ImageData(train, validation, config=config),
                ckpt_path=str(last) if last else None,
                weights_only=True,
            )
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or NO_MEMORY.search(str(error))):
            raise
        size, what = settings.batch_size, str(error).partition(". GPU")[0].splitlines()[0]
        raise UserError(
            f"the GPU has no memory for a step of {size} images of {'x'.join(map(str, predictor.shape))} with this network "
            f"({what}): take fewer at a time, e.g. trainer.batch_size={max(1, size // 2)}"
        ) from error
    except SystemExit as ended:  # Lightning turns SIGTERM into exit code 0, and Ctrl-C into 1
        if trainer.received_sigterm:
            raise SystemExit(128 + signal.SIGTERM) from None
        if ended.code == 1:
            raise KeyboardInterrupt from None
        raise
    clock.stop()
    saved = checkpoints.read(checkpoints.path(place, kept.best_epoch))
    classifier.load_state_dict(saved["state_dict"])
    return Fitted(
        predictor=predictor.cpu().to(memory_format=torch.contiguous_format).eval(),
        epochs=history.epochs,
        best_epoch=kept.best_epoch,
        precision=machine.precision,
        device=", then ".join(machine.devices),
        threads=machine.threads,
        seconds=clock.seconds,
        images=clock.epochs * len(train.labels),
        pruned=history.stopped,
    )


@contextmanager
def own_processes() -> Iterator[None]:
    """Ends the process group of ddp, and forgets what Lightning wrote about it into the environment: a sweep's next training
    in this process would take itself for a rank of this one.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


class Clock(Callback):
    """Seconds between the first epoch's start and the last one's checkpoint, so that resuming and set-up don't count."""

    def __init__(self) -> None:
        self.started: float | None = None  # where it had run all the time; None while it stands
        self.seconds = 0.0
        self.epochs = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter() - self.seconds

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs += 1

    def stop(self) -> None:
        if self.started is not None:
            self.seconds, self.started = time.perf_counter() - self.started, None

    def state_dict(self) -> dict[str, Any]:
        seconds = self.seconds if self.started is None else time.perf_counter() - self.started
        return {"seconds": seconds, "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds, self.epochs = state["seconds"], state["epochs"]


class Machine(Callback):
    """What the configuration leaves to the machine, as it was when the training began: where it goes on, it keeps the number of
    threads and the precision, and with them its bits.

    Attributes:
        devices: the kinds it was trained on, one after the other, e.g. ["cuda"].
    """

    def __init__(self, *, threads: int, precision: str):
        self.threads, self.precision = threads, precision
        self.devices: list[str] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        device = trainer.strategy.root_device.type
        if self.devices[-1:] != [device]:
            self.devices.append(device)

    def state_dict(self) -> dict[str, Any]:
        return {"threads": self.threads, "precision": self.precision, "devices": self.devices}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.threads, self.precision, self.devices = state["threads"], state["precision"], [*state["devices"]]


class Patience(EarlyStopping):
    """Early stopping that stays stopped where a training broke off after its last epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


def resolve_precision(settings: schema.Trainer) -> str:
    """The precision that `auto` means on this machine: "bf16" where the hardware multiplies it, else "32"."""
    if settings.precision != "auto":
        return settings.precision
    if devices.on_gpu(settings):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "32"


def direction(monitor: str) -> str:
    return "min" if monitor.endswith("loss") else "max"


def progress_bar() -> list[Callback]:
    """A live bar on a terminal; elsewhere a line an epoch is enough."""
    return [Bar(refresh_rate=10)] if sys.stdout.isatty() else []


class Bar(RichProgressBar):
    """Counts epochs from 1, as everything else here does."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}".ljust(len(self.validation_description))


def quiet() -> None:
    """Keep Lightning's advice out of the way: what it says here is chosen or logged elsewhere."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Lightning 2.6 asks PyTorch 2.14 for a class that has moved.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # Where SLURM is installed and the training is no job of it.
    warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
    warnings.filterwarnings("ignore", message="GPU available but not used")  # trainer=cpu
    # On a GPU. Gradients of max pooling are added up in any order where windows overlap, which ours don't (models/plan.py).
    warnings.filterwarnings("ignore", message=r"(adaptive_)?max_pool2d\w*_backward_cuda does not have a deterministic")
