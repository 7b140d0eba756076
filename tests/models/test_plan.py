"""Plans of one's own: branches, blocks in blocks, and what is said of a plan that can't be."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterlab.config import schema
from filterlab.models import registry, shapes
from filterlab.models.plan import (
    TAKEN,
    Layer,
    Model,
    Plan,
    activation,
    add,
    conv,
    dense,
    dropout,
    flatten,
    norm,
    pool,
    with_names,
)
from filterlab.models.registry import Graph
from filterlab.models.shapes import ShapeError

SIZE = {"channels": 2, "height": 9, "width": 11, "classes": 3}


class Own(Model):
    def __init__(self, layers: Sequence[Layer]):
        super().__init__("own")
        self.layers = layers

    def plan(self, *, classes: int) -> Plan:
        return Plan([*self.layers, flatten(), dense(classes)])


def test_names_are_counted_by_kind_and_block() -> None:
    block = with_names([conv(1, 1), norm(), activation("relu"), conv(1, 1), Layer("flatten")], within="a.b")
    assert [layer.name for layer in block] == ["a.b.conv1", "a.b.norm1", "a.b.act1", "a.b.conv2", "a.b.flatten"]
    plan = Plan([conv(1, 1), *block, conv(1, 1), pool(2), dropout(0.5), dense(1)])
    assert [layer.name for layer in plan.layers if layer not in block] == ["conv1", "conv2", "pool1", "drop1", "fc1"]


def test_a_branch_is_kept_past_blocks_and_added_twice() -> None:
    """conv1 -> (block: conv, inner block with a sum of its own) -> sum with conv1 -> sum with the image's second convolution."""
    inner = with_names([conv(4, 3, padding=1), add("block.inner.conv1", "block.conv1")], within="block.inner")
    layers = [
        *with_names([conv(3, 3, padding=1)]),
        *with_names([conv(4, 3, stride=2, padding=1)], within="block"),
        *inner,
        Layer("add", inputs=("block.inner.add", "conv1"), name="sum"),
        Layer("add", inputs=("sum", "conv1"), name="again"),
    ]
    network = registry.build(Own(layers), **SIZE, seed=0)
    images = torch.rand(5, 2, 9, 11)
    weights = network.state_dict()
    assert list(weights) == [
        f"{name}.{part}" for name in ("conv1", "block.conv1", "block.inner.conv1", "fc1") for part in ("weight", "bias")
    ]

    def convolved(maps: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        return F.conv2d(maps, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=stride, padding=1)

    first = convolved(images, "conv1")
    halved = convolved(first, "block.conv1", 2)
    maps = convolved(halved, "block.inner.conv1") + halved
    for _ in range(2):
        maps[:, :3] += first[:, :, ::2, ::2]
    expected = F.linear(maps.flatten(1), weights["fc1.weight"], weights["fc1.bias"])
    torch.testing.assert_close(network(images), expected)
    traced = {layer.name: layer for layer in shapes.layers(Own(layers), **SIZE)}
    assert (traced["again"].channels, traced["again"].height, traced["again"].width) == (4, 5, 6)
    assert traced["again"].receptive_field == traced["block.inner.conv1"].receptive_field == (9, 9)
    assert [name for name, _ in network.named_children()] == ["conv1", "block", "sum", "again", "flatten", "fc1"]
    assert torch.equal(network.get_submodule("block")(first), convolved(halved, "block.inner.conv1") + halved)


def test_an_earlier_layer_can_be_gone_on_from() -> None:
    """Its channels count, not those of the layer before."""
    side = Layer("conv", conv(2, 1).settings, inputs=("conv1",), name="side")
    layers = [*with_names([conv(3, 1), conv(2, 1)]), side, add("side", "conv2")]
    weight = registry.build(Own(layers), **SIZE, seed=0).get_parameter("side.weight")
    assert weight.shape == (2, 3, 1, 1)
    assert shapes.layers(Own(layers), **SIZE)[2].parameters == 2 * 3 + 2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([dense(4)], "model own: fc1 needs a vector, but gets maps; put flatten or a global pool between"),
        ([Layer("global_max"), conv(1, 1)], "model own: conv1 needs maps, but gets a vector"),
        (
            [conv(2, 1), conv(2, 4), add("conv2", "conv1")],
            "model own: add cannot add conv1 \\(2 maps of 9x11\\) to conv2 \\(2 maps of 6x8\\)",
        ),
        (
            [conv(3, 1), conv(2, 1), add("conv2", "conv1")],
            "model own: add cannot add conv1 \\(3 maps of 9x11\\) to conv2 \\(2 maps of 9x11\\)",
        ),
    ],
)
def test_layers_that_do_not_fit(layers: list[Layer], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        registry.build(Own(layers), **SIZE, seed=0)


def called(name: str, layer: Layer, *inputs: str) -> Layer:
    return Layer(layer.kind, layer.settings, inputs, name)


FAULTS = {
    "two of one name": (
        [called("same", norm()), called("same", norm())],
        "2 layers are called same: each needs a name of its own",
    ),
    "an automatic name that is taken": ([called("conv2", conv(1, 1)), conv(1, 1), conv(1, 1)], "2 layers are called conv2"),
    "a layer and a block": (
        [called("g", norm()), called("g.c", norm())],
        "layer g is called like a block, which other layers are in",
    ),
    "a block and a layer": (
        [called("g.c", norm()), called("g", norm())],
        "layer g is called like a block, which other layers are in",
    ),
    "a block in two parts": (
        [called("block.a", norm()), called("between", norm()), called("block.b", conv(1, 1))],
        "layer block.b is apart from the rest of block block: the layers of a block follow each other",
    ),
    "an inner block in two parts": (
        [called("g.a.x", norm()), called("g.b", norm()), called("g.a.y", norm())],
        "layer g.a.y is apart from the rest of block g.a: ",
    ),
    "a later input": ([conv(1, 1), add("conv1", "conv2"), conv(1, 1)], "layer add works on conv2, expected a layer before it, "),
    "its own input": ([conv(1, 1), add("conv1", "add")], "layer add works on add, expected a layer before it, "),
    "an unknown input": ([conv(1, 1), add("conv1", "nope")], "layer add works on nope, expected a layer before it, .*: conv1$"),
    "an unknown input of the first": ([called("c", conv(1, 1), "image")], "layer c works on image, .*: there is none$"),
    "an input inside of a block": (
        [*with_names([conv(1, 1), norm()], within="block"), add("block.norm1", "block.conv1")],
        "layer add works on block.conv1, expected a layer before it, and of another block the last one: block.norm1",
    ),
    "no input": ([conv(1, 1), Layer("add")], "layer add adds 0 layers, expected the names of 2"),
    "one input": ([conv(1, 1), Layer("add", inputs=("conv1",))], "layer add adds 1 layers, expected the names of 2"),
    "three inputs": ([conv(1, 1), Layer("add", inputs=("conv1",) * 3)], "layer add adds 3 layers, expected the names of 2"),
    "a conv of two": (
        [conv(1, 1), norm(), called("c", conv(1, 1), "conv1", "norm1")],
        "layer c works on conv1, norm1, expected one",
    ),
    "a layer for nothing": ([conv(1, 1), norm(), called("c", conv(1, 1), "conv1")], "no layer works on norm1: add it to another"),
    "an attribute's name": ([called("training", norm())], "layer training: torch's modules have a training already"),
    "an attribute's name for a block": (
        [called("a.forward.b", norm())],
        "layer a.forward.b: torch's modules have a forward already",
    ),
    "an empty part of a name": ([called("a..b", norm())], "a layer is called 'a..b', expected letters, digits and _"),
    "a name that is a path": ([called("a/b", norm())], "a layer is called 'a/b', expected letters, digits and _"),
    "no layer": ([norm], "the plan holds <function norm at .*>, expected layers alone"),
    "an unknown kind": (
        [Layer("conv3d", {"filters": 3})],
        "layer conv3d is of the kind 'conv3d'; there are conv, norm, activation, ",
    ),
    "missing settings": (
        [Layer("conv", {"filters": 3})],
        "layer conv1 (conv) has the settings filters; expected filters, kernel, ",
    ),
    "settings of another kind": ([Layer("norm", {"units": 3})], "layer norm1 (norm) has the settings units; expected none"),
    "a misspelt activation": ([activation("rleu")], "layer act1: function is 'rleu', expected one of relu, leaky_relu, "),
    "a misspelt pool": ([pool(2, of="mean")], "layer pool1: of is 'mean', expected one of max, average"),
    "misspelt weights": (
        [conv(4, 3, initial="He")],
        "layer conv1: initial is 'He', expected one of torch, he, he_fan_out, glorot",
    ),
    "misspelt weights of a dense layer": (
        [flatten(), dense(4, initial="HE")],
        "layer fc1: initial is 'HE', expected one of torch, ",
    ),
    "a stride of 0": ([conv(4, 3, stride=0)], "layer conv1: stride is 0, expected >= 1"),
    "a kernel of 0": ([conv(4, 0)], "layer conv1: kernel is 0, expected >= 1"),
    "a kernel of three sides": ([conv(4, [3, 3, 3])], "layer conv1: kernel is [3, 3, 3], expected a whole number >= 1, or two"),
    "a side of 0": ([conv(4, [3, 0])], "layer conv1: kernel is [3, 0], expected >= 1, or two"),
    "two strides": ([conv(4, 3, stride=[1, 2])], "layer conv1: stride is [1, 2], expected a whole number >= 1"),  # type: ignore[arg-type]
    "groups that don't divide the maps": (
        [conv(6, 3, groups=3)],
        "conv1 has 2 maps and 6 filters in 3 groups, expected as many maps in",
    ),
    "groups that divide neither": (
        [conv(4, 3, groups=3)],
        "conv1 has 2 maps and 4 filters in 3 groups, expected as many maps and filters in each; take another number of groups",
    ),
    "no filters": ([conv(0, 3)], "layer conv1: filters is 0, expected >= 1"),
    "a padding below 0": ([conv(4, 3, padding=-2)], "layer conv1: padding is -2, expected >= 0"),
    "a bias that is a number": (
        [Layer("conv", {**conv(4, 3).settings, "bias": 1})],
        "layer conv1: bias is 1, expected true or false",
    ),
    "a pool of 0": ([pool(0)], "layer pool1: kernel is 0, expected >= 1"),
    "half a unit": ([flatten(), dense(8.5)], "layer fc1: units is 8.5, expected a whole number >= 1"),  # type: ignore[arg-type]
    "a probability of 2": ([dropout(2.0)], "layer drop1: probability is 2.0, expected >= 0 and < 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_plans_that_can_not_be(fault: str) -> None:
    """In one sentence, before anything is built."""
    layers, message = FAULTS[fault]
    expected = "^model own: " + re.sub(r"([()[\]])", r"\\\1", message)
    with pytest.raises(ShapeError, match=expected):
        shapes.layers(Own(layers), **SIZE)


class Whole(Own):
    """Without a head."""

    def plan(self, *, classes: int) -> Plan:
        return Plan(list(self.layers))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "the plan has no layers"),
        ([flatten(), dense(4)], "the last layer, fc1, gives 4 values, expected 3 values, one a class"),
        ([flatten(), dense(2)], "the last layer, fc1, gives 2 values, expected 3 values, one a class"),
        ([conv(3, 3)], "the last layer, conv1, gives 3 maps of 7x9, expected 3 values, one a class"),
        ([flatten()], "the last layer, flatten, gives 198 values, expected 3 values, one a class"),
        ([conv(4, 3), called("f", flatten()), add("conv1", "f")], "add cannot add f (252 values) to conv1 (4 maps of 7x9), "),
        ([flatten(), dense(8), dense(4), add("fc2", "fc1")], "add cannot add fc1 (8 values) to fc2 (4 values), "),
        ([flatten(), dense(4), dense(8), add("fc2", "fc1")], "add cannot add fc1 (4 values) to fc2 (8 values), "),
    ],
)
def test_networks_that_can_not_be(layers: list[Layer], message: str) -> None:
    with pytest.raises(ShapeError, match="^model own: " + re.escape(message)):
        shapes.layers(Whole(layers), **SIZE)


