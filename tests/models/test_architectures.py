"""Each architecture against what its source says of it."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterlab.config import schema
from filterlab.models import plan, registry, shapes
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.lenet5 import LeNet5
from filterlab.models.architectures.mlp import MLP
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.architectures.tutorial_cnn import TutorialCNN
from filterlab.models.layers import ACTIVATIONS, POOLS, AddShortcut, GlobalAverage, GlobalMax, draw, module

MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}
TUTORIAL = {
    (8, 3): 37_890,
    (8, 9): 22_338,
    (8, 16): 9_402,
    (16, 3): 76_570,
    (16, 9): 45_466,
    (16, 16): 19_594,
    (32, 3): 157_386,
    (32, 9): 95_178,
    (32, 16): 43_434,
}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def build(model: schema.Model, *, seed: int = 0) -> nn.Module:
    return registry.build(model, **MNIST, seed=seed)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("filters", "kernel"), TUTORIAL)
def test_tutorial_parameters(filters: int, kernel: int) -> None:
    model = TutorialCNN(name="tutorial_cnn", filters=filters, kernel=kernel)
    assert count(build(model)) == shapes.parameter_count(shapes.layers(model, **MNIST)) == TUTORIAL[filters, kernel]


def test_tutorial_layer_by_layer() -> None:
    trace = shapes.layers(TutorialCNN(name="tutorial_cnn", filters=32, kernel=3), **MNIST)
    parts = {layer.name: (layer.parameters, layer.channels, layer.height) for layer in trace}
    assert parts["conv1"] == (320, 32, 26)
    assert parts["conv2"] == (9_248, 32, 24)
    assert parts["pool1"] == (0, 32, 12)
    assert parts["flatten"] == (0, 4_608, 1)
    assert parts["fc1"] == (147_488, 32, 1)
    assert parts["fc2"] == (330, 10, 1)


@pytest.mark.parametrize("kernel", [3, 9, 16])
def test_tutorial_initial_weights_are_those_of_keras(kernel: int) -> None:
    network = build(TutorialCNN(name="tutorial_cnn", filters=32, kernel=kernel))
    assert isinstance(network, nn.Sequential)
    assert network.conv2.kernel_size == (3, 3)
    fans = {"conv1": (kernel**2, 32 * kernel**2), "conv2": (288, 288), "fc2": (32, 10)}
    for name, (fan_in, fan_out) in fans.items():
        layer = network.get_submodule(name)
        limit = math.sqrt(6 / (fan_in + fan_out))
        weight = layer.get_parameter("weight").detach()
        assert 0.97 * limit < weight.abs().max() <= limit
        assert weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1)
        assert not layer.get_parameter("bias").any()
    assert [part.p for part in network if isinstance(part, nn.Dropout)] == [0.25, 0.25]


def test_lenet5() -> None:
    model = LeNet5(name="lenet5", activation="tanh")
    assert count(build(model)) == 61_706
    trace = {layer.name: layer for layer in shapes.layers(model, **MNIST)}
    assert [trace[name].parameters for name in ("conv1", "conv2", "fc1", "fc2", "fc3")] == [156, 2_416, 48_120, 10_164, 850]
    assert (trace["flatten"].channels, trace["pool2"].height) == (400, 5)


@pytest.mark.parametrize(("hidden", "parameters"), [([], 7_850), ([256, 128], 235_146)])
def test_mlp_parameters(hidden: list[int], parameters: int) -> None:
    assert count(build(MLP(name="mlp", hidden=hidden, activation="relu"))) == parameters


def test_mlp_with_one_hidden_layer_has_the_lectures_parameters() -> None:
    inputs, hidden, outputs = 784, 30, 10
    network = build(MLP(name="mlp", hidden=[hidden], activation="sigmoid"))
    assert count(network) == (inputs + 1) * hidden + (hidden + 1) * outputs


def test_conv_net_is_its_layers_in_order() -> None:
    layers = [
        ConvLayer(3, 5, stride=2, padding=1, batch_norm=True, activation="elu", pool=2, dropout=0.3),
        ConvLayer(4, 3, activation="tanh"),
    ]
    model = ConvNet(name="conv_net", layers=layers, head="global_max", hidden=[6], dropout=0.5)
    network = build(model).eval()
    names = ["conv1", "norm1", "act1", "pool1", "drop1", "conv2", "act2", "global_max", "fc1", "act3", "drop2", "fc2"]
    assert [name for name, _ in network.named_children()] == names
    weights = dict(network.named_parameters())
    assert "conv1.bias" not in weights
    images = random(2, 1, 28, 28)
    maps = F.conv2d(images, weights["conv1.weight"], stride=2, padding=1)
    maps = F.max_pool2d(F.elu(maps / math.sqrt(1 + 1e-5)), 2)  # an untrained batch norm divides by sqrt(1 + eps)
    maps = torch.tanh(F.conv2d(maps, weights["conv2.weight"], weights["conv2.bias"]))
    vector = F.relu(F.linear(maps.amax(dim=(2, 3)), weights["fc1.weight"], weights["fc1.bias"]))
    expected = F.linear(vector, weights["fc2.weight"], weights["fc2.bias"])
    torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize(("depth", "parameters"), [(20, 270_000), (56, 850_000), (110, 1_700_000)])
def test_resnet_parameters_are_the_papers(depth: int, parameters: int) -> None:
    """Table 6 of the paper gives .27M, .85M and 1.7M for 32x32 color images; shortcuts have none."""
    sizes = {"channels": 3, "height": 32, "width": 32, "classes": 10}
    counts = [
        shapes.parameter_count(shapes.layers(ResNet(name="resnet", depth=depth, width=16, residual=residual), **sizes))
        for residual in (True, False)
    ]
    assert counts[0] == counts[1] == pytest.approx(parameters, rel=0.02)


@pytest.mark.parametrize("residual", [True, False])
def test_resnet_of_110_layers(residual: bool) -> None:
    network = build(ResNet(name="resnet", depth=110, width=2, residual=residual)).train()
    weighted = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == 110
    logits = network(random(2, 1, 28, 28))
    assert torch.isfinite(logits).all()


def test_resnet_with_and_without_shortcuts_has_the_same_initial_weights() -> None:
    with_, without = (
        build(ResNet(name="resnet", depth=14, width=4, residual=residual)).state_dict() for residual in (True, False)
    )
    assert list(with_) == list(without)
    assert all(torch.equal(with_[name], without[name]) for name in with_)


def test_resnet_initial_weights() -> None:
    network = build(ResNet(name="resnet", depth=8, width=32, residual=True))
    weight = network.get_parameter("group3.block1.conv1.weight")  # 64 -> 128 channels
    assert weight.shape == (128, 64, 3, 3)
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.02)


def test_shortcut() -> None:
    block_input, maps = random(2, 3, 7, 9), random(2, 6, 4, 5)
    expected = maps.clone()
    expected[:, :3] += F.avg_pool2d(F.pad(block_input, (0, 1, 0, 1)), 1, stride=2)
    assert torch.equal(AddShortcut()(maps, block_input), expected)
    assert torch.equal(AddShortcut()(maps, maps), 2 * maps)


def test_shortcut_of_single_pixels() -> None:
    """Maps of 1x1 stay 1x1 under a stride of 2."""
    network = registry.build(
        ResNet(name="resnet", depth=8, width=2, residual=True), channels=1, height=1, width=2, classes=3, seed=0
    )
    assert network.eval()(random(2, 1, 1, 2)).shape == (2, 3)


def test_global_pools() -> None:
    maps = random(3, 4, 5, 6)
    assert torch.equal(GlobalMax()(maps), maps.amax(dim=(2, 3)))
    torch.testing.assert_close(GlobalAverage()(maps), maps.sum(dim=(2, 3)) / 30)


def test_activations_are_those_of_the_schema() -> None:
    assert list(ACTIVATIONS) == plan.ACTIVATIONS
    assert list(POOLS) == plan.POOLS
    values = torch.linspace(-3, 3, 13)
    expected = {
        "relu": values.clamp(min=0),
        "leaky_relu": torch.where(values > 0, values, 0.01 * values),
        "elu": torch.where(values > 0, values, values.exp() - 1),
        "gelu": values * (1 + torch.erf(values / math.sqrt(2))) / 2,
        "tanh": (values.exp() - (-values).exp()) / (values.exp() + (-values).exp()),
        "sigmoid": 1 / (1 + (-values).exp()),
        "identity": values,
    }
    for name in plan.ACTIVATIONS:
        torch.testing.assert_close(ACTIVATIONS[name]()(values), expected[name])


@pytest.mark.parametrize(("before", "variance"), [("relu", 2 / 450), ("gelu", 2 / 450), ("tanh", 2 / 900), ("identity", 2 / 900)])
def test_initial_variance(before: str, variance: float) -> None:
    torch.manual_seed(0)
    layer = plan.conv(50, 3, initial=plan.initial_weights(activation=before))
    conv = module(layer, channels=50)
    assert isinstance(conv, nn.Conv2d)
    draw(conv, layer)
    assert conv.weight.var().item() == pytest.approx(variance, rel=0.05)
    assert conv.bias is not None
    assert not conv.bias.any()
