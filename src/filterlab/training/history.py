"""Metrics and the first layer's weights by epoch: the callback that records them, and the base of those that use them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

STEPS = 10  # optimizer steps between two that are kept


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: counts from 1; 0 is the network before training, which has neither metrics nor steps.
        metrics: lr (of the last step) and, each a mean over all examples, loss and accuracy of train/ and validation/;
            and of validation/, each a mean over the classes that have examples, balanced_accuracy and macro_f1.
        first_layer: see `first_layer`; without elements where it was not kept, see History.
        steps: (optimizer steps so far, loss and lr of that step), every STEPS steps.
    """

    number: int
    metrics: dict[str, float]
    first_layer: torch.Tensor
    steps: list[tuple[int, dict[str, float]]]


def first_layer(network: nn.Module) -> torch.Tensor:
    """A copy of the weight of the first convolution or, where there is none, of the first dense layer, float32."""
    layers = [module for kind in (nn.Conv2d, nn.Linear) for module in network.modules() if isinstance(module, kind)]
    return layers[0].weight.detach().to("cpu", torch.float32, copy=True).contiguous()


class EpochCallback(pl.Callback):
    """A callback that is also called with each finished epoch, number 0 first, in the process of rank zero.

    A training that goes on calls it for the epochs before the interruption too.
    """

    def on_epoch(self, epoch: Epoch) -> bool:
        """Whether the training stops after this epoch."""
        raise NotImplementedError


class History(pl.Callback):
    """Collects an Epoch after each epoch, calls every EpochCallback with it, and survives in checkpoints."""

    def __init__(self, best: Callable[[], int] | None = None) -> None:
        """best: the number of the best epoch so far: only its first layer and the last one's are kept; None: all are."""
        self.best = best
        self.epochs: list[Epoch] = []
        self.steps: list[tuple[int, torch.Tensor | float, float]] = []  # of the epoch so far: step, loss, lr
        self.stopped = False  # by an EpochCallback, before the training's last epoch

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Once more, where a training goes on: it may have broken off in the midst of the last epoch's callbacks.
        for epoch in self.epochs:
            call(trainer, epoch)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.epochs:
            self.add(trainer, pl_module, number=0, metrics={})

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % STEPS == 0:
            # kept as a tensor until the epoch's end: reading it here would make a GPU wait
            self.steps.append((trainer.global_step, outputs["loss"].detach(), rate(trainer)))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {"lr": rate(trainer), **pl_module.metrics}
        self.add(trainer, pl_module, number=trainer.current_epoch + 1, metrics=metrics)

    def add(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, number: int, metrics: dict[str, float]) -> None:
        steps = [(step, {"loss": float(loss), "lr": lr}) for step, loss, lr in self.steps]
        self.steps = []
        epoch = Epoch(number=number, metrics=metrics, first_layer=first_layer(pl_module.predictor.network), steps=steps)
        if self.best is not None:
            gone = torch.empty(0)
            self.epochs = [each if each.number == self.best() else replace(each, first_layer=gone) for each in self.epochs]
        self.epochs.append(epoch)
        stop = call(trainer, epoch)
        if trainer.strategy.reduce_boolean_decision(stop, all=False):  # the others follow rank zero
            self.stopped = number < trainer.max_epochs
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        steps = [(step, float(loss), lr) for step, loss, lr in self.steps]
        return {"epochs": [vars(epoch) for epoch in self.epochs], "steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.steps = [*state["steps"]]


def call(trainer: pl.Trainer, epoch: Epoch) -> bool:
    """Call every EpochCallback, in the process of rank zero alone; whether one of them stops the training."""
    called = [callback for callback in trainer.callbacks if isinstance(callback, EpochCallback)] if trainer.is_global_zero else []
    return any([callback.on_epoch(epoch) for callback in called])


def rate(trainer: pl.Trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"])
