"""The activations by their names in the configuration, and the initial weights that suit each."""

from typing import TypeVar

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
_RECTIFIERS = {"relu", "leaky_relu", "elu", "gelu"}

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def activation(name: str) -> nn.Module:
    """A new activation, never in place: a hook that keeps the map below must find it unchanged."""
    return ACTIVATIONS[name]()


def initialized(layer: Layer, *, before: str) -> Layer:
    """`layer` with the initial weights that keep a signal's variance in a stack of layers, each `before` that activation.

    He et al. (arXiv 1502.01852) normal with fan_in for rectifiers, Glorot and Bengio (2010) uniform for the others. PyTorch's
    default has a sixth of He's variance, so that a signal fades in a deep network without batch norm. Biases start at zero.
    """
    if before in _RECTIFIERS:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    else:
        nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
