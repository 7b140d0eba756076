"""The trace against torch: sizes and parameters by hooks, receptive fields by gradients, and the lecture's numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from filterlab.config import schema
from filterlab.models import registry, shapes
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet, DefaultNet
from filterlab.models.architectures.lenet5 import LeNet5
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.architectures.tutorial_cnn import TutorialCNN
from filterlab.models.plan import ACTIVATIONS, POOLS, pair
from filterlab.models.shapes import LayerShape, ShapeError

MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}


def plain(*layers: ConvLayer, head: str = "global_max", hidden: tuple[int, ...] = (), dropout: float = 0.0) -> ConvNet:
    return ConvNet(name="conv_net", layers=list(layers), head=head, hidden=list(hidden), dropout=dropout)


def hooked(network: nn.Module, images: Tensor) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    """name -> (parameters, call number, output shape) of each submodule without children, from one forward pass."""
    seen: dict[str, tuple[int, int, tuple[int, ...]]] = {}

    def hook(name: str):
        def record(module: nn.Module, _: object, output: Tensor) -> None:
            assert name not in seen, f"{name} is called twice"
            seen[name] = (sum(p.numel() for p in module.parameters()), len(seen), tuple(output.shape[1:]))

        return record

    for name, module in network.named_modules():
        if name and not list(module.children()):
            module.register_forward_hook(hook(name))
    network(images)
    return seen


def assert_traced(model: schema.Model, *, channels: int, height: int, width: int, classes: int) -> None:
    sizes = {"channels": channels, "height": height, "width": width, "classes": classes}
    trace = shapes.layers(model, **sizes)
    network = registry.build(model, **sizes, seed=0).eval()
    seen = hooked(network, torch.zeros(1, channels, height, width))
    assert list(seen) == [layer.name for layer in trace]  # also the order of the calls
    for layer in trace:
        parameters, _, shape = seen[layer.name]
        assert parameters == layer.parameters, layer
        full = (layer.channels, layer.height, layer.width)
        assert shape == (full if len(shape) == 3 else full[:1]) and (len(shape) == 3 or full[1:] == (1, 1)), layer
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            (layer,) = [layer for layer in trace if layer.name == name]
            kernel, stride = (nn.modules.utils._pair(side) for side in (module.kernel_size, module.stride))
            assert (layer.kernel, (layer.stride,) * 2) == (kernel, stride)
    assert shapes.parameter_count(trace) == sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_shipped_options(option: schema.Model) -> None:
    assert_traced(option, **MNIST)


def test_shipped_options_on_other_images(option: schema.Model) -> None:
    assert_traced(option, channels=3, height=33, width=40, classes=7)


conv_layers = st.builds(
    ConvLayer,
    filters=st.integers(1, 4),
    kernel=st.integers(1, 5) | st.lists(st.integers(1, 5), min_size=2, max_size=2),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=2, max_size=2),
    dilation=st.integers(1, 3),
    groups=st.integers(1, 3),
    pool_of=st.sampled_from(POOLS),
    batch_norm=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
    pool=st.integers(1, 3),
    dropout=st.sampled_from([0.0, 0.5]),
)
conv_nets = st.builds(
    ConvNet,
    name=st.just("conv_net"),
    layers=st.lists(conv_layers, min_size=1, max_size=4),
    head=st.sampled_from(["flatten", "global_max", "global_average"]),
    hidden=st.lists(st.integers(1, 5), max_size=2),
    dropout=st.sampled_from([0.0, 0.5]),
)


def torch_refuses(model: ConvNet, images: Tensor) -> bool:
    """Whether torch's own functions find these images too small, or not to be parted into such groups."""
    try:
        for layer in model.layers:
            weight = torch.zeros(layer.filters, images.shape[1] // layer.groups, *pair(layer.kernel))
            images = F.conv2d(images, weight, None, layer.stride, pair(layer.padding), layer.dilation, layer.groups)
            images = F.max_pool2d(images, layer.pool)
    except RuntimeError:
        return True
    return False


@settings(max_examples=100, deadline=None, database=None)
@given(model=conv_nets, channels=st.integers(1, 3), height=st.integers(8, 24), width=st.integers(8, 24))
def test_random_conv_nets(model: ConvNet, channels: int, height: int, width: int) -> None:
    if torch_refuses(model, torch.zeros(1, channels, height, width)):
        with pytest.raises(ShapeError, match=r"model conv_net: (conv|pool)\d .* (needs at least|in \d groups)"):
            shapes.layers(model, channels=channels, height=height, width=width, classes=3)
    else:
        assert_traced(model, channels=channels, height=height, width=width, classes=3)


def test_depthwise_separable() -> None:
    """A filter of its own for each map, then 1x1 (MobileNet, arXiv 1704.04861): 9 C + C K weights instead of 9 C K."""
    maps, filters = 8, 12
    model = plain(ConvLayer(maps, 1), ConvLayer(maps, 3, groups=maps, batch_norm=True), ConvLayer(filters, 1, batch_norm=True))
    depthwise, pointwise = (layer.parameters for layer in shapes.layers(model, **MNIST) if layer.name in ("conv2", "conv3"))
    assert (depthwise, pointwise) == (9 * maps, maps * filters)
    network = registry.build(model, **MNIST, seed=0)
    images = torch.rand(2, 8, 9, 9)
    weight = network.get_parameter("conv2.weight")
    by_map = [F.conv2d(images[:, [channel]], weight[[channel]]) for channel in range(maps)]
    torch.testing.assert_close(network.get_submodule("conv2")(images), torch.cat(by_map, dim=1))


@pytest.mark.parametrize(("stride", "side"), [(1, 220), (2, 110)])
def test_the_lectures_color_image(stride: int, side: int) -> None:
    conv = shapes.layers(plain(ConvLayer(1, 5, stride=stride)), channels=3, height=224, width=224, classes=10)[0]
    assert conv == LayerShape("conv1", "conv", 1, side, side, 76, (5, 5), stride, (5, 5))


def test_three_small_filters_see_as_far_as_one_large() -> None:
    channels = 6
    sizes = {"channels": channels, "height": 28, "width": 28, "classes": 10}
    three = [x for x in shapes.layers(plain(*[ConvLayer(channels, 3)] * 3), **sizes) if x.kind == "conv"]
    one = [x for x in shapes.layers(plain(ConvLayer(channels, 7)), **sizes) if x.kind == "conv"]
    assert three[-1].receptive_field == one[-1].receptive_field == (7, 7)
    assert (three[-1].height, three[-1].width) == (one[-1].height, one[-1].width)
    weights = [shapes.parameter_count(layers) - len(layers) * channels for layers in (three, one)]
    assert weights == [27 * channels**2, 49 * channels**2]


@pytest.mark.parametrize(
    "model",
    [
        plain(ConvLayer(2, 3)),
        plain(ConvLayer(2, 3, pool=2), ConvLayer(2, 3, stride=2), ConvLayer(2, 2)),
        plain(ConvLayer(2, 5, stride=2, padding=2), ConvLayer(2, 3, padding=1, pool=3), ConvLayer(2, 2)),
        plain(ConvLayer(2, 4, pool=2), ConvLayer(2, 5, pool=2)),
        plain(ConvLayer(2, [1, 5], padding=[0, 2], pool=2, pool_of="average"), ConvLayer(4, [3, 2], groups=2, dilation=3)),
        LeNet5(name="lenet5", activation="tanh"),
        ResNet(name="resnet", depth=8, width=2, residual=True),
        ResNet(name="resnet", depth=8, width=2, residual=False),
    ],
)
def test_receptive_fields_by_gradient(model: schema.Model) -> None:
    """Of a central unit: the pixels with a gradient for any of many random images (a max pool passes one at a time)."""
    side = 48
    network = registry.build(model, channels=1, height=side, width=side, classes=2, seed=0).double().eval()
    trace = {layer.name: layer for layer in shapes.layers(model, channels=1, height=side, width=side, classes=2)}
    last = [name for name, layer in trace.items() if layer.kind in ("conv", "pool", "activation") and layer.height > 1][-1]
    kept: list[Tensor] = []
    network.get_submodule(last).register_forward_hook(lambda _, __, output: kept.append(output))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(48, 1, side, side, generator=generator, dtype=torch.float64, requires_grad=True)
    network(images)
    (maps,) = kept
    maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2].sum().backward()
    assert images.grad is not None
    touched = images.grad.abs().amax(dim=(0, 1)) > 0
    rows, columns = (torch.nonzero(touched.any(dim=dim)) for dim in (1, 0))
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == trace[last].receptive_field


