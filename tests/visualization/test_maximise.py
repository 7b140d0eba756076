"""Images made by gradient ascent: against the closed form of a linear filter, and the network's own answer to them."""

import numpy as np
import pytest
import torch
from torch import nn

from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.predictor import Predictor
from filterlab.visualization import maximise, patches, receptive
from filterlab.visualization.maximise import Ascent
from filterlab.visualization.receptive import Span

GROUND = np.array([0.3])
LAYERS = [ConvLayer(filters=6, kernel=3, padding=1, stride=2, batch_norm=True), ConvLayer(filters=7, kernel=3, padding=1)]
NET = ConvNet(name="conv_net", layers=LAYERS, head="global_max", hidden=[], dropout=0.0)


def linear(weight: torch.Tensor) -> Predictor:
    module = nn.Conv2d(1, len(weight), 5, bias=False)
    module.weight.data = weight
    return Predictor(nn.Sequential(module), data_name="x", classes=["a"], shape=(1, 12, 12), mean=0.0, std=1.0)


def small(*, shape: tuple[int, int, int] = (1, 20, 16)) -> Predictor:
    network = registry.build(NET, channels=shape[0], height=shape[1], width=shape[2], classes=3, seed=0)
    return Predictor(network, data_name="x", classes=["a", "b", "c"], shape=shape, mean=0.2, std=0.4).eval()


def test_a_linear_filter_is_excited_nearly_as_much_as_pixels_from_0_to_1_can() -> None:
    weight = torch.randn(8, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    window = (Span(0, 5, 1), Span(0, 5, 1))
    found = maximise.channels(linear(weight), "0", window=window, ground=GROUND, seed=0, ascent=maximise.OF_CHANNELS)
    best = weight.clamp(min=0).sum(dim=(1, 2, 3)).numpy()
    assert ((found.activations > 0.88 * best) & (found.activations <= best)).all(), found.activations / best
    np.testing.assert_allclose((torch.from_numpy(found.images) * weight).sum(dim=(1, 2, 3)).numpy(), found.activations, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_answers_an_image_as_is_said(channels: int) -> None:
    """An image that is put where the middle unit sees it excites that unit as much, the rest of the picture being anything."""
    seeing, seen = small(shape=(channels, 20, 16)), "conv2"
    window = receptive.windows(NET.plan(classes=3))[seen]
    quick = Ascent(steps=20, starts=2)
    found = maximise.channels(seeing, seen, window=window, ground=np.full(channels, 0.3), seed=0, ascent=quick)
    assert found.images.shape == (7, channels, 7, 7)
    whole = torch.rand(7, channels, 20, 16, generator=torch.Generator().manual_seed(0))
    (row, _), (column, _) = (maximise.unit(span, side) for span, side in zip(window, (20, 16), strict=True))
    down, across = (span.start + place * span.jump for span, place in zip(window, (row, column), strict=True))
    whole[:, :, down : down + 7, across : across + 7] = torch.from_numpy(found.images)
    with patches.recorded(seeing, [seen]) as outputs, torch.inference_mode():
        seeing(whole)
    np.testing.assert_allclose(torch.diagonal(outputs[seen][:, :, row, column]).numpy(), found.activations, rtol=1e-4, atol=1e-5)


def test_a_unit_that_never_sees_the_image_alone_is_the_middle_one_of_the_image() -> None:
    assert maximise.unit(Span(-2, 5, 2), 28) == (1, 5)
    assert maximise.unit(Span(-2, 27, 4), 28) == (1, 28)
    assert maximise.unit(Span(-20, 60, 4), 28) == (1, 28)


def test_the_seed_decides_and_the_pieces_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    window = receptive.windows(NET.plan(classes=3))["norm1"]
    quick = Ascent(steps=8, starts=2)

    def made(seed: int) -> maximise.Optimised:
        return maximise.channels(small(), "norm1", window=window, ground=GROUND, seed=seed, ascent=quick)

    first, other = made(0), made(1)
    np.testing.assert_array_equal(first.images, made(0).images)
    assert not np.array_equal(first.images, other.images)
    monkeypatch.setattr(maximise, "HELD", 1)  # a channel at a time
    np.testing.assert_allclose(made(0).images, first.images, atol=1e-4)


def test_an_image_of_a_class_is_taken_for_it() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(320, 3))
    seeing = Predictor(network, data_name="x", classes=["a", "b", "c"], shape=(1, 20, 16), mean=0.2, std=0.4).eval()
    nn.init.normal_(network[1].weight, std=0.1)
    found = maximise.classes(seeing, ground=GROUND, seed=0, ascent=Ascent(steps=60, starts=2))
    with torch.inference_mode():
        probabilities = seeing(torch.from_numpy(found.images)).softmax(dim=1).numpy()
    np.testing.assert_allclose(np.diagonal(probabilities), found.activations, rtol=1e-4)
    beginning = maximise.classes(seeing, ground=GROUND, seed=0, ascent=Ascent(steps=1, starts=2))
    assert (found.activations >= 0.99).all() and not (beginning.activations >= 0.99).all()
    assert found.images.min() >= 0 and found.images.max() <= 1
