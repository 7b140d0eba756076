"""Callbacks of a training: after each epoch they log to its run, print a line, ask whether to go on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filterlab.config import schema
from filterlab.data.arrays import Card
from filterlab.tracking import NullRun
from filterlab.training import curves
from filterlab.training.history import Epoch, EpochCallback
from filterlab.visualization import filters, png


@dataclass(frozen=True)
class Training:
    """What callbacks know of a training.

    Attributes:
        run: to log to; logs nothing where tracking is off, and in the processes of other ranks.
        card: of its data.
        folder: for pictures.
        trial: whether it is one of many, which leave less.
        stop: given the run and the finished epochs, whether the training stops.
    """

    run: NullRun
    config: schema.Config
    card: Card
    folder: Path
    trial: bool
    stop: Callable[[NullRun, list[Epoch]], bool] | None


class RunCallback(EpochCallback):
    """A callback that is made once for each training."""

    def __init__(self, training: Training):
        self.training = training


class LogFirstLayer(RunCallback):
    """Draws the first layer's filters and logs the picture; of a trial at its end alone, see `stages.train`."""

    def on_epoch(self, epoch: Epoch) -> bool:
        if not self.training.trial:
            self.add_picture(epoch, step=epoch.number)
        return False

    def add_picture(self, epoch: Epoch, *, step: int) -> None:
        card, config = self.training.card, self.training.config
        picture = self.training.folder / f"first_layer_{epoch.number:03d}.png"
        shape = (card.channels, card.height, card.width)
        subject = f"{config.data.name} {config.model.name} seed {config.seed}, epoch {epoch.number}"
        weights = epoch.first_layer.numpy()
        drawn = filters.layer(weights, shape=shape, names=card.classes, name="the first layer", subject=subject)
        png.write(drawn, picture, small=self.training.trial)
        self.training.run.log_image("first_layer", picture, step=step)


class LogMetrics(RunCallback):
    """Logs loss and learning rate by step, and the metrics by epoch."""

    def on_epoch(self, epoch: Epoch) -> bool:
        for step, values in epoch.steps:
            self.training.run.log_metrics({f"step/{name}": number for name, number in values.items()}, step=step)
        if epoch.metrics:
            self.training.run.log_metrics(epoch.metrics, step=epoch.number)
            self.training.run.flush()
        return False


class PrintMetrics(RunCallback):
    """Prints a line for each epoch of training."""

    def on_epoch(self, epoch: Epoch) -> bool:
        epochs = self.training.config.trainer.max_epochs
        if epoch.metrics:
            parts = [
                f"{part}: loss {epoch.metrics[f'{part}/loss']:.4f}, accuracy {epoch.metrics[f'{part}/accuracy']:.2%}"
                for part in ("train", "validation")
            ]
            if (monitor := self.training.config.trainer.monitor) not in curves.COLUMNS:
                parts[-1] += f", {monitor.partition('/')[2].replace('_', ' ')} {epoch.metrics[monitor]:.2%}"
            print(f"epoch {epoch.number:>{len(str(epochs))}}/{epochs}  " + "  ".join(parts), flush=True)
        return False


class Prune(RunCallback):
    """Stops the training where its `stop` says so."""

    def __init__(self, training: Training):
        super().__init__(training)
        self.epochs: list[Epoch] = []

    def on_epoch(self, epoch: Epoch) -> bool:
        self.epochs.append(epoch)
        return bool(self.training.stop and epoch.metrics and self.training.stop(self.training.run, self.epochs))


# All that a training has, called in this order.
CALLBACKS: list[type[RunCallback]] = [LogFirstLayer, LogMetrics, PrintMetrics, Prune]
