"""The configurable convolutional network."""

from collections import Counter, OrderedDict

from torch import nn

from filterlab.models.activations import activation, initialized
from filterlab.models.architectures import conv_net as settings
from filterlab.models.global_pool import GlobalAverage, GlobalMax
from filterlab.models.shapes import flat_size

HEADS: dict[str, type[nn.Module]] = {"flatten": nn.Flatten, "global_max": GlobalMax, "global_average": GlobalAverage}


class ConvNet(nn.Sequential):
    """(N, C, H, W) float32 -> logits (N, classes).

    The submodules of a kind are numbered from 1 in the order of the forward pass: pool1 is the first pool, after whichever
    layer it stands. A convolution has no bias where batch norm follows, which would subtract it again.
    Raises ShapeError if the images are too small.
    """

    def __init__(self, model: settings.ConvNet, *, channels: int, height: int, width: int, classes: int):
        units = flat_size(model, channels=channels, height=height, width=width, classes=classes)
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        counts: Counter[str] = Counter()

        def add(kind: str, module: nn.Module) -> None:
            counts[kind] += 1
            parts[f"{kind}{counts[kind]}"] = module

        for layer in model.layers:
            conv = nn.Conv2d(channels, layer.filters, layer.kernel, layer.stride, layer.padding, bias=not layer.batch_norm)
            # Batch norm takes the scale away, and small weights turn faster: the learned filters don't drown in initial noise.
            add("conv", conv if layer.batch_norm else initialized(conv, before=layer.activation))
            if layer.batch_norm:
                add("norm", nn.BatchNorm2d(layer.filters))
            add("act", activation(layer.activation))
            if layer.pool > 1:
                add("pool", nn.MaxPool2d(layer.pool))
            if layer.dropout > 0:
                add("drop", nn.Dropout(layer.dropout))
            channels = layer.filters
        parts[model.head] = HEADS[model.head]()
        for width_ in model.hidden:
            add("fc", initialized(nn.Linear(units, width_), before="relu"))
            add("act", nn.ReLU())
            units = width_
        if model.dropout > 0:
            add("drop", nn.Dropout(model.dropout))
        add("fc", nn.Linear(units, classes))
        super().__init__(parts)
