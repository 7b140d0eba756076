"""Softmax regression: one dense layer on the pixels."""

from collections import OrderedDict

from torch import nn

from filterlab.models.architectures import softmax as settings


class Softmax(nn.Sequential):
    """(N, C, H, W) float32 -> logits (N, classes)."""

    def __init__(self, model: settings.Softmax, *, channels: int, height: int, width: int, classes: int):
        super().__init__(OrderedDict(flatten=nn.Flatten(), fc1=nn.Linear(channels * height * width, classes)))