def test_a_network_without_parameters() -> None:
    with pytest.raises(ShapeError, match=r"^model own: no layer has parameters, so that there is nothing to train"):
        shapes.layers(Whole([Layer("global_max")]), channels=3, height=8, width=8, classes=3)


def test_a_model_that_makes_no_plan() -> None:
    class Forgetful(Model):
        def plan(self, *, classes: int) -> Plan:
            return [flatten(), dense(classes)]  # type: ignore[return-value]

    with pytest.raises(ShapeError, match=r"^model own: its plan\(\) returns \[Layer.*, expected a Plan$"):
        shapes.layers(Forgetful("own"), **SIZE)


def test_vectors_are_added() -> None:
    network = registry.build(Whole([flatten(), dense(3), dense(3), add("fc2", "fc1")]), **SIZE, seed=0)
    images = torch.rand(5, 2, 9, 11)
    first, second = (network.get_submodule(name) for name in ("fc1", "fc2"))
    vectors = first(images.flatten(1))
    assert torch.equal(network(images), second(vectors) + vectors)


def test_every_layer_of_a_plan_is_built(option: schema.Model) -> None:
    plan = option.plan(classes=10)
    network = registry.build(option, channels=1, height=28, width=28, classes=10, seed=0)
    assert [name for name, part in network.named_modules() if not list(part.children())] == [layer.name for layer in plan.layers]


def test_names_that_torch_has() -> None:
    own = {name for module in (Graph({}, {}), nn.Sequential()) for name in dir(module) if not name.startswith("_")}
    assert sorted(own) == sorted(TAKEN)


def test_a_list_of_layers_is_left_as_it_is() -> None:
    layers = [flatten(), dense(3)]
    assert [layer.name for layer in Plan(layers).layers] == ["flatten", "fc1"]
    assert [layer.name for layer in layers] == ["", ""]


def test_a_plan_is_data(option: schema.Model) -> None:
    """Names, kinds, numbers: it can be written down, and read where there is no Python."""
    plan = option.plan(classes=10)
    assert json.loads(json.dumps([asdict(layer) for layer in plan.layers])) == [
        {**asdict(layer), "inputs": list(layer.inputs)} for layer in plan.layers
    ]
