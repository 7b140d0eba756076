"""A network described once: its plan, an ordered list of layers. All else about a network is derived from it.

Without torch, which the configuration does not import.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from filterlab.config.faults import short
from filterlab.config.section import Section, misfit, value
from filterlab.errors import UserError

Sides = int | list[int]  # see PAIRS
RECTIFIERS = ["relu", "leaky_relu", "elu", "gelu"]
ACTIVATIONS = [*RECTIFIERS, "tanh", "sigmoid", "identity"]
POOLS = ["max", "average"]
POSITIVE = (int, {"ge": 1})
PAIRS = ["kernel", "padding"]  # settings that are one number or, in a list, one of the height and one of the width
INITIAL = (str, {"choices": ["torch", "he", "he_fan_out", "glorot"]})
# kind -> its settings, each with its type and its bounds (see `section.value`)
KINDS: dict[str, dict[str, tuple[type, dict[str, Any]]]] = {
    "conv": {
        "filters": POSITIVE,
        "kernel": POSITIVE,
        "stride": POSITIVE,
        "padding": (int, {"ge": 0}),
        "dilation": POSITIVE,
        "groups": POSITIVE,
        "bias": (bool, {}),
        "initial": INITIAL,
    },
    "norm": {},
    "activation": {"function": (str, {"choices": ACTIVATIONS})},
    "pool": {"kernel": POSITIVE, "stride": POSITIVE, "of": (str, {"choices": POOLS})},
    "dropout": {"probability": (float, {"ge": 0, "lt": 1})},
    "add": {},
    "flatten": {},
    "global_max": {},
    "global_average": {},
    "dense": {"units": POSITIVE, "initial": INITIAL},
}
# What torch's modules are and have already, so that no submodule is called so.
TAKEN = (  # noqa: SIM905 (a list has sixty lines)
    "T_destination add_module append apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches "
    "eval extend extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half inputs insert ipu "
    "kept load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters pop "
    "register_backward_hook register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook "
    "register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module "
    "register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state "
    "set_submodule share_memory state_dict to to_empty train training type xpu zero_grad"
).split()
# Where a layer's name is not its kind: these are counted from 1, in the network itself and in each of its blocks.
NUMBERED = {"conv": "conv", "norm": "norm", "activation": "act", "pool": "pool", "dropout": "drop", "dense": "fc"}


class ShapeError(UserError):
    """An architecture that cannot be built as configured, or not for images of this size."""


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    kind: one of KINDS, which says what settings it has; the functions below make one of each
    settings: all of them
    inputs: names of the layers it works on; () is the one before it, or the image
    name: of the submodule, e.g. conv2 or group1.block3.conv1; "" until `with_names` gives it one
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """The layers in the order of the forward pass.

    draw_weights_last: the initial weights that a layer asks for are drawn once all layers stand, not with each layer. It decides
        which of the seed's numbers a weight is made of, and nothing else.
    """

    layers: list[Layer]
    draw_weights_last: bool = False

    def __post_init__(self) -> None:
        """Raises ShapeError: a kind, a setting, a name or an input that can't be, or no layers."""
        if not self.layers:
            raise ShapeError("the plan has no layers")
        if others := [layer for layer in self.layers if not isinstance(layer, Layer)]:
            raise ShapeError(f"the plan holds {short(others[0])}, expected layers alone, e.g. flatten()")
        object.__setattr__(self, "layers", with_names(self.layers))
        for layer in self.layers:
            check_settings(layer)
        check_names([layer.name for layer in self.layers])
        as_block(self.layers)
        check_use(self.layers)


@dataclass(frozen=True)
class Block:
    """A submodule that has submodules, or the network itself.

    children: by their names in it, in the order of the forward pass
    inputs: child -> the children whose outputs it is given, where that is not the one before it; '' is what the block is given
    """

    children: "dict[str, Layer | Block]"
    inputs: dict[str, list[str]]


@dataclass
class Model(Section):
    name: str = value("the architecture: one of NAMES of a module in filterlab.models.architectures", text="name")

    def plan(self, *, classes: int) -> Plan:
        """The network that tells `classes` apart: its last layer gives as many logits. Raises ShapeError: there is none."""
        raise NotImplementedError

    def padded(self) -> "Model | None":
        """The network that stands for this one where images are too small for it; None: there is none."""
        return None


def with_names(layers: Iterable[Layer], *, within: str = "") -> list[Layer]:
    """The layers with a name each, of the submodule `within` (or the network itself, ''); those that have one keep it."""
    counts: Counter[str] = Counter()
    found = []
    for layer in layers:
        if not layer.name:
            counts[layer.kind] += 1
            name = f"{NUMBERED[layer.kind]}{counts[layer.kind]}" if layer.kind in NUMBERED else layer.kind
            layer = replace(layer, name=f"{within}.{name}" if within else name)
        found.append(layer)
    return found


