"""ReLU and its rivals: slopes, bounds, and what is measured in a network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from filterlab.data.arrays import LabelledImages
from filterlab.lecture import relu
from filterlab.lecture.context import Context
from filterlab.models import registry

ROOT = Path(__file__).parents[2]


def predictor(activation: str, *, hidden: list[int]) -> Any:
    context = Context(ROOT, quick=True, record=lambda record: None)
    config = context.compose("model=mlp", f"model.hidden={hidden}", f"model.activation={activation}")
    return registry.predictor(config, mean=0.13, std=0.31)


def images(n: int) -> LabelledImages:
    draw = np.random.default_rng(0)
    return LabelledImages(draw.integers(0, 256, (n, 1, 28, 28), np.uint8), draw.integers(0, 10, n, np.uint8))


def test_slopes_are_those_of_the_closed_forms() -> None:
    a = np.linspace(-3, 3, 60)  # without 0
    sigmoid = 1 / (1 + np.exp(-a))
    closed = {
        "relu": (np.maximum(a, 0), (a > 0).astype(float)),
        "elu": (np.where(a > 0, a, np.exp(a) - 1), np.where(a > 0, 1, np.exp(a))),
        "tanh": (np.tanh(a), 1 - np.tanh(a) ** 2),
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
    }
    for name, (values, slopes) in closed.items():
        found = relu.in_torch(name, a)
        np.testing.assert_allclose(found[0], values, atol=1e-14)
        np.testing.assert_allclose(found[1], slopes, atol=1e-14)
        assert found[1].max() <= relu.STEEPEST[name]
    assert np.array_equal(relu.relu(a), F.relu(torch.from_numpy(a)).numpy())


def test_function_checks_hold() -> None:
    assert [check.says for check in relu.check_functions() if not check.passed] == []


@pytest.mark.parametrize("name", relu.NAMES)
def test_gradients_are_autograds_and_below_their_bounds(name: str) -> None:
    part, built = images(1), predictor(name, hidden=[12, 9, 7])
    found = relu.measure_state(built, part, steepest=relu.STEEPEST[name])
    F.cross_entropy(built(torch.from_numpy(part.images)), torch.from_numpy(part.labels.astype(np.int64))).backward()
    # Of one image, the gradient by a layer's sums is that by its biases.
    biases = [float(built.network.get_parameter(f"fc{layer}.bias").grad.norm()) for layer in range(1, 5)]
    np.testing.assert_allclose(found.gradients, biases, rtol=1e-5)
    weights = [built.network.get_parameter(f"fc{layer}.weight").detach().numpy() for layer in range(2, 5)]
    spectral = [np.linalg.svd(weight, compute_uv=False)[0] for weight in weights]
    np.testing.assert_allclose(found.ceilings, relu.STEEPEST[name] * np.array(spectral), rtol=1e-5)
    assert (found.gradients[:-1] <= found.ceilings * found.gradients[1:]).all()
    assert found.passed == pytest.approx(biases[0] / biases[2], rel=1e-5)


def test_dead_units_and_the_largest_activation() -> None:
    built = predictor("relu", hidden=[10, 6])
    with torch.no_grad():
        built.network.fc1.bias[:3] = -1e4  # no image reaches them
        built.network.fc2.bias[0] = 1e4
    part = images(20)
    found = relu.measure_state(built, part, steepest=1.0)
    below = F.relu(built.network.fc1((torch.from_numpy(part.images).float().flatten(1) / 255 - 0.13) / 0.31))
    above = F.relu(built.network.fc2(below))
    alive = [int((maps > 0).any(dim=0).sum()) for maps in (below, above)]
    assert alive[0] <= 7 and found.dead == pytest.approx(1 - sum(alive) / 16)
    assert found.largest == pytest.approx(float(above.max().detach())) and found.largest > 9000


@pytest.mark.parametrize(
    ("accuracy", "epochs", "reached"),
    [
        ([0.5, 0.94, 0.96, 0.95], 2.5, True),
        ([0.95, 0.99], 1.0, True),
        ([0.9, 0.95], 2.0, True),
        ([0.9, 0.96, 0.9, 0.97], 1 + 5 / 6, True),  # the first time counts
        ([0.2, 0.3, 0.9499], 3.0, False),
    ],
)
def test_epochs_to_the_level(accuracy: list[float], epochs: float, reached: bool) -> None:
    nothing = relu.State(0.0, 0.0, np.ones(3), np.ones(2))
    found = relu.Trained(accuracy, nothing, nothing)
    assert found.epochs == pytest.approx(epochs)
    assert found.reached is reached


def test_claims_and_what_is_never_reached() -> None:
    def own(accuracy: list[float], *, passed: float, dead: float = 0.0, largest: float = 1.0) -> relu.Trained:
        before = relu.State(2.0, 0.25, np.array([passed, 1.0, 3.0]), np.ones(2))
        return relu.Trained(accuracy, before, relu.State(largest, dead, np.array([1.0, 1.0, 1.0]), np.ones(2)))

    fast, slow, never = [0.95, 0.96], [0.94, 0.95], [0.1, 0.2]
    curves = {
        ("relu", 2): fast,
        ("sigmoid", 2): fast,
        ("relu", 8): fast,
        ("sigmoid", 8): never,
        ("tanh", 8): slow,
        ("elu", 8): fast,
    }
    found = {
        (name, depth): [own(curves.get((name, depth), fast), passed=0.5 if name == "relu" else 0.1, dead=0.5, largest=7.0)] * 2
        for name in relu.NAMES
        for depth in (2, 8)
    }
    differences = {one.claim: one.difference for one in relu.judge_hypotheses(found)}
    assert [round(value, 9) for value in differences.values()] == [1, 5, 0.25, 1, 0.4, 1, 0.4, 0, 0.4]
    cells = {(row[0], row[1]): row[2:4] for row in relu.tabulate_networks(found).rows}
    assert cells["sigmoid", "8"] == ["0 of 2", "never"] and cells["tanh", "8"] == ["2 of 2", "2.0 [2.0, 2.0]"]
    assert "sigmoid never" in relu.conclude_epochs(found, relu.judge_hypotheses(found))
