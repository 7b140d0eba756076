"""The backward passes by hand beside torch's autograd, and finite differences beside derivatives in closed form."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from filterlab.lecture import propagation
from filterlab.lecture.context import Context

ROOT = Path(__file__).parents[2]


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("sizes", [(2, 1), (3, 5, 2), (4, 6, 5, 3, 2)])
def test_backward_gives_every_gradient_that_autograd_gives(draw: np.random.Generator, sizes: tuple[int, ...]) -> None:
    net = [draw.standard_normal(shape) for low, high in pairwise(sizes) for shape in ((low, high), (high,))]
    x, target = draw.standard_normal((7, sizes[0])), draw.uniform(0, 1, (7, sizes[-1]))
    values = propagation.forward(net, x)
    gradients, signals = propagation.backward(net, values, target)

    tensors = [torch.tensor(array, requires_grad=True) for array in net]
    kept = [torch.tensor(x, requires_grad=True)]
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        kept.append(torch.sigmoid(F.linear(kept[-1], weight.T, bias)))
        kept[-1].retain_grad()
    error = F.mse_loss(kept[-1], torch.tensor(target), reduction="sum") / 2
    error.backward()
    assert propagation.squared_error(values[-1], target) == pytest.approx(error.item(), rel=1e-14)
    for ours, theirs in zip([*values], kept, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-13)
    for ours, theirs in zip([*gradients, *signals], [*tensors, *kept], strict=True):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-11, atol=1e-14)


def test_the_convolutional_network_is_that_of_torch_forward_and_backward(draw: np.random.Generator) -> None:
    net = [draw.standard_normal(shape) for shape in ((5, 3, 3), (5,), (45, 10), (10,))]
    images, digits = draw.standard_normal((9, 8, 8)), draw.integers(0, 10, 9)
    maps, pooled, probabilities = propagation.conv_forward(net, images)
    gradients = propagation.conv_backward(net, images, digits)

    tensors = [torch.tensor(array, requires_grad=True) for array in (*net, images)]
    filters, shift, weight, bias, x = tensors
    their_maps = F.conv2d(x[:, None], filters[:, None], shift).relu()
    their_pooled = F.max_pool2d(their_maps, 2)
    logits = F.linear(their_pooled.flatten(1), weight.T, bias)
    F.nll_loss(logits.log_softmax(1), torch.tensor(digits), reduction="sum").backward()
    for ours, theirs in zip((maps, pooled, probabilities), (their_maps, their_pooled, logits.softmax(1)), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-13)
    for ours, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad, rtol=1e-9, atol=1e-12)


def test_differences_are_exact_for_a_parabola_and_leave_the_numbers_as_they_were() -> None:
    numbers = np.array([[1.0, -2.0], [0.5, 3.0]])
    before = numbers.copy()

    def error() -> float:
        return float((numbers**2).sum())

    (central,) = propagation.differences(error, [numbers], step=0.25)
    (one_sided,) = propagation.differences(error, [numbers], step=0.25, central=False)
    np.testing.assert_array_equal(central, 2 * before)
    np.testing.assert_array_equal(one_sided, 2 * before + 0.25)  # (w + h)^2 - w^2 = 2wh + h^2
    np.testing.assert_array_equal(numbers, before)


def test_a_single_wrong_gradient_is_seen() -> None:
    right = [np.array([1.0, 100.0]), np.array([0.01])]
    wrong = [right[0], right[1] * 1.1]
    assert propagation.distance(right, right) == 0
    assert propagation.distance(wrong, right) == pytest.approx(0.1)
    failed, held = propagation.check_gradients("a network", wrong, right, wrong)
    assert (failed.passed, held.passed) == (False, True)


def test_the_topic() -> None:
    findings = propagation.compare_gradients(Context(ROOT, quick=True, record=lambda record: None))
    assert [check.says for check in findings.checks if not check.passed] == []
    assert [check.value < 1e-12 for check in findings.checks if "autograd" in check.says] == [True, True]
    assert "all 29 gradients" in findings.checks[0].says
    assert sorted(findings.figures) == ["differences", "passes"]
