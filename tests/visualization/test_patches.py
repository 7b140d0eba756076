"""Receptive fields against the footprint of the gradient; the strongest patches against a search over all maps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.mlp import MLP
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.plan import Model
from filterlab.models.predictor import Predictor
from filterlab.visualization import patches, receptive
from filterlab.visualization.receptive import Span

LAYERS = [
    ConvLayer(filters=3, kernel=5, stride=2, padding=2, batch_norm=True),
    ConvLayer(filters=4, kernel=3, batch_norm=True, pool=2),
    ConvLayer(filters=5, kernel=2, padding=1),
]
UNEVEN = [
    ConvLayer(filters=4, kernel=[1, 5], padding=[0, 2], stride=2),
    ConvLayer(filters=4, kernel=[3, 2], dilation=2, groups=4, padding=[1, 0]),
]
NETWORKS: dict[str, Callable[[], Model]] = {
    "conv_net": lambda: ConvNet(name="conv_net", layers=LAYERS, head="global_max", hidden=[4], dropout=0.0),
    "uneven": lambda: ConvNet(name="conv_net", layers=UNEVEN, head="global_max", hidden=[], dropout=0.0),
    "resnet": lambda: ResNet(name="resnet", depth=8, width=2, residual=True),
    "plain": lambda: ResNet(name="resnet", depth=8, width=2, residual=False),
    "mlp": lambda: MLP(name="mlp", hidden=[6], activation="tanh"),
}
SHAPE = (1, 40, 36)
IMAGES = np.random.default_rng(0).integers(0, 256, (23, *SHAPE), dtype=np.uint8)


def predictor(model: Model, *, shape: tuple[int, int, int] = SHAPE) -> Predictor:
    network = registry.build(model, channels=shape[0], height=shape[1], width=shape[2], classes=2, seed=0)
    return Predictor(network, data_name="noise", classes=["a", "b"], shape=shape, mean=0.5, std=0.3).eval()


@pytest.fixture(params=NETWORKS)
def model(request: pytest.FixtureRequest) -> Model:
    return NETWORKS[request.param]()


def test_a_window_is_the_footprint_of_the_gradient(model: Model) -> None:
    """All weights positive and pools that average: every pixel that a unit sees has a gradient."""
    seeing = predictor(model)
    for module in seeing.network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride))
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.01)
    plan = model.plan(classes=2)
    found = receptive.windows(plan)
    images = torch.ones(1, *SHAPE, requires_grad=True)
    with patches.recorded(seeing, found) as outputs:
        seeing(images)
    for name, window in found.items():
        maps = outputs[name][0, 0]
        for row, column in [(0, 0), (maps.shape[0] // 2, maps.shape[1] // 2), (maps.shape[0] - 1, maps.shape[1] - 1)]:
            (gradient,) = torch.autograd.grad(maps[row, column], images, retain_graph=True)
            seen = torch.nonzero(gradient[0, 0])
            for axis, (span, place) in enumerate(zip(window, (row, column), strict=True)):
                start = span.start + place * span.jump
                inside = [max(0, start), min(SHAPE[1 + axis], start + span.size) - 1]
                ends = [int(seen[:, axis].min()), int(seen[:, axis].max())]
                at_border = place in (0, maps.shape[axis] - 1)
                if at_border and any(layer.settings.get("dilation", 1) > 1 for layer in plan.layers):
                    assert inside[0] <= ends[0] and ends[1] <= inside[1], "between the pixels of a filter there are gaps"
                else:
                    assert ends == inside, (name, place)


def test_a_window_follows_each_axis_and_dilation() -> None:
    assert Span(-2, 5, 2).through(kernel=3, stride=3, padding=1, dilation=2) == Span(-4, 13, 6)


def test_the_strongest_are_those_of_all_maps(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seeing = predictor(model)
    layers = [*patches.answers(model.plan(classes=2)).values()] or ["fc1"]
    found = patches.strongest_of(seeing, IMAGES, layers, k=4)
    with patches.recorded(seeing, layers) as outputs, torch.inference_mode():
        seeing(torch.from_numpy(IMAGES))
    for name in layers:
        maps = outputs[name].numpy().reshape(len(IMAGES), outputs[name].shape[1], -1)
        order = np.argsort(-maps.max(axis=2), axis=0, kind="stable")[:4].T
        np.testing.assert_array_equal(found[name].indices, order)
        for channel, (indices, positions, activations) in enumerate(
            zip(found[name].indices, found[name].positions, found[name].activations, strict=True)
        ):
            rows, columns = positions.T
            at = rows * (outputs[name].shape[3] if outputs[name].ndim == 4 else 1) + columns
            np.testing.assert_allclose(maps[indices, channel, at], activations, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(patches, "HELD", 1)  # an image at a time
    one_by_one = patches.strongest(seeing, IMAGES, layers[0], k=4)
    np.testing.assert_array_equal(one_by_one.indices, found[layers[0]].indices)
    np.testing.assert_array_equal(one_by_one.positions, found[layers[0]].positions)
    assert not any(module._forward_hooks for module in seeing.modules())


def test_a_batch_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    seeing = predictor(NETWORKS["conv_net"]())
    monkeypatch.setattr(patches, "HELD", 5_000)
    with patches.recorded(seeing, ["norm1"]) as outputs:
        seen = []
        for first, batch in patches.batches(seeing, IMAGES, outputs):
            seeing(batch)
            assert outputs["norm1"].numel() + batch.numel() <= 5_000
            seen += range(first, first + len(batch))
    assert seen == [*range(len(IMAGES))]


def test_of_equal_activations_the_earlier_images_come_first() -> None:
    seeing = predictor(NETWORKS["conv_net"]())
    same = np.repeat(IMAGES[:1], 7, axis=0)
    assert patches.strongest(seeing, same, "norm1", k=9).indices.tolist() == [list(range(7))] * 3


def test_a_crop_is_what_the_unit_sees() -> None:
    window = (Span(-2, 5, 2), Span(-1, 3, 1))
    found = patches.Strongest(
        indices=np.array([[0, 1]]), positions=np.array([[[0, 0], [3, 4]]]), activations=np.zeros((1, 2), np.float32)
    )
    cut = patches.crop(IMAGES, found, window)
    assert cut.shape == (1, 2, 1, 5, 3)
    padded = np.pad(IMAGES.astype(float), [(0, 0), (0, 0), (2, 2), (1, 1)], constant_values=np.nan)
    np.testing.assert_array_equal(cut[0, 0], padded[0, :, :5, :3])
    np.testing.assert_array_equal(cut[0, 1], IMAGES[1, :, 4:9, 3:6])


def test_a_unit_that_sees_more_than_the_image_is_shown_the_image() -> None:
    found = patches.Strongest(np.array([[2]]), np.array([[[1, 1]]]), np.zeros((1, 1), np.float32))
    window = (Span(-20, 50, 4), Span(-2, 5, 2))
    np.testing.assert_array_equal(patches.crop(IMAGES, found, window)[0, 0], IMAGES[2, :, :, 0:5])


def test_a_filters_own_patch_is_the_strongest() -> None:
    """A filter of weights as the patch has pixels, on images of which one holds that patch: it is found, where it is."""
    seeing = Predictor(
        nn.Sequential(nn.Conv2d(1, 1, 3, bias=False)), data_name="x", classes=["a"], shape=(1, 9, 9), mean=0.0, std=1.0
    )
    pattern = torch.tensor([[1.0, -1, 1], [-1, 1, -1], [1, -1, 1]])
    seeing.network[0].weight.data = pattern[None, None]
    images = np.zeros((5, 1, 9, 9), np.uint8)
    images[3, 0, 4:7, 2:5] = (pattern > 0).numpy() * 255
    found = patches.strongest(seeing, images, "0", k=1)
    assert (found.indices.item(), found.positions.ravel().tolist(), found.activations.item()) == (3, [4, 2], pytest.approx(5.0))
    np.testing.assert_array_equal(patches.crop(images, found, (Span(0, 3, 1), Span(0, 3, 1)))[0, 0, 0], images[3, 0, 4:7, 2:5])


def test_an_unknown_layer_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no layer 'conv9'; there are flatten, fc1, act1, fc2"):
        patches.strongest(predictor(NETWORKS["mlp"]()), IMAGES, "conv9")
