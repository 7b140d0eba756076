"""Topic 8: the loop by hand beside PyTorch's."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from filterlab.lecture import algorithm


@pytest.fixture(scope="module")
def parts() -> tuple[algorithm.Examples, algorithm.Examples]:
    """Few noisy examples to train on, more to validate: validation gets worse before long."""
    draw = np.random.default_rng(0)
    true = draw.standard_normal((30, 3))

    def drawn(n: int) -> algorithm.Examples:
        inputs = draw.standard_normal((n, 30))
        return inputs, np.eye(3)[(inputs @ true + 6 * draw.standard_normal((n, 3))).argmax(axis=1)]

    return drawn(20), drawn(200)


def test_loss_and_gradient_are_those_of_autograd(parts: tuple[algorithm.Examples, algorithm.Examples]) -> None:
    (inputs, labels), _ = parts
    weights = np.random.default_rng(1).standard_normal((30, 3))
    variable = torch.tensor(weights, requires_grad=True)
    F.cross_entropy(torch.tensor(inputs) @ variable, torch.tensor(labels.argmax(axis=1))).backward()
    assert variable.grad is not None
    np.testing.assert_allclose(algorithm.gradient(weights, (inputs, labels)), variable.grad.numpy(), atol=1e-12)


def test_the_loop_walks_as_pytorchs_gradient_descent(parts: tuple[algorithm.Examples, algorithm.Examples]) -> None:
    train, _ = parts
    inputs, labels = torch.tensor(train[0]), torch.tensor(train[1].argmax(axis=1))
    weights = torch.zeros(30, 3, dtype=torch.float64, requires_grad=True)
    steps = torch.optim.SGD([weights], lr=0.2)
    losses = []
    for _ in range(10):
        steps.zero_grad()
        F.cross_entropy(inputs @ weights, labels).backward()
        steps.step()
        losses.append(F.cross_entropy(inputs @ weights, labels).item())
    learned = algorithm.learn(train, train, rate=0.2, patience=3, most=10)
    np.testing.assert_allclose(learned.weights, weights.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(learned.training, losses, atol=1e-12)


def test_stops_at_best_plus_patience_with_the_best_weights(parts: tuple[algorithm.Examples, algorithm.Examples]) -> None:
    train, validation = parts
    whole = algorithm.learn(train, validation, rate=0.05, patience=300, most=300)
    stopped = algorithm.learn(train, validation, rate=0.05, patience=4, most=300)
    assert 1 < stopped.best_epoch < 300 - 4
    assert stopped.best_epoch == int(np.argmin(whole.validation)) + 1
    assert stopped.validation == whole.validation[: stopped.best_epoch + 4]
    assert algorithm.loss(stopped.weights, validation) == min(whole.validation)


def test_does_not_stop_while_validation_gets_better(parts: tuple[algorithm.Examples, algorithm.Examples]) -> None:
    train, _ = parts
    learned = algorithm.learn(train, train, rate=0.05, patience=1, most=12)
    assert (learned.best_epoch, len(learned.validation)) == (12, 12)
