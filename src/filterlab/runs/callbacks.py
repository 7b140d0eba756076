"""What a training does after each epoch besides learning: log to its run, print a line, ask whether to go on."""

from collections.abc import Callable
from pathlib import Path

from filterlab.config import schema
from filterlab.data.arrays import Card
from filterlab.tracking import NullRun
from filterlab.training.history import Epoch, EpochCallback
from filterlab.visualization import filters, png


class LogFirstLayer(EpochCallback):
    """Draws the first layer's filters and logs the picture."""

    def __init__(self, run: NullRun, config: schema.Config, card: Card, *, folder: Path):
        self.run, self.folder, self.names = run, folder, card.classes
        self.shape = (card.channels, card.height, card.width)
        self.subject = f"{config.data.name} {config.model.name} seed {config.seed}"

    def on_epoch(self, epoch: Epoch) -> bool:
        picture = self.folder / f"first_layer_{epoch.number:03d}.png"
        subject = f"{self.subject}, epoch {epoch.number}"
        weights = epoch.first_layer.numpy()
        png.write(filters.layer(weights, shape=self.shape, names=self.names, name="the first layer", subject=subject), picture)
        self.run.log_image("first_layer", picture, step=epoch.number)
        return False


class LogMetrics(EpochCallback):
    """Logs loss and learning rate by step, and the metrics by epoch."""

    def __init__(self, run: NullRun):
        self.run = run

    def on_epoch(self, epoch: Epoch) -> bool:
        for step, values in epoch.steps:
            self.run.log_metrics({f"step/{name}": number for name, number in values.items()}, step=step)
        if epoch.metrics:
            self.run.log_metrics(epoch.metrics, step=epoch.number)
        return False


class PrintMetrics(EpochCallback):
    """Prints a line for each epoch of training."""

    def __init__(self, *, epochs: int):
        self.epochs = epochs

    def on_epoch(self, epoch: Epoch) -> bool:
        if epoch.metrics:
            parts = [
                f"{part}: loss {epoch.metrics[f'{part}/loss']:.4f}, accuracy {epoch.metrics[f'{part}/accuracy']:.2%}"
                for part in ("train", "validation")
            ]
            print(f"epoch {epoch.number:>{len(str(self.epochs))}}/{self.epochs}  " + "  ".join(parts), flush=True)
        return False


class Prune(EpochCallback):
    """Stops the training where `stop`, given its run and the finished epochs, says so."""

    def __init__(self, run: NullRun, stop: Callable[[NullRun, list[Epoch]], bool] | None):
        self.run, self.stop = run, stop
        self.epochs: list[Epoch] = []

    def on_epoch(self, epoch: Epoch) -> bool:
        self.epochs.append(epoch)
        return bool(self.stop and epoch.metrics and self.stop(self.run, self.epochs))
