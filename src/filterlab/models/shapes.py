"""The layers of every architecture: names, sizes, parameters and receptive fields, worked out without torch.

Sizes follow out = floor((in - kernel + 2 padding) / stride) + 1. A receptive field grows by (kernel - 1) jumps at each layer,
a jump being the distance in input pixels between two neighboring units (Dumoulin, Visin, arXiv 1603.07285).
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from filterlab.config import schema
from filterlab.errors import UserError
from filterlab.models.architectures.conv_net import ConvNet
from filterlab.models.architectures.lenet5 import LeNet5
from filterlab.models.architectures.mlp import MLP
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.architectures.softmax import Softmax
from filterlab.models.architectures.tutorial_cnn import TutorialCNN

LARGEST = 2**31  # numbers; 8.6 GB of parameters, and as much again for their gradients and for each of an optimizer's moments


class ShapeError(UserError):
    """An architecture that cannot be built as configured, or not for images of this size."""


@dataclass(frozen=True)
class LayerShape:
    """One submodule of a network, in the order of the forward pass.

    name: the submodule's qualified name in the torch network, e.g. conv2 or group1.block3.conv1
    kind: conv, norm, activation, pool, dropout, add, flatten, global_max, global_average or dense
    channels, height, width: of its output; a vector of K units is K, 1, 1
    parameters: how many it trains (the running mean and variance of a norm are none)
    kernel, stride: sides in pixels of the maps below; 1, 1 where a unit sees one position alone
    receptive_field: side in input pixels of the square one output unit sees, parts beyond the border included;
        from flatten or the global pool on, the square that the whole vector sees
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int
    parameters: int
    kernel: int
    stride: int
    receptive_field: int


def layers(model: schema.Model, *, channels: int, height: int, width: int, classes: int) -> list[LayerShape]:
    """The layers of `model` for images of (channels, height, width) pixels and `classes` logits.

    Raises ShapeError if an image is too small for a filter or a pool, if a residual network's depth is not 6n + 2, or if a
    network would take more than LARGEST numbers, as parameters or as outputs for one image.
    """
    trace = _Trace(model.name, channels, height, width)
    match model:
        case Softmax():
            trace.add("flatten")
        case MLP():
            trace.add("flatten")
            trace.hidden(model.hidden)
        case TutorialCNN():
            _tutorial_cnn(trace, model)
        case LeNet5():
            _lenet5(trace)
        case ConvNet():
            _conv_net(trace, model)
        case ResNet():
            _resnet(trace, model)
        case _:
            raise TypeError(f"no trace for a model of type {type(model).__name__}")
    trace.dense(classes)
    for what, counts in {
        "parameters": [layer.parameters for layer in trace.layers],
        "outputs for one image": [_outputs(layer) for layer in trace.layers],
    }.items():
        if (total := sum(counts)) > LARGEST:
            most = max(counts)
            raise ShapeError(
                f"model {model.name}: {total:,} {what} take {_gigabytes(total)} as 32-bit numbers, {_gigabytes(most)} of it in "
                f"{trace.layers[counts.index(most)].name}; expected at most {_gigabytes(LARGEST)}: take fewer or smaller layers"
            )
    return trace.layers


def parameter_count(layers: list[LayerShape]) -> int:
    """Parameters that training changes, over all layers."""
    return sum(layer.parameters for layer in layers)


def unit_count(layers: list[LayerShape]) -> int:
    """Outputs for one image, over all layers."""
    return sum(map(_outputs, layers))


def _outputs(layer: LayerShape) -> int:
    return layer.channels * layer.height * layer.width


def _gigabytes(numbers: int) -> str:
    return f"{4 * numbers / 1e9:,.1f} GB"


def flat_size(model: schema.Model, *, channels: int, height: int, width: int, classes: int) -> int:
    """Units of the vector that the first dense layer receives. Raises ShapeError as layers does."""
    trace = layers(model, channels=channels, height=height, width=width, classes=classes)
    return next(below.channels for below, layer in pairwise(trace) if layer.kind == "dense")


def blocks_per_group(model: ResNet) -> int:
    """The n of depth = 6n + 2: three groups of n blocks of two convolutions, the first convolution and the last layer."""
    blocks, rest = divmod(model.depth - 2, 6)
    if rest or blocks < 1:
        below = 6 * max(blocks, 1) + 2
        raise ShapeError(f"model {model.name}: depth {model.depth} is not 6n + 2; the nearest are {below} and {below + 6}")
    return blocks


# Where a layer's name is not its kind: these are counted from 1, within a block of a residual network afresh.
_NUMBERED = {"conv": "conv", "norm": "norm", "activation": "act", "pool": "pool", "dropout": "drop", "dense": "fc"}


