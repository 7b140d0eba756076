"""Maps of what speaks for a class against closed forms; their checks against scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.mlp import MLP
from filterlab.models.plan import Model
from filterlab.models.predictor import Predictor
from filterlab.visualization import attribution, explained

SHAPE = (3, 10, 9)
GROUND = np.array([0.2, 0.5, 0.7])
EMPTY = torch.tensor(GROUND, dtype=torch.float32).view(1, 3, 1, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
CLASSES = np.array([0, 1, 2, 1, 0])
LAYERS = [ConvLayer(filters=4, kernel=3, padding=1, pool=2), ConvLayer(filters=6, kernel=3)]
CONV = ConvNet(name="conv_net", layers=LAYERS, head="flatten", hidden=[], dropout=0.0)
TANH = MLP(name="mlp", hidden=[5], activation="tanh")
LINEAR = MLP(name="mlp", hidden=[], activation="relu")


def predictor(model: Model) -> Predictor:
    network = registry.build(model, channels=3, height=10, width=9, classes=3, seed=0)
    return Predictor(network, data_name="x", classes=["a", "b", "c"], shape=SHAPE, mean=0.4, std=0.3).eval()


def methods(model: Model) -> attribution.Methods:
    return attribution.methods(predictor(model), model.plan(classes=3), ground=GROUND)


def test_integrated_gradients_add_up_to_the_change_of_the_score() -> None:
    seeing = predictor(CONV)
    maps = attribution.explain(attribution.integrated_gradients(EMPTY), seeing, IMAGES, CLASSES)
    with torch.inference_mode():
        full, empty = seeing(torch.from_numpy(IMAGES)), seeing(EMPTY.expand(5, *SHAPE))
    change = (full - empty)[np.arange(5), CLASSES].numpy()
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), change, rtol=0.03, atol=0.01)


@pytest.mark.parametrize("method", [attribution.occlusion(EMPTY), attribution.integrated_gradients(EMPTY)])
def test_of_a_linear_network_each_pixel_is_its_weight_times_what_it_adds(method: attribution.Attribute) -> None:
    """Of images so small occlusion covers a pixel at a time."""
    seeing = predictor(LINEAR)
    weights = seeing.network.fc1.weight.detach()[CLASSES].view(5, *SHAPE) / 0.3
    expected = (weights * (torch.from_numpy(IMAGES) / 255 - EMPTY)).sum(dim=1)
    np.testing.assert_allclose(attribution.explain(method, seeing, IMAGES, CLASSES), expected.numpy(), atol=1e-5)


def test_grad_cam_is_maps_weighted_with_their_mean_gradients() -> None:
    seeing = predictor(CONV)
    lower = seeing.network.conv1, seeing.network.act1
    images = (torch.from_numpy(IMAGES) / 255 - 0.4) / 0.3
    maps = lower[1](lower[0](images)).detach().requires_grad_()
    rest = nn.Sequential(*[*seeing.network.children()][2:])
    (gradients,) = torch.autograd.grad(rest(maps)[torch.arange(5), torch.from_numpy(CLASSES)].sum(), maps)
    cam = (maps * gradients.mean(dim=(2, 3), keepdim=True)).sum(dim=1, keepdim=True).relu()
    expected = F.interpolate(cam, SHAPE[1:], mode="bilinear")[:, 0]
    found = attribution.explain(attribution.grad_cam("act1"), seeing, IMAGES, CLASSES)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)


def test_guided_backpropagation_lets_pass_what_is_above_0() -> None:
    model = MLP(name="mlp", hidden=[8], activation="relu")
    seeing = predictor(model)
    first, second = seeing.network.fc1, seeing.network.fc2
    before = first(((torch.from_numpy(IMAGES) / 255 - 0.4) / 0.3).flatten(1))
    back = second.weight[CLASSES].clamp(min=0) * (before > 0)
    expected = ((back @ first.weight) / 0.3).view(5, *SHAPE).sum(dim=1)
    found = attribution.explain(attribution.guided_backpropagation, seeing, IMAGES, CLASSES)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)
    assert not any(module._backward_hooks or module._forward_pre_hooks for module in seeing.modules())


def test_what_does_not_apply_is_said() -> None:
    assert [*methods(CONV).methods] == ["occlusion", "integrated gradients", "Grad-CAM at pool1", "guided backpropagation"]
    assert methods(CONV).missing == {}
    found = methods(TANH)
    assert [*found.methods] == ["occlusion", "integrated gradients"]
    assert found.missing == {
        "Grad-CAM": "no layer has maps of 4 x 4 or more",
        "guided backpropagation": "it is defined where all activations are relu; this network has tanh",
    }


def test_curves_go_from_the_image_to_nothing_and_back() -> None:
    seeing = predictor(LINEAR)
    seeing.network.fc1.weight.data *= 20
    with torch.inference_mode():
        ends = [
            seeing(pixels).softmax(dim=1)[np.arange(5), CLASSES].double().mean().item()
            for pixels in (torch.from_numpy(IMAGES) / 255, EMPTY.expand(5, *SHAPE))
        ]
    maps = attribution.explain(attribution.integrated_gradients(EMPTY), seeing, IMAGES, CLASSES)
    found = attribution.curves(seeing, IMAGES, CLASSES, maps, ground=GROUND)
    worst = attribution.curves(seeing, IMAGES, CLASSES, -maps, ground=GROUND)
    np.testing.assert_allclose(found["deletion"][[0, -1]], ends, atol=1e-6)
    np.testing.assert_allclose(found["insertion"][[-1, 0]], ends, atol=1e-6)
    areas = [np.trapezoid(of["deletion"], attribution.SHARES) for of in (found, worst)]
    assert areas[0] < 0.5 * areas[1]


def test_weights_are_shuffled_from_the_last_layer_down_and_the_network_is_left_alone() -> None:
    seeing = predictor(CONV)
    before = {name: value.clone() for name, value in seeing.state_dict().items()}
    found = attribution.randomised(seeing, CONV.plan(classes=3), seed=0, limit=9)
    assert [*found] == ["fc1", "conv2", "conv1"]
    for place, other in enumerate(found.values()):
        changed = {name.split(".")[1] for name, value in other.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == set([*found][: place + 1])
        for name, value in other.state_dict().items():
            torch.testing.assert_close(value.flatten().sort().values, before[name].flatten().sort().values)
    again = attribution.randomised(seeing, CONV.plan(classes=3), seed=0, limit=2)
    assert [*again] == ["fc1", "conv1"]
    assert torch.equal(again["conv1"].network.conv1.weight, found["conv1"].network.conv1.weight)
    assert all(torch.equal(value, before[name]) for name, value in seeing.state_dict().items())


def test_likeness_is_spearmans() -> None:
    draw = np.random.default_rng(1)
    maps, others = draw.normal(size=(4, 6, 5)), draw.normal(size=(4, 6, 5)).round(1)
    pairs = zip(np.abs(maps), np.abs(others), strict=True)
    expected = np.mean([spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs])
    assert attribution.alike(maps, others) == pytest.approx(expected)
    assert attribution.alike(maps, -3 * maps) == pytest.approx(1)
    assert attribution.alike(maps, np.zeros_like(maps)) == 0.0


def test_figures_hold_every_image_and_say_where_there_is_none() -> None:
    cells = [explained.Cell(image, f"{k}", {"a": image[0] / 9.0, "b b": -image[1] / 9.0}) for k, image in enumerate(IMAGES)]
    drawn = explained.draw_explained(cells, title="t", subject="x, y")
    assert len(drawn.axes[0].images) == 15
    empty = explained.draw_explained([], title="t", subject="x, y")
    assert [text.get_text() for text in empty.axes[0].texts] == ["There are none."]
    curve = {"deletion": attribution.SHARES, "insertion": attribution.SHARES}
    drawn = explained.draw_checks({"a": curve, "random": curve}, {"a": {"fc1": 0.2}}, images=3, subject="x, y")
    assert [len(axes.lines) for axes in drawn.axes] == [2, 2, 2]
