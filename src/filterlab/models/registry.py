"""The architectures by name."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from filterlab.config import schema
from filterlab.models import shapes
from filterlab.models.architectures import conv_net
from filterlab.models.conv_net import ConvNet
from filterlab.models.lenet5 import LeNet5
from filterlab.models.mlp import MLP
from filterlab.models.predictor import Predictor
from filterlab.models.resnet import ResNet
from filterlab.models.softmax import Softmax
from filterlab.models.tutorial_cnn import TutorialCNN

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "softmax": Softmax,
    "mlp": MLP,
    "tutorial_cnn": TutorialCNN,
    "lenet5": LeNet5,
    "conv_net": ConvNet,
    "cnn": ConvNet,
    "resnet": ResNet,
}


def build(model: schema.Model, *, channels: int, height: int, width: int, classes: int, seed: int) -> nn.Module:
    """A new network: (N, channels, height, width) float32 -> logits (N, classes). Its initial weights depend on `seed` alone.

    Every convolution, activation and pool is a submodule with the name that shapes.layers gives it. No random state outside
    is read or changed. Raises shapes.ShapeError if the architecture does not fit the images.
    """
    sizes = {"channels": channels, "height": height, "width": width, "classes": classes}
    shapes.layers(model, **sizes)  # before torch, whose messages name no layer
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the GPUs
        return ARCHITECTURES[model.name](model, **sizes)


def predictor(config: schema.Config, *, mean: float, std: float) -> Predictor:
    """The network that `config` describes before training, for the images that it describes, with this scaling. As `build`."""
    data = config.data
    size = {"channels": data.channels, "height": data.height, "width": data.width}
    network = build(config.model, **size, classes=len(data.classes), seed=config.seed)
    shape = (data.channels, data.height, data.width)
    return Predictor(network, data_name=data.name, classes=data.classes, shape=shape, mean=mean, std=std)


def from_dict(values: Mapping[str, Any]) -> schema.Model:
    """The inverse of dataclasses.asdict for a model. Raises ValueError naming what is unknown or missing."""
    name = dict(values).get("name")
    if name not in schema.FAMILIES["model"]:
        raise ValueError(f"no architecture is called {name!r}; there are {', '.join(schema.FAMILIES['model'])}")
    model = _section(schema.FAMILIES["model"][name], values)
    if isinstance(model, conv_net.ConvNet):
        return conv_net.ConvNet(**{**values, "layers": [_section(conv_net.ConvLayer, layer) for layer in model.layers]})
    return model


def _section(kind: type, values: Any) -> Any:
    expected = [field.name for field in fields(kind)]
    if set(values) != set(expected):
        raise ValueError(f"{kind.__name__} has the fields {', '.join(expected)}, but is given {', '.join(values)}")
    return kind(**values)