class _Trace:
    """Follows an image up the network; each method adds one layer."""

    def __init__(self, model: str, channels: int, height: int, width: int):
        self.model = model
        self.channels, self.height, self.width = channels, height, width
        self.field, self.jump = 1, 1
        self.below = "the image"  # what the maps come from, for messages
        self.layers: list[LayerShape] = []
        self.enter("")

    def enter(self, prefix: str) -> None:
        """Layers from here on belong to the submodule `prefix`, or to the network itself ('')."""
        self.prefix = prefix
        self.counts: Counter[str] = Counter()

    def _name(self, kind: str) -> str:
        if kind not in _NUMBERED:
            return self.prefix + kind
        self.counts[kind] += 1
        return f"{self.prefix}{_NUMBERED[kind]}{self.counts[kind]}"

    def add(self, kind: str, *, parameters: int = 0, kernel: int = 1, stride: int = 1, name: str = "") -> None:
        if kind in ("flatten", "global_max", "global_average"):
            self.field += (max(self.height, self.width) - 1) * self.jump
            if kind == "flatten":
                self.channels *= self.height * self.width
            self.height = self.width = 1
        self.layers.append(
            LayerShape(
                name=name or self._name(kind),
                kind=kind,
                channels=self.channels,
                height=self.height,
                width=self.width,
                parameters=parameters,
                kernel=kernel,
                stride=stride,
                receptive_field=self.field,
            )
        )

    def _slide(self, name: str, kernel: int, stride: int, padding: int) -> None:
        needed = max(kernel - 2 * padding, 1)
        if min(self.height, self.width) < needed:
            raise ShapeError(
                f"model {self.model}: {name} ({kernel}x{kernel}) needs at least {needed}x{needed} pixels, "
                f"but gets {self.height}x{self.width} from {self.below}; "
                "take smaller filters or pools, larger images, or another model"
            )
        self.height = (self.height - kernel + 2 * padding) // stride + 1
        self.width = (self.width - kernel + 2 * padding) // stride + 1
        self.field += (kernel - 1) * self.jump
        self.jump *= stride
        self.below = f"{name} ({kernel}x{kernel})"

    def conv(self, filters: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True) -> None:
        name = self._name("conv")
        self._slide(name, kernel, stride, padding)
        parameters = kernel * kernel * self.channels * filters + (filters if bias else 0)
        self.channels = filters
        self.add("conv", parameters=parameters, kernel=kernel, stride=stride, name=name)

    def norm(self) -> None:
        self.add("norm", parameters=2 * self.channels)

    def pool(self, side: int) -> None:
        name = self._name("pool")
        self._slide(name, side, side, 0)
        self.add("pool", kernel=side, stride=side, name=name)

    def dense(self, units: int) -> None:
        parameters = (self.channels + 1) * units
        self.channels = units
        self.add("dense", parameters=parameters)

    def hidden(self, widths: list[int]) -> None:
        for units in widths:
            self.dense(units)
            self.add("activation")


def _tutorial_cnn(trace: _Trace, model: TutorialCNN) -> None:
    for kernel in (model.kernel, 3):
        trace.conv(model.filters, kernel)
        trace.add("activation")
    trace.pool(2)
    trace.add("dropout")
    trace.add("flatten")
    trace.hidden([32])
    trace.add("dropout")


def _lenet5(trace: _Trace) -> None:
    for filters, padding in ((6, 2), (16, 0)):
        trace.conv(filters, 5, padding=padding)
        trace.add("activation")
        trace.pool(2)
    trace.add("flatten")
    trace.hidden([120, 84])


def _conv_net(trace: _Trace, model: ConvNet) -> None:
    for layer in model.layers:
        trace.conv(layer.filters, layer.kernel, stride=layer.stride, padding=layer.padding, bias=not layer.batch_norm)
        if layer.batch_norm:
            trace.norm()
        trace.add("activation")
        if layer.pool > 1:
            trace.pool(layer.pool)
        if layer.dropout > 0:
            trace.add("dropout")
    trace.add(model.head)
    trace.hidden(model.hidden)
    if model.dropout > 0:
        trace.add("dropout")


def _resnet(trace: _Trace, model: ResNet) -> None:
    blocks = blocks_per_group(model)
    trace.conv(model.width, 3, padding=1, bias=False)
    trace.norm()
    trace.add("activation")
    for group in (1, 2, 3):
        for block in range(1, blocks + 1):
            trace.enter(f"group{group}.block{block}.")
            filters = model.width * 2 ** (group - 1)
            trace.conv(filters, 3, stride=2 if group > 1 and block == 1 else 1, padding=1, bias=False)
            trace.norm()
            trace.add("activation")
            trace.conv(filters, 3, padding=1, bias=False)
            trace.norm()
            if model.residual:
                trace.add("add")
            trace.add("activation")
    trace.enter("")
    trace.add("global_average")
