"""All views of networks and images that are unlike the usual ones: each draws what it can, and says what does not apply."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from filterlab.data.arrays import LabelledImages
from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.mlp import MLP
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.plan import Model
from filterlab.models.predictor import Predictor
from filterlab.stages import visualize
from filterlab.visualization import maximise, png
from filterlab.visualization.trained import Trained

ONE_PIXEL = [ConvLayer(filters=3, kernel=1, activation="gelu"), ConvLayer(filters=70, kernel=[1, 3], groups=1)]
CASES: dict[str, tuple[Callable[[], Model], tuple[int, int, int], int, int]] = {  # model, image, classes, validation images
    "in colour": (lambda: ResNet(name="resnet", depth=8, width=2, residual=True), (3, 12, 16), 4, 30),
    "one pixel, gelu": (
        lambda: ConvNet(name="conv_net", layers=ONE_PIXEL, head="flatten", hidden=[3], dropout=0.2),
        (1, 5, 8),
        2,
        9,
    ),
    "no convolution": (lambda: MLP(name="mlp", hidden=[30], activation="tanh"), (3, 8, 8), 12, 40),
    "almost no images": (lambda: MLP(name="mlp", hidden=[], activation="relu"), (1, 4, 4), 2, 2),
}


def trained(model: Model, shape: tuple[int, int, int], classes: int, validation: int) -> Trained:
    draw = np.random.default_rng(0)
    network = registry.build(model, channels=shape[0], height=shape[1], width=shape[2], classes=classes, seed=0)
    names = [f"<class {k}>" for k in range(classes)]
    predictor = Predictor(network, data_name="noise", classes=names, shape=shape, mean=0.5, std=0.3).eval()
    weight = next(p for p in network.parameters() if p.ndim > 1).detach()
    parts = [
        LabelledImages(draw.integers(0, 256, (n, *shape), dtype=np.uint8), (np.arange(n) % classes).astype(np.uint8))
        for n in (25, validation)
    ]
    table = {name: [0.5] for name in ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "lr")}
    return Trained(
        model=model,
        predictor=predictor,
        train=parts[0],
        validation=parts[1],
        curves={"epoch": [1.0], "chosen": [1.0], **table},
        first_layers=torch.stack([weight, weight * 1.5]).numpy(),
        subject="noise, net",
        seed=0,
    )


@pytest.mark.parametrize("case", CASES)
def test_every_view(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maximise, "OF_CHANNELS", maximise.Ascent(steps=4, starts=2))
    monkeypatch.setattr(maximise, "OF_CLASSES", maximise.Ascent(steps=4, starts=2))
    make, *rest = CASES[case]
    given = trained(make(), *rest)
    figures = png.collect(visualize.FIGURES, given, folders=visualize.FOLDERS)
    numbers = {name: view(given) for name, view in visualize.MEASURED.items()}
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers, "plain numbers"
    layers = [*given.layers]
    assert {f"filters/{name}" for name in layers} <= figures.keys()
    assert {"explained/answers", "explained/mistakes", "explained/checks"} <= figures.keys()
    assert {"layers/compared", "layers/embedding", "optimised/classes"} <= figures.keys()
    assert ("filters/development" in figures) == (case == "in colour")
    assert isinstance(numbers["filters"]["first_layer"]["likeness"], str) == (case != "in colour")
    missing = numbers["explained"]["does_not_apply"]
    assert (
        set(missing)
        == {
            "in colour": set(),
            "one pixel, gelu": {"guided backpropagation"},
            "no convolution": {"Grad-CAM", "guided backpropagation"},
            "almost no images": {"Grad-CAM", "guided backpropagation"},
        }[case]
    )
    again = trained(make(), *rest)
    assert {name: view(again) for name, view in visualize.MEASURED.items()} == numbers, "the seed decides"