def test_the_head_sees_the_whole_image() -> None:
    trace = shapes.layers(
        plain(ConvLayer(2, 3, pool=2), ConvLayer(2, 3, pool=2), head="flatten"), **{**MNIST, "height": 30, "width": 30}
    )
    assert trace[-1].receptive_field == (30, 30)  # 30 -> 28 -> 14 -> 12 -> 6: nothing is left over
    assert trace[-1].channels == 10


@pytest.mark.parametrize(
    ("model", "side", "message"),
    [
        (
            plain(ConvLayer(4, 3, pool=2), ConvLayer(4, 3, pool=2), ConvLayer(4, 9)),
            28,
            r"model conv_net: conv3 \(9x9\) needs at least 9x9 pixels, but gets 5x5 from pool2 \(2x2\)",
        ),
        (plain(ConvLayer(4, 9, padding=1)), 6, r"conv1 \(9x9\) needs at least 7x7 pixels, but gets 6x6 from the image"),
        (plain(ConvLayer(4, [3, 9], padding=[3, 0])), 8, r"conv1 \(3x9\) needs at least 1x9 pixels, but gets 8x8 from the image"),
        (plain(ConvLayer(4, 3, dilation=5)), 8, r"conv1 \(3x3, dilation 5\) needs at least 11x11 pixels, but gets 8x8 from"),
        (plain(ConvLayer(4, 8, pool=2)), 8, r"pool1 \(2x2\) needs at least 2x2 pixels, but gets 1x1 from conv1 \(8x8\)"),
        (LeNet5(name="lenet5", activation="tanh"), 8, r"model lenet5: conv2 \(5x5\) .* but gets 4x4 from pool1 \(2x2\)"),
        (LeNet5(name="lenet5", activation="tanh"), 10, r"model lenet5: pool2 \(2x2\) .* but gets 1x1 from conv2 \(5x5\)"),
        (TutorialCNN(name="tutorial_cnn", filters=8, kernel=16), 15, r"conv1 \(16x16\) .* gets 15x15 from the image"),
        (TutorialCNN(name="tutorial_cnn", filters=8, kernel=16), 17, r"conv2 \(3x3\) .* gets 2x2 from conv1 \(16x16\)"),
        (TutorialCNN(name="tutorial_cnn", filters=8, kernel=16), 18, r"pool1 \(2x2\) .* gets 1x1 from conv2 \(3x3\)"),
    ],
)
def test_images_too_small(model: schema.Model, side: int, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shapes.layers(model, channels=1, height=side, width=side, classes=10)
    with pytest.raises(ShapeError, match=message):
        registry.build(model, channels=1, height=side, width=side, classes=10, seed=0)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 300), (9, 22), (22, 23), (24, 24), (11, 64)])
