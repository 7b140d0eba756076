"""The configurable convolutional network."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from filterlab.config.section import COUNT, SIDE, Section, value
from filterlab.models.plan import (
    ACTIVATIONS,
    POOLS,
    Layer,
    Model,
    Plan,
    Sides,
    activation,
    conv,
    dense,
    dropout,
    initial_weights,
    norm,
    pair,
    pool,
)


@dataclass
class ConvLayer(Section):
    """One layer of a ConvNet, in the order convolution, batch norm, activation, pooling, dropout.

    The only defaults outside conf/: elements of a list have no file of their own there.
    """

    filters: int = value("number of filters", ge=1, le=COUNT)
    kernel: Sides = value("side of the filters, in pixels, or [height, width]", ge=1, le=SIDE, least=2, most=2)
    stride: int = value("of the convolution, in pixels", default=1, ge=1, le=SIDE)
    padding: Sides = value(
        "zeros added on each side, in pixels, or [above and below, left and right]", default=0, ge=0, le=SIDE, least=2, most=2
    )
    batch_norm: bool = value("normalise over the batch before the activation", default=False)
    activation: str = value("after the convolution", default="relu", choices=ACTIVATIONS)
    pool: int = value("side and stride of the pooling, in pixels; 1 is none", default=1, ge=1, le=SIDE)
    dropout: float = value("probability of dropping a unit", default=0.0, ge=0, lt=1)
    dilation: int = value(
        "distance of the pixels that a filter sees; 1: they are neighbors", default=1, later=True, ge=1, le=SIDE
    )
    groups: int = value(
        "of maps below and of filters, each seeing its own maps alone; as many as the maps is depthwise",
        default=1,
        later=True,
        ge=1,
        le=COUNT,
    )
    pool_of: str = value("what the pooling takes of its pixels", default="max", later=True, choices=POOLS)


@dataclass
class ConvNet(Model):
    layers: list[ConvLayer] = value("the convolutions, from the image up", least=1, most=1_000)
    head: str = value("how the last maps become a vector", choices=["flatten", "global_max", "global_average"])
    hidden: list[int] = value("widths of dense ReLU layers before the last, in units", ge=1, le=COUNT, most=1_000)
    dropout: float = value("probability of dropping a unit before the last layer", ge=0, lt=1)

    def plan(self, *, classes: int) -> Plan:
        layers = [part for layer in self.layers for part in parts(layer)]
        layers.append(Layer(self.head))
        for units in self.hidden:
            layers += [dense(units, initial=initial_weights(activation="relu")), activation("relu")]
        if self.dropout > 0:
            layers.append(dropout(self.dropout))
        return Plan([*layers, dense(classes)])


def parts(layer: ConvLayer) -> Iterator[Layer]:
    """A convolution has no bias where batch norm follows, which would subtract it again; and PyTorch's initial weights: batch
    norm takes the scale away, and small weights turn faster, so that the learned filters don't drown in initial noise.
    """
    weights = "torch" if layer.batch_norm else initial_weights(activation=layer.activation)
    yield conv(
        layer.filters,
        layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=not layer.batch_norm,
        initial=weights,
    )
    if layer.batch_norm:
        yield norm()
    yield activation(layer.activation)
    if layer.pool > 1:
        yield pool(layer.pool, of=layer.pool_of)
    if layer.dropout > 0:
        yield dropout(layer.dropout)


class DefaultNet(ConvNet):
    """By a name of its own in figures and runs, and for images of any size from 8x8 on."""

    def padded(self) -> ConvNet:
        """Every filter has so many zeros around its maps that strides and pools alone make them smaller."""
        return replace(
            self,
            layers=[
                replace(layer, padding=[layer.dilation * (side - 1) // 2 for side in pair(layer.kernel)]) for layer in self.layers
            ],
        )


NAMES = {"conv_net": ConvNet, "cnn": DefaultNet}
