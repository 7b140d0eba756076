"""The configurable convolutional network."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, SIDE, Section, value
from filterlab.models.plan import ACTIVATIONS, Model


@dataclass
class ConvLayer(Section):
    """One layer of a ConvNet, in the order convolution, batch norm, activation, pooling, dropout.

    The only defaults outside conf/: elements of a list have no file of their own there.
    """

    filters: int = value("number of filters", ge=1, le=COUNT)
    kernel: int = value("side of the filters, in pixels", ge=1, le=SIDE)
    stride: int = value("of the convolution, in pixels", default=1, ge=1, le=SIDE)
    padding: int = value("zeros added on each side, in pixels", default=0, ge=0, le=SIDE)
    batch_norm: bool = value("normalise over the batch before the activation", default=False)
    activation: str = value("after the convolution", default="relu", choices=ACTIVATIONS)
    pool: int = value("side and stride of the max pooling, in pixels; 1 is none", default=1, ge=1, le=SIDE)
    dropout: float = value("probability of dropping a unit", default=0.0, ge=0, lt=1)


@dataclass
class ConvNet(Model):
    layers: list[ConvLayer] = value("the convolutions, from the image up", least=1, most=1_000)
    head: str = value("how the last maps become a vector", choices=["flatten", "global_max", "global_average"])
    hidden: list[int] = value("widths of dense ReLU layers before the last, in units", ge=1, le=COUNT, most=1_000)
    dropout: float = value("probability of dropping a unit before the last layer", ge=0, lt=1)


NAMES = {"conv_net": ConvNet, "cnn": ConvNet}  # the default network goes by a name of its own in figures and runs
