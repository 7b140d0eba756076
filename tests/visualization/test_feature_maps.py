import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterlab.models.predictor import Predictor
from filterlab.visualization import feature_maps


def predictor(network: nn.Module) -> Predictor:
    return Predictor(network, data_name="lines", classes=["a", "b"], shape=(1, 12, 12), mean=0.2, std=0.5)


@pytest.fixture
def small() -> Predictor:
    torch.manual_seed(0)
    parts = [
        nn.Conv2d(1, 9, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(9, 2, 2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(32, 5),
    ]
    return predictor(nn.Sequential(*parts, nn.ReLU(), nn.Linear(5, 2)))


IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 1, 12, 12), dtype=np.uint8))


def test_maps_are_the_layers_outputs(small: Predictor) -> None:
    layers = feature_maps.record(small, IMAGES)
    assert [layer.name for layer in layers] == ["0", "1", "2", "3", "4"]
    assert [layer.group for layer in layers] == [0, 0, 0, 1, 1]
    first, _, _, second, *_ = small.network
    conv = F.conv2d((IMAGES / 255 - 0.2) / 0.5, first.weight, first.bias)
    pooled = F.max_pool2d(conv.relu(), 2)
    above = F.conv2d(pooled, second.weight, second.bias)
    for layer, expected in zip(layers, [conv, conv.relu(), pooled, above, above.tanh()], strict=True):
        np.testing.assert_allclose(layer.maps, expected.detach().numpy(), atol=1e-5)
    assert not any(module._forward_hooks for module in small.modules())


def test_channels_are_the_strongest_of_this_image_at_the_groups_last_layer(small: Predictor) -> None:
    layers = feature_maps.record(small, IMAGES)
    for index in range(3):
        picked = feature_maps.channels(layers, index=index, limit=4)
        highest = layers[2].maps[index].max(axis=(1, 2))
        assert set(picked[0]) == set(np.argsort(highest)[-4:])
        assert picked[1].tolist() == [0, 1]


def test_no_image_is_shown_black_because_another_is_brighter(small: Predictor) -> None:
    """The colors of a column reach from 0 to the largest value that is shown."""
    dark = IMAGES.clone()
    dark[1] //= 50
    layers = feature_maps.record(small, dark)
    drawn = feature_maps.draw_feature_maps(
        layers, dark[1, 0].numpy(), index=1, label="a", subject="lines", untrained=feature_maps.record(small, IMAGES)
    )
    shown = drawn.axes[0].images[1:]
    assert len(shown) == 2 * len(layers)
    for image in shown:
        values = np.abs(np.asarray(image.get_array(), dtype=float))
        assert np.nanmax(values) == pytest.approx(image.get_clim()[1])


def test_a_network_without_a_convolution_has_no_maps() -> None:
    assert feature_maps.record(predictor(nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))), IMAGES) == []


def test_a_deep_network_is_thinned_and_says_so() -> None:
    deep = predictor(nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(40)]))
    layers = feature_maps.record(deep, IMAGES)
    drawn = feature_maps.draw_feature_maps(layers, IMAGES[0, 0].numpy(), index=0, label="a", subject="lines, deep")
    texts = [text.get_text() for text in drawn.texts]
    assert any("Shown: 12 of 40 layers" in text and "lines, deep" in text for text in texts)
    assert len(drawn.axes[0].images) == 1 + feature_maps.LAYERS