def check_settings(layer: Layer) -> None:
    """Raises ShapeError: no such kind, or not its settings."""
    if layer.kind not in KINDS:
        raise ShapeError(f"layer {layer.name} is of the kind {layer.kind!r}; there are {', '.join(KINDS)}")
    expected = KINDS[layer.kind]
    if layer.settings.keys() != expected.keys():
        lists = [", ".join(keys) or "none" for keys in (layer.settings, expected)]
        raise ShapeError(f"layer {layer.name} ({layer.kind}) has the settings {lists[0]}; expected {lists[1]}")
    for name, (kind, bounds) in expected.items():
        given = layer.settings[name]
        for number in given if name in PAIRS and isinstance(given, list) and len(given) == 2 else [given]:
            if wanted := misfit(kind, kind(number) if (kind, type(number)) == (float, int) else number, bounds):
                raise ShapeError(f"layer {layer.name}: {name} is {given!r}, expected {wanted}{', or two' * (name in PAIRS)}")
    if layer.kind == "add" and len(layer.inputs) != 2:
        raise ShapeError(f"layer {layer.name} adds {len(layer.inputs)} layers, expected the names of 2")
    if layer.kind != "add" and len(layer.inputs) > 1:
        raise ShapeError(
            f"layer {layer.name} works on {', '.join(layer.inputs)}, expected one layer: add is the only kind with two"
        )


def check_names(names: Sequence[str]) -> None:
    """Raises ShapeError: a name that can't be, or that another layer or a block has."""
    blocks = {name[: dot.start()] for name in names for dot in re.finditer(r"\.", name)}
    for name, count in Counter(names).items():
        if not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", name, flags=re.ASCII):
            raise ShapeError(f"a layer is called {name!r}, expected letters, digits and _, with a dot after the name of a block")
        if taken := [part for part in name.split(".") if part in TAKEN]:
            raise ShapeError(f"layer {name}: torch's modules have a {taken[0]} already; take another name")
        if count > 1:
            raise ShapeError(f"{count} layers are called {name}: each needs a name of its own")
        if name in blocks:
            raise ShapeError(f"layer {name} is called like a block, which other layers are in: each needs a name of its own")


def check_use(layers: Sequence[Layer]) -> None:
    """Raises ShapeError: a layer that no other works on, so that it would never be trained."""
    used = {name for layer, before in zip(layers[1:], layers, strict=False) for name in layer.inputs or [before.name]}
    if unused := [layer.name for layer in layers[:-1] if layer.name not in used]:
        raise ShapeError(f"no layer works on {unused[0]}: add it to another, or leave it out")


def as_block(layers: Iterable[Layer], *, within: str = "", below: str = "") -> Block:
    """The layers of the block `within` (with a dot at its end; '' is the network), whose first one works on what `below` gives.

    Raises ShapeError: other layers part a block in two, or a layer works on one that it does not see.
    """
    children: dict[str, Layer | Block] = {}
    inputs: dict[str, list[str]] = {}
    ends = {below: ""}  # layer whose output can be had here -> the child that ends with it
    for child, group in groupby(layers, key=lambda layer: layer.name.removeprefix(within).partition(".")[0]):
        inside = list(group)
        first = inside[0]
        if child in children:
            raise ShapeError(
                f"layer {first.name} is apart from the rest of block {within}{child}: the layers of a block follow each other"
            )
        if first.name == within + child:
            if unseen := [name for name in first.inputs if name not in ends]:
                seen = short(", ".join(filter(None, ends)), quoted=False)
                raise ShapeError(
                    f"layer {first.name} works on {unseen[0]}, expected a layer before it, and of another block the last one: "
                    f"{seen or 'there is none'}"
                )
            children[child] = first
            if first.inputs:
                inputs[child] = [ends[name] for name in first.inputs]
        else:
            children[child] = as_block(inside, within=f"{within}{child}.", below=below)
        below = inside[-1].name
        ends[below] = child
    return Block(children, inputs)


def pair(setting: Sides) -> tuple[int, int]:
    """Of the height and of the width."""
    return (setting, setting) if isinstance(setting, int) else (setting[0], setting[1])


def conv(
    filters: int,
    kernel: Sides,
    *,
    stride: int = 1,
    padding: Sides = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    initial: str = "torch",
) -> Layer:
    """Filters of kernel x kernel pixels, or of [height, width].

    dilation: how far their pixels are apart. groups: of maps below and of filters, each of which sees its own maps alone.
    initial: see `dense`.
    """
    settings = {"filters": filters, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return Layer("conv", {**settings, "groups": groups, "bias": bias, "initial": initial})


def dense(units: int, *, initial: str = "torch") -> Layer:
    """Units that each see the whole vector below.

    initial: how the weights are drawn. torch: as PyTorch does; he: normal, scaled by the fan-in; he_fan_out: by the fan-out;
    glorot: uniform, scaled by both. Biases are zero but for torch.
    """
    return Layer("dense", {"units": units, "initial": initial})


def initial_weights(*, activation: str) -> str:
    """Which initial weights keep a signal's variance in a stack of layers, each with that activation after it: he or glorot.

    He et al. (arXiv 1502.01852) for rectifiers, Glorot and Bengio (2010) for the others. PyTorch's default has a sixth of He's
    variance, so that a signal fades in a deep network without batch norm.
    """
    return "he" if activation in RECTIFIERS else "glorot"


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
