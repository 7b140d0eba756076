"""A network described once: its plan, an ordered list of layers. All else about a network is derived from it.

Without torch, which the configuration does not import.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from filterlab.config.section import Section, value
from filterlab.errors import UserError

RECTIFIERS = ["relu", "leaky_relu", "elu", "gelu"]
ACTIVATIONS = [*RECTIFIERS, "tanh", "sigmoid", "identity"]
# Where a layer's name is not its kind: these are counted from 1, in the network itself and in each of its blocks.
NUMBERED = {"conv": "conv", "norm": "norm", "activation": "act", "pool": "pool", "dropout": "drop", "dense": "fc"}


class ShapeError(UserError):
    """An architecture that cannot be built as configured, or not for images of this size."""


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    kind: conv, norm, activation, pool, dropout, add, flatten, global_max, global_average or dense
    settings: of that kind; the functions below say which there are
    inputs: names of the layers it works on; () is the one before it, or the image
    name: of the submodule, e.g. conv2 or group1.block3.conv1; "" until `named` gives it one
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """The layers in the order of the forward pass.

    drawn_last: the initial weights that a layer asks for are drawn once all layers stand, not with each layer. It decides which
    of the seed's numbers a weight is made of, and nothing else.
    """

    layers: list[Layer]
    drawn_last: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError: two layers have one name, or a layer works on one that is not before it."""
        self.layers[:] = named(self.layers)
        before: set[str] = set()
        for layer in self.layers:
            if layer.name in before or not before.issuperset(layer.inputs):
                raise ValueError(f"layer {layer.name} of a plan needs a name of its own, and inputs before it: {layer.inputs}")
            before.add(layer.name)


@dataclass
class Model(Section):
    name: str = value("the architecture: one of NAMES of a module in filterlab.models.architectures", text="name")

    def plan(self, *, classes: int) -> Plan:
        """The network that tells `classes` apart: its last layer gives as many logits. Raises ShapeError: there is none."""
        raise NotImplementedError


def named(layers: Iterable[Layer], *, within: str = "") -> list[Layer]:
    """The layers with a name each, of the submodule `within` (or the network itself, ''); those that have one keep it."""
    counts: Counter[str] = Counter()
    found = []
    for layer in layers:
        if not layer.name:
            counts[layer.kind] += 1
            name = f"{NUMBERED[layer.kind]}{counts[layer.kind]}" if layer.kind in NUMBERED else layer.kind
            layer = Layer(layer.kind, layer.settings, layer.inputs, f"{within}.{name}" if within else name)
        found.append(layer)
    return found


def conv(filters: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True, initial: str = "torch") -> Layer:
    """Filters of kernel x kernel pixels; initial: see `dense`."""
    settings = {"filters": filters, "kernel": kernel, "stride": stride, "padding": padding, "bias": bias, "initial": initial}
    return Layer("conv", settings)


def dense(units: int, *, initial: str = "torch") -> Layer:
    """Units that each see the whole vector below.

    initial: how the weights are drawn. torch: as PyTorch does; he: normal, scaled by the fan-in; he_fan_out: by the fan-out;
    glorot: uniform, scaled by both. Biases are zero but for torch.
    """
    return Layer("dense", {"units": units, "initial": initial})


def initial(*, before: str) -> str:
    """The initial weights that keep a signal's variance in a stack of layers, each before that activation.

    He et al. (arXiv 1502.01852) for rectifiers, Glorot and Bengio (2010) for the others. PyTorch's default has a sixth of He's
    variance, so that a signal fades in a deep network without batch norm.
    """
    return "he" if before in RECTIFIERS else "glorot"


def norm() -> Layer:
    """Batch norm."""
    return Layer("norm")


def activation(function: str) -> Layer:
    """One of ACTIVATIONS."""
    return Layer("activation", {"function": function})


def pool(side: int, *, of: str = "max") -> Layer:
    """The max or the average of each side x side pixels."""
    return Layer("pool", {"kernel": side, "stride": side, "of": of})


def dropout(probability: float) -> Layer:
    return Layer("dropout", {"probability": probability})


def add(maps: str, block_input: str) -> Layer:
    """The residual sum of two layers: see layers.AddShortcut."""
    return Layer("add", inputs=(maps, block_input))


def flatten() -> Layer:
    return Layer("flatten")


def global_average() -> Layer:
    return Layer("global_average")
