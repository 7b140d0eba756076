"""Noisy labels: what is drawn, the L1 penalty's gradient beside autograd's, and settings that differ in one thing."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from filterlab.data.arrays import LabelledImages
from filterlab.lecture import noisy_labels
from filterlab.lecture.context import Context
from filterlab.lecture.trainings import Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pool() -> LabelledImages:
    """Image i shows the number i, so that images can be told apart."""
    images = np.zeros((1000, 1, 28, 28), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(1000), 256)
    return LabelledImages(images=images, labels=(np.arange(1000) % 10).astype(np.uint8))


def test_45_of_200_labels_are_wrong(pool: LabelledImages) -> None:
    true, noisy = noisy_labels.draw_labels(pool, seed=3)
    numbers = true.images[:, 0, 0, :2].astype(int) @ [256, 1]
    assert len(set(numbers)) == 200
    np.testing.assert_array_equal(true.labels, numbers % 10)
    np.testing.assert_array_equal(true.images, noisy.images)
    assert (true.labels != noisy.labels).sum() == 45
    assert noisy.labels.max() <= 9


def test_draws_repeat_and_differ_by_seed(pool: LabelledImages) -> None:
    first, again, other = (noisy_labels.draw_labels(pool, seed=seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.images, other.images)


def test_wrong_labels_are_each_of_the_nine_others(pool: LabelledImages) -> None:
    shifts = np.zeros(10, int)
    for seed in range(100):
        true, noisy = noisy_labels.draw_labels(pool, seed=seed)
        shifts += np.bincount((noisy.labels.astype(int) - true.labels) % 10, minlength=10)
    assert shifts.sum() == 20_000 and shifts[0] == 15_500
    assert shifts[1:].min() > 400 and shifts[1:].max() < 600  # 500 each, standard deviation 21


def test_l1_is_the_gradient_of_the_penalty() -> None:
    assert noisy_labels.penalty_error() < 1e-6


def test_l1_follows_the_weights_and_spares_biases() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    noisy_labels.l1(layer)
    layer.to(memory_format=torch.channels_last)  # as a training does, after the change
    weight = layer[0].weight
    weight.data = torch.linspace(-1, 1, weight.numel()).reshape(weight.shape)
    sum((given * 0).sum() for given in layer.parameters()).backward()  # a loss whose own gradient is 0
    expected = noisy_labels.STRENGTH * weight.detach().sign()
    torch.testing.assert_close(weight.grad, expected, rtol=0, atol=0)
    for free in (layer[0].bias, layer[1].weight, layer[1].bias):
        assert free.grad.abs().max() == 0


def test_settings_differ_in_what_they_are_called(pool: LabelledImages) -> None:
    context = Context(ROOT, quick=False, record=lambda record: None)
    jobs = {
        name: noisy_labels.noisy_job(context, name, seed=4, train=pool, validation=pool, test=pool)
        for name in noisy_labels.COLORS
    }
    plain = dataclasses.asdict(jobs["plain"].config)
    assert plain["trainer"]["patience"] >= plain["trainer"]["max_epochs"] == 40
    assert (
        jobs["L1"].change is noisy_labels.l1
        and jobs["plain"].change is jobs["dropout"].change is jobs["batch norm"].change is None
    )
    assert dataclasses.asdict(jobs["L1"].config) == plain
    dropout, batch_norm = (dataclasses.asdict(jobs[name].config) for name in ("dropout", "batch norm"))
    assert dropout["model"].pop("dropout") == 0.5 and plain["model"].pop("dropout") == 0.0 == batch_norm["model"].pop("dropout")
    assert dropout == plain
    assert [layer.pop("batch_norm") for layer in batch_norm["model"]["layers"]] == [True, True]
    assert [layer.pop("batch_norm") for layer in plain["model"]["layers"]] == [False, False]
    assert batch_norm == plain


class Says(nn.Module):
    """Gives every image the label that is written into its second row."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(images[:, 0, 1, 0].long(), 10).float() + 0 * self.unused


def test_parroted_counts_wrong_labels_that_are_given_back(pool: LabelledImages) -> None:
    true, noisy = noisy_labels.draw_labels(pool, seed=0)
    wrong = np.flatnonzero(true.labels != noisy.labels)
    said = true.labels.copy()
    said[wrong[:7]] = noisy.labels[wrong[:7]]
    images = noisy.images.copy()
    images[:, 0, 1, 0] = said
    outcome = Outcome({}, {}, 1, Says(), np.zeros(0, np.float32), None, None, 0.0)
    assert noisy_labels.parroted(outcome, true, LabelledImages(images=images, labels=noisy.labels)) == 7
