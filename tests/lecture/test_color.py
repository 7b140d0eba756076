"""Topic 14: sizes, parameters and maps beside PyTorch's, and what a stack of layers sees."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from filterlab.lecture import color
from filterlab.lecture.context import Context, Record

ROOT = Path(__file__).parents[2]


def test_the_lectures_numbers() -> None:
    assert color.count_parameters(5, depth=3, filters=1) == 76
    assert color.output_side(224, field=5) == 220
    assert color.output_side(224, field=5, stride=2) == 110  # 110.5 without rounding


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_correlate_is_a_convolution_of_all_channels(stride: int) -> None:
    draw = np.random.default_rng(0)
    image, weights = draw.standard_normal((3, 12, 15)), draw.standard_normal((3, 4, 4))
    expected = F.conv2d(torch.from_numpy(image)[None], torch.from_numpy(weights)[None], stride=stride)[0, 0].numpy()
    np.testing.assert_allclose(color.correlate(image, weights, stride=stride), expected, atol=1e-12)


def test_the_image_is_in_color_and_its_red_stands_out() -> None:
    image, weights = color.photograph(), color.red_filter()
    assert image.shape == (3, 224, 224) and image.min() >= 0 and image.max() <= 1
    answers = color.correlate(image, weights)
    middles = image[:, 2:-2, 2:-2]
    redness = middles[0] - (middles[1] + middles[2]) / 2
    assert redness[answers > 0.2].mean() > 0.15
    assert abs(redness[np.abs(answers) < 0.02].mean()) < 0.05


def test_the_gradient_of_one_layer_is_its_filter() -> None:
    """One untrained network of one layer: the gradient is the absolute filter, added up over the channels."""
    draw = torch.Generator().manual_seed(3)
    torch.randn(1, 2, 15, 15, generator=draw, dtype=torch.float64)
    weights = torch.randn(2, 2, 7, 7, generator=draw, dtype=torch.float64) * (2 / (2 * 49)) ** 0.5
    expected = F.pad(weights[0].abs().sum(dim=0), (4, 4, 4, 4)).numpy()
    np.testing.assert_allclose(color.gradient((7,), channels=2, networks=1, seed=3), expected, atol=1e-12)


@pytest.mark.parametrize(("kernels", "side"), [((3,), 3), ((3, 3), 5), ((3, 3, 3), 7), ((7,), 7), ((5, 3), 7)])
def test_extent(kernels: tuple[int, ...], side: int) -> None:
    assert color.extent(color.gradient(kernels, channels=4, networks=20, seed=0)) == [side, side, side**2]


def test_weights_of_the_stacks() -> None:
    assert color.stack_weights((3, 3, 3), channels=10) == 2700
    assert color.stack_weights((7,), channels=10) == 4900


def test_all_checks_hold() -> None:
    points: list[Record] = []
    findings = color.filter_color_image(Context(ROOT, quick=True, record=points.append))
    assert [check for check in findings.checks if not check.passed] == []
    assert len(findings.checks) == 20 and points == []
    assert findings.figures.keys() == {"channels", "stacks"}