@pytest.mark.parametrize("file", ["model/cnn.yaml", "experiment/fast.yaml"])
def test_the_default_network_takes_any_image(file: str, height: int, width: int) -> None:
    layers = yaml.safe_load((Path(__file__).parents[2] / "conf" / file).read_text())
    layers = [ConvLayer(**layer) for layer in layers.get("model", layers)["layers"]]
    model = DefaultNet("cnn", layers, head="global_max", hidden=[], dropout=0.0)
    assert_traced(model, channels=3, height=height, width=width, classes=4)


@given(height=st.integers(8, 300), width=st.integers(8, 300))
def test_the_default_network_pads_only_where_it_must(height: int, width: int) -> None:
    """As it is from 23 on, and for MNIST."""
    size = {"channels": 1, "height": height, "width": width, "classes": 10}
    layers = [ConvLayer(4, 5, stride=2, padding=2), ConvLayer(4, 3, pool=2), ConvLayer(4, 3), ConvLayer(4, 3)]
    models = [kind("cnn", layers, head="global_max", hidden=[], dropout=0.0) for kind in (DefaultNet, ConvNet)]
    if min(height, width) >= 23:
        assert shapes.layers(models[0], **size) == shapes.layers(models[1], **size)
    else:
        with pytest.raises(ShapeError, match="needs at least"):
            shapes.layers(models[1], **size)
        found = [(layer.height, layer.width) for layer in shapes.layers(models[0], **size) if layer.kind in ("conv", "pool")]
        halved = (height + 1) // 2, (width + 1) // 2
        assert found == [halved, halved, *[(halved[0] // 2, halved[1] // 2)] * 3]


def test_one_short_side_is_too_small() -> None:
    with pytest.raises(ShapeError, match="needs at least 9x9 pixels, but gets 28x8 from the image"):
        shapes.layers(plain(ConvLayer(4, 9)), channels=1, height=28, width=8, classes=10)


@pytest.mark.parametrize(("depth", "below", "above"), [(21, 20, 26), (25, 20, 26), (9, 8, 14), (2, 8, 14), (100, 98, 104)])
def test_depths_that_are_not_6n_plus_2(depth: int, below: int, above: int) -> None:
    model = ResNet(name="resnet", depth=depth, width=4, residual=True)
    with pytest.raises(ShapeError, match=f"depth {depth} is not 6n \\+ 2; the nearest are {below} and {above}"):
        shapes.layers(model, **MNIST)


def test_torch_is_not_imported() -> None:
    code = "import sys, filterlab.models.shapes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode == 0
