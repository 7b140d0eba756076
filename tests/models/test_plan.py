"""Plans of one's own: branches, blocks in blocks, and what is said of a plan that can't be."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F

from filterlab.config import schema
from filterlab.models import registry, shapes
from filterlab.models.plan import Layer, Model, Plan, activation, add, conv, dense, dropout, flatten, named, norm, pool
from filterlab.models.shapes import ShapeError

SIZE = {"channels": 2, "height": 9, "width": 11, "classes": 3}


class Own(Model):
    def __init__(self, layers: Sequence[Layer]):
        super().__init__("own")
        self.layers = layers

    def plan(self, *, classes: int) -> Plan:
        return Plan([*self.layers, flatten(), dense(classes)])


def test_names_are_counted_by_kind_and_block() -> None:
    block = named([conv(1, 1), norm(), activation("relu"), conv(1, 1), Layer("flatten")], within="a.b")
    assert [layer.name for layer in block] == ["a.b.conv1", "a.b.norm1", "a.b.act1", "a.b.conv2", "a.b.flatten"]
    plan = Plan([conv(1, 1), *block, conv(1, 1), pool(2), dropout(0.5), dense(1)])
    assert [layer.name for layer in plan.layers if layer not in block] == ["conv1", "conv2", "pool1", "drop1", "fc1"]


def test_a_branch_is_kept_past_blocks_and_added_twice() -> None:
    """conv1 -> (block: conv, inner block with a sum of its own) -> sum with conv1 -> sum with the image's second convolution."""
    inner = named([conv(4, 3, padding=1), add("block.inner.conv1", "block.conv1")], within="block.inner")
    layers = [
        *named([conv(3, 3, padding=1)]),
        *named([conv(4, 3, stride=2, padding=1)], within="block"),
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
    assert traced["again"].receptive_field == traced["block.inner.conv1"].receptive_field == 9
    assert [name for name, _ in network.named_children()] == ["conv1", "block", "sum", "again", "flatten", "fc1"]
    assert torch.equal(network.get_submodule("block")(first), convolved(halved, "block.inner.conv1") + halved)


def test_an_earlier_layer_can_be_gone_on_from() -> None:
    """Its channels count, not those of the layer before."""
    layers = [*named([conv(3, 1), conv(5, 1)]), Layer("conv", conv(2, 1).settings, inputs=("conv1",), name="side")]
    weight = registry.build(Own(layers), **SIZE, seed=0).get_parameter("side.weight")
    assert weight.shape == (2, 3, 1, 1)
    assert shapes.layers(Own(layers), **SIZE)[2].parameters == 2 * 3 + 2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([dense(4)], "model own: fc1 needs a vector, but gets maps; put flatten or a global pool between"),
        ([Layer("global_max"), conv(1, 1)], "model own: conv1 needs maps, but gets a vector"),
        ([conv(2, 1), conv(2, 4), add("conv2", "conv1")], "model own: add cannot add maps to others: 2 of 9x11 to 2 of 6x8"),
        ([conv(3, 1), conv(2, 1), add("conv2", "conv1")], "model own: add cannot add maps to others: 3 of 9x11 to 2 of 9x11"),
    ],
)
def test_layers_that_do_not_fit(layers: list[Layer], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        registry.build(Own(layers), **SIZE, seed=0)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Layer("norm", name="same"), Layer("norm", name="same")], "layer same of a plan needs a name of its own"),
        ([conv(1, 1), add("conv1", "conv2"), conv(1, 1)], "layer add of a plan needs .* inputs before it: ('conv1', 'conv2')"),
        (
            [*named([conv(1, 1), norm()], within="block"), add("block.norm1", "block.conv1")],
            "add works on block.conv1, neither beside it nor the last of a block beside it",
        ),
    ],
)
def test_plans_that_can_not_be(layers: list[Layer], message: str) -> None:
    with pytest.raises(ValueError, match=re.sub(r"([()])", r"\\\1", message)):
        registry.build(Own(layers), **SIZE, seed=0)


def test_a_plan_is_data(option: schema.Model) -> None:
    """Names, kinds, numbers: it can be written down, and read where there is no Python."""
    plan = option.plan(classes=10)
    assert json.loads(json.dumps([asdict(layer) for layer in plan.layers])) == [
        {**asdict(layer), "inputs": list(layer.inputs)} for layer in plan.layers
    ]
