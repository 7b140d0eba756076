"""The layers of a network beside each other: what a straight line reads from each, how specific its channels are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.nn import functional as F

from filterlab.data.arrays import LabelledImages
from filterlab.visualization.patches import batches, recorded
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, ORANGE, panel, sheet

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor

PROBED = 4_000  # training images that a probe is fitted on, and validation images that it is scored on, at most
FEATURES = 1_024  # numbers of an image that a probe is given, at most
RIDGE = 1e-2  # added to the covariance of standardised features


@dataclass(frozen=True)
class Layers:
    """By layer: accuracy of its linear probe on validation images; selectivity of each of its channels."""

    accuracy: dict[str, float]
    selectivity: dict[str, NDArray[np.float64]]


def compare(
    predictor: "Predictor", layers: Iterable[str], train: LabelledImages, validation: LabelledImages, *, seed: int
) -> Layers:
    """Probes are fitted on training images and scored on validation images, PROBED of each, drawn with `seed`; the classes'
    means that selectivity compares are of those validation images.
    """
    draw = np.random.default_rng(seed)
    fitted, scored = (part_of(images, draw) for images in (train, validation))
    layers = list(layers)
    classes = len(predictor.classes)
    features, _ = read(predictor, layers, fitted.images, seed=seed)
    scored_features, means = read(predictor, layers, scored.images, seed=seed)
    accuracy = {
        name: float((probe(features[name], fitted.labels, scored_features[name], classes=classes) == scored.labels).mean())
        for name in layers
    }
    return Layers(accuracy, {name: selectivity(means[name], scored.labels) for name in layers})


def part_of(images: LabelledImages, draw: np.random.Generator) -> LabelledImages:
    """PROBED images of them at most, in their own order."""
    if len(images) <= PROBED:
        return images
    rows = np.sort(draw.choice(len(images), PROBED, replace=False))
    return LabelledImages(images.images[rows], images.labels[rows])


def read(
    predictor: "Predictor", layers: list[str], images: NDArray[np.uint8], *, seed: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """By layer, two arrays for N images. The features (N, D) that a probe is given: maps averaged over as fine a grid as FEATURES
    allow, 4 x 4 at most, and where the channels alone are more, FEATURES random sums of them. And (N, K): each channel's answer,
    the mean of what lies above 0.
    """
    features: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    means: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    mixes: dict[str, torch.Tensor] = {}
    with recorded(predictor, layers) as outputs, torch.inference_mode():
        for _, batch in batches(predictor, images, outputs):
            predictor(batch)
            for name in layers:
                found = outputs.pop(name).float()
                maps = found if found.ndim == 4 else found[:, :, None, None]
                means[name].append(maps.clamp(min=0).mean(dim=(2, 3)))
                side = max(1, min(4, int((FEATURES / maps.shape[1]) ** 0.5)))
                grid = F.adaptive_avg_pool2d(maps, (min(side, maps.shape[2]), min(side, maps.shape[3]))).flatten(1)
                if grid.shape[1] > FEATURES:
                    if name not in mixes:
                        draw = torch.Generator().manual_seed(seed)
                        mixes[name] = torch.randn(grid.shape[1], FEATURES, generator=draw) / FEATURES**0.5
                    grid = grid @ mixes[name]
                features[name].append(grid)
    return {n: torch.cat(f).numpy() for n, f in features.items()}, {n: torch.cat(f).numpy() for n, f in means.items()}


def probe(
    features: NDArray[np.floating], labels: NDArray[np.integer], others: NDArray[np.floating], *, classes: int
) -> NDArray[np.int64]:
    """The classes of `others` (M, D) by ridge regression on one column a class, fitted to `features` (N, D) with labels (N,)."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-6, spread, 1)
    known, asked = ((of.astype(np.float64) - mean) / spread for of in (features, others))
    wanted = np.eye(classes)[labels] - np.eye(classes)[labels].mean(axis=0)
    weights = np.linalg.solve(known.T @ known / len(known) + RIDGE * np.eye(known.shape[1]), known.T @ wanted / len(known))
    return (asked @ weights + np.eye(classes)[labels].mean(axis=0)).argmax(axis=1)


def selectivity(answers: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(K,): (highest - rest) / (highest + rest) of each channel's answers >= 0 (N, K): the largest mean of a class, and the mean
    over the other classes (Morcos and others 2018, arXiv 1803.06959). 1: it answers one class alone; 0: all alike.
    """
    means = np.stack([answers[labels == k].mean(axis=0, dtype=np.float64) for k in np.unique(labels)])
    if len(means) == 1:
        return np.zeros(answers.shape[1])
    highest = means.max(axis=0)
    rest = (means.sum(axis=0) - highest) / (len(means) - 1)
    total = highest + rest
    return np.where(total > 0, highest - rest, 0) / np.where(total > 0, total, 1)


def draw_compared(
    trained: Layers, untrained: Layers, fields: dict[str, int], *, chance: float, side: int, subject: str
) -> Figure:
    """Three panels over the layers, from the image up: probes, selectivity, receptive fields (the longer side, in pixels)."""
    names = [*trained.accuracy]
    drawn = sheet(
        "From pixels to classes: the layers compared",
        caption=f"{subject}. Validation images; the untrained network is the one that training began with",
        width=max(12.0, 0.9 * len(names) + 6),
        height=4.3,
    )
    across = drawn.get_size_inches()[0]
    step = (across - 2 * MARGIN) / 3
    places = np.arange(len(names))
    panels = [panel(drawn, left=MARGIN + 0.55 + k * step, bottom=1.0, width=step - 0.95, height=2.9) for k in range(3)]
    for found, color, label in ((untrained, ORANGE, "untrained"), (trained, BLUE, "trained")):
        panels[0].plot(places, list(found.accuracy.values()), "o-", color=color, label=label)
        middle, low, high = (
            np.array([np.quantile(found.selectivity[name], share) for name in names]) for share in (0.5, 0.25, 0.75)
        )
        panels[1].fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
        panels[1].plot(places, middle, "o-", color=color, label=label)
    panels[0].axhline(chance, color=FAINT, linewidth=1)
    panels[0].text(0, chance, "chance", fontsize=9, color=INK, va="bottom")
    panels[2].plot(places, [fields[name] for name in names], "o-", color=BLUE)
    panels[2].axhline(side, color=FAINT, linewidth=1)
    panels[2].text(0, side, "the image", fontsize=9, color=INK, va="bottom")
    for axes, words in zip(
        panels, ("accuracy of a linear probe", "class selectivity (median, quartiles)", "sees, in pixels"), strict=True
    ):
        axes.set_title(words, fontsize=11, color=INK, loc="left")
        axes.set_xticks(places, names, fontsize=9, color=INK, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.3, len(names) - 0.7)
    panels[0].set_ylim(0, 1.03)
    panels[1].set_ylim(0, 1.03)
    panels[2].set_ylim(bottom=0)
    panels[0].legend(frameon=False, fontsize=10, loc="lower right")
    return drawn
