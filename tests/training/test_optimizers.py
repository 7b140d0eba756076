"""Each configuration gives the optimizer it names, with its numbers."""

import pytest
import torch
from torch.optim import SGD, Adadelta, Adam, AdamW

from filterlab.training import optimizers

ADAM = {"lr": 0.2, "weight_decay": 0.3, "betas": (0.8, 0.99), "eps": 1e-7}


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("config", "kind", "expected"),
    [
        (optimizers.SGD("sgd", 0.1, 5e-4, 0.9, True), SGD, {"lr": 0.1, "weight_decay": 5e-4, "momentum": 0.9, "nesterov": True}),
        (optimizers.Adam("adam", 0.2, 0.3, 0.8, 0.99, 1e-7), Adam, ADAM),
        (optimizers.AdamW("adamw", 0.2, 0.3, 0.8, 0.99, 1e-7), AdamW, ADAM),
        (
            optimizers.Adadelta("adadelta", 1.0, 0.1, 0.8, 1e-5),
            Adadelta,
            {"lr": 1.0, "weight_decay": 0.1, "rho": 0.8, "eps": 1e-5},
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_class_and_hyperparameters(config: optimizers.Optimizer, kind: type, expected: dict[str, object]) -> None:
    made = config.build([parameter()])
    assert type(made) is kind
    assert {name: made.param_groups[0][name] for name in expected} == expected


def test_sgd_with_nesterov_momentum_follows_its_formula() -> None:
    lr, decay, momentum = 0.1, 0.01, 0.9
    weight = parameter()
    made = optimizers.SGD("sgd", lr, decay, momentum, True).build([weight])
    expected, velocity = weight.detach().clone(), torch.zeros(2, dtype=torch.float64)
    for _ in range(3):
        weight.grad = weight.detach() ** 2
        gradient = expected**2 + decay * expected
        velocity = momentum * velocity + gradient
        expected = expected - lr * (gradient + momentum * velocity)
        made.step()
        torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-14)


def test_adamws_decay_is_decoupled_and_adams_is_not() -> None:
    numbers = (0.1, 0.5, 0.9, 0.999, 1e-8)
    decayed, coupled = parameter(), parameter()
    for config, weight in [(optimizers.AdamW("adamw", *numbers), decayed), (optimizers.Adam("adam", *numbers), coupled)]:
        weight.grad = torch.zeros(2, dtype=torch.float64)
        config.build([weight]).step()
    torch.testing.assert_close(decayed.detach(), parameter().detach() * (1 - 0.1 * 0.5))
    torch.testing.assert_close(coupled.detach(), torch.tensor([0.9, -1.9], dtype=torch.float64))  # the sign times lr
