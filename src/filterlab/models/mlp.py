"""The multilayer perceptron."""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from filterlab.models.activations import activation, initialized
from filterlab.models.architectures import mlp as settings


class MLP(nn.Sequential):
    """(N, C, H, W) float32 -> logits (N, classes), through dense layers of model.hidden units."""

    def __init__(self, model: settings.MLP, *, channels: int, height: int, width: int, classes: int):
        widths = [channels * height * width, *model.hidden]
        parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number, (below, units) in enumerate(pairwise(widths), 1):
            parts[f"fc{number}"] = initialized(nn.Linear(below, units), before=model.activation)
            parts[f"act{number}"] = activation(model.activation)
        parts[f"fc{len(widths)}"] = nn.Linear(widths[-1], classes)
        super().__init__(parts)
