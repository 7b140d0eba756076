"""Draw what the network has learned and how: from training and validation images only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from filterlab import files
from filterlab.config import resolved
from filterlab.data import arrays
from filterlab.data.arrays import LabelledImages
from filterlab.runs import logging
from filterlab.training import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from filterlab.models.predictor import Predictor

FOLDERS = ["training", "filters", "feature_maps"]  # in results/figures/, which DVC keeps
IMAGES = 10  # drawn on their way through the network at most, one a class
Drawn = Iterator[tuple[str, "Figure"]]  # the key of each, below one of FOLDERS


@dataclass(frozen=True)
class Trained:
    """What there is to draw.

    Attributes:
        curves: results/curves.csv's columns by name.
        first_layers: (1 + epochs, *weight) float32: the first layer's weight, before training first.
        subject: for the figures' titles.
    """

    predictor: "Predictor"
    train: LabelledImages
    validation: LabelledImages
    curves: dict[str, list[float]]
    first_layers: np.ndarray
    subject: str

    @cached_property
    def drawable(self) -> list[str]:
        """The classes' names, or numbers where no font has their letters."""
        from filterlab.visualization import style

        return style.drawable(self.predictor.classes)


def run(root: Path) -> None:
    """Write results/figures/filters/, feature_maps/ and training/; add them to the run.

    Raises UserError: the model, the data or the curves are missing or damaged, or a figure has a key that it can't have.
    """
    config = resolved.load(root)
    with logging.resumed(config, root) as record:
        from filterlab.models import artifact, folder
        from filterlab.visualization import png

        _, parts = arrays.load(root / "data/processed/train")
        predictor = artifact.load(root / "models")
        trained = Trained(
            predictor=predictor,
            train=parts["train"],
            validation=parts["validation"],
            curves=curves.read(root),
            first_layers=folder.first_layers(root / "models"),
            subject=f"{predictor.data_name}, {config.model.name}",
        )
        drawn = png.collect(FIGURES, trained, folders=FOLDERS)
        if not any(key.startswith("feature_maps/") for key in drawn):  # DVC would warn of an empty folder, as of a fault
            files.write(root / "results/figures/feature_maps/none.txt", f"{config.model.name} has no convolutions: no maps\n")
        for key, path in png.write_all(drawn, root / "results/figures").items():
            record.log_image(key, path)
        for name in FOLDERS:
            record.log_artifact(root / "results/figures" / name, folder="figures")


def examples(trained: Trained) -> Drawn:
    from filterlab.visualization import gallery

    train, classes = trained.train, trained.drawable
    yield "training/examples", gallery.examples(train.images, train.labels, classes=classes, subject=trained.subject)


def learning_curves(trained: Trained) -> Drawn:
    from filterlab.visualization import curves

    yield "training/curves", curves.draw_curves(trained.curves, subject=trained.subject)


def filters(trained: Trained) -> Drawn:
    """Every convolution's weights or, where there is none, the first dense layer's; then the first layer's by epoch."""
    from torch import nn

    from filterlab.visualization import filters

    predictor, history, subject = trained.predictor, trained.first_layers, trained.subject
    chosen = int(trained.curves["epoch"][trained.curves["chosen"].index(1)])
    modules = list(predictor.network.named_modules())
    layers = [named for named in modules if isinstance(named[1], nn.Conv2d)]
    if not layers:
        layers = [named for named in modules if isinstance(named[1], nn.Linear)][:1]
    for number, (name, module) in enumerate(layers, start=1):
        title = f"{name} (convolution {number} of {len(layers)})" if len(layers) > 1 else name
        weights = module.get_parameter("weight").detach().numpy()
        drawn = filters.layer(weights, shape=predictor.shape, names=trained.drawable, name=title, subject=subject)
        yield f"filters/{name}", drawn
    by_epoch = history if history.ndim == 5 else history.reshape(*history.shape[:2], *predictor.shape)
    yield "filters/by_epoch", filters.by_epoch(by_epoch, name=layers[0][0], chosen=chosen, subject=subject)


def maps(trained: Trained) -> Drawn:
    """The first validation image of each class on its way through the network."""
    import torch

    from filterlab.visualization import feature_maps
    from filterlab.visualization.gallery import visible

    predictor, validation = trained.predictor, trained.validation
    present, first = np.unique(validation.labels, return_index=True)
    present, images = present[:IMAGES], validation.images[first[:IMAGES]]
    layers = feature_maps.record(predictor, torch.from_numpy(images))
    for index, k in enumerate(present if layers else []):
        image, label = visible(images[index : index + 1])[0], trained.drawable[k]
        drawn = feature_maps.draw_feature_maps(
            layers, image, index=index, label=label, subject=f"{trained.subject}, validation image"
        )
        yield f"feature_maps/class_{k}", drawn


FIGURES: list[Callable[[Trained], Drawn]] = [examples, learning_curves, filters, maps]
