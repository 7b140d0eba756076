"""The LightningModule: a network, its loss, and the counts that metrics are made of."""

import math
from collections.abc import Callable
from statistics import fmean
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from filterlab.config import schema
from filterlab.data.datamodule import Batch, class_weights, mix
from filterlab.errors import UserError
from filterlab.models.artifact import Predictor


class Classifier(pl.LightningModule):
    """Cross-entropy classification of images (N, C, H, W) uint8.

    Metrics weight each example equally, whatever the batches: sums are gathered and divided at the epoch's end.
    train/loss and train/accuracy are those of the varied images, with dropout on, as the epoch goes, without weights of classes.
    """

    def __init__(self, predictor: Predictor, *, config: schema.Config):
        super().__init__()
        self.predictor = predictor
        self.config = config
        # Of the function, and not of the module: the names of its weights stay as they are. A GPU repeats recorded graphs.
        compiled = torch.compile(predictor.forward, mode="reduce-overhead", dynamic=False) if config.trainer.compile else None
        self.compute: Callable[[torch.Tensor], torch.Tensor] = compiled or predictor.forward
        # part -> float64: loss, hits, examples; of validation for each class besides: hits, how often it was called, examples
        self.sums: dict[str, torch.Tensor] = {}
        self.weights: torch.Tensor | None = None  # of the classes in the loss
        self.metrics: dict[str, float] = {}  # of the last epoch
        self.resumed: dict[str, Any] = {}  # of the checkpoint that the training goes on from: what is this rank's own

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.compute(images)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        images, labels = batch
        logits = self(images)
        self.count("train", logits.detach(), labels)
        loss = self.loss(logits, labels)
        # The mean over the whole batch, also where the ranks' shares of it differ by an image: DDP averages over the ranks.
        return loss / self.trainer.train_dataloader.size(index) * self.trainer.world_size

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The sum over the images."""
        smoothing = self.config.trainer.label_smoothing
        if self.weights is None:
            return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
        return (F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing) * self.weights[labels]).sum()

    def validation_step(self, batch: Batch, index: int) -> None:
        images, labels = batch
        self.count("validation", self(images), labels)

    def count(self, part: str, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch's loss, hits and size to the epoch's, on the device: nothing waits for it."""
        loss, predicted = F.cross_entropy(logits, labels, reduction="sum"), logits.argmax(dim=1)
        hits = (predicted == labels).sum()
        sums = torch.stack([loss, hits, hits.new_full((), len(labels))]).double()
        if part == "validation":
            called, actual = (F.one_hot(each, logits.shape[1]) for each in (predicted, labels))
            sums = torch.cat([sums, torch.stack([called * actual, called, actual]).sum(dim=1).flatten()])
        self.sums[part] += sums

    def start(self, part: str) -> None:
        of_classes = 3 * len(self.predictor.classes) if part == "validation" else 0
        self.sums[part] = torch.zeros(3 + of_classes, dtype=torch.float64, device=self.device)

    def finish(self, part: str) -> None:
        loss, hits, examples, *of_classes = self.trainer.strategy.reduce(self.sums[part], reduce_op="sum").tolist()
        numbers = {f"{part}/loss": loss / examples, f"{part}/accuracy": hits / examples}
        if of_classes:  # a class without an example has no score, as in evaluation.metrics
            count = len(of_classes) // 3
            scored = [(of_classes[k], of_classes[count + k], of_classes[2 * count + k]) for k in range(count)]
            recalls = [right / actual for right, _, actual in scored if actual]
            scores = [2 * right / (called + actual) for right, called, actual in scored if actual]
            numbers |= {f"{part}/balanced_accuracy": fmean(recalls), f"{part}/macro_f1": fmean(scores)}
        self.metrics |= numbers
        # For early stopping and checkpoints; Lightning keeps float32, and warns where ranks say numbers without sync_dist.
        self.log_dict(numbers, sync_dist=True)

    def on_fit_start(self) -> None:
        if self.config.trainer.balance == "weights":
            _, labels = self.trainer.datamodule.tensors["train"]
            self.weights = class_weights(labels, classes=len(self.predictor.classes))

    def on_train_start(self) -> None:
        if self.resumed:  # Lightning begins no epoch where a training goes on within one
            # Of what Batches says by itself, Lightning keeps rank zero's, and has no use for it where the schedule has asked for
            # the number of steps.
            self.trainer.train_dataloader.load_state_dict(self.resumed["batches"])
            self.seed_dropout()
            set_generators(self.resumed["generators"], self.device)
            self.sums["train"] = self.resumed["sums"].to(self.device)
            self.resumed = {}

    def on_train_epoch_start(self) -> None:
        self.seed_dropout()
        self.start("train")

    def seed_dropout(self) -> None:
        """Set the global generator, from which dropout draws, by epoch, so that a resumed training draws the same."""
        torch.manual_seed(mix(self.config.seed, self.current_epoch, -1 - self.global_rank))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        batches = self.trainer.train_dataloader.state_dict()
        mine = {"batches": batches, "sums": self.sums["train"].cpu(), "generators": generators(self.device)}
        checkpoint["ranks"] = ranks = [mine] * self.trainer.world_size
        if len(ranks) > 1:  # rank zero alone writes it
            torch.distributed.all_gather_object(ranks, mine)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.resumed = checkpoint["ranks"][self.global_rank]

    def on_validation_epoch_start(self) -> None:
        self.start("validation")
        if self.trainer.world_size > 1:  # each rank's batch norm has seen its own share: validate what is saved, rank zero's
            for buffer in self.predictor.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def on_validation_epoch_end(self) -> None:
        # Validation ends an epoch; callbacks' on_train_epoch_end would run before this module's, and miss the numbers.
        self.finish("train")
        self.finish("validation")
        for name, number in self.metrics.items():
            if not math.isfinite(number):
                raise UserError(
                    f"{name} of epoch {self.current_epoch + 1} is {number}: the training diverged. "
                    f"Lower optimizer.lr (now {self.config.optimizer.lr:g}) and train again"
                )

    def configure_optimizers(self) -> pl.utilities.types.OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer = self.config.optimizer.build(self.predictor.network.parameters())
        factor = self.config.schedule.build(steps=steps, steps_per_epoch=steps // self.config.trainer.max_epochs)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"},
        }


def generators(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of PyTorch's global generators, by kind of device."""
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def set_generators(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Undo `generators`; a GPU's that was not saved is left alone, and so is one that is not used any more."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
