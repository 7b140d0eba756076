"""Topic 15: images of 14x14, gradients by depth beside autograd's own, claims as paired differences, AlexNet's numbers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from torch.nn import functional as F

from filterlab.data.prepare import pixel_statistics
from filterlab.lecture import large_networks as topic
from filterlab.lecture.context import Context
from filterlab.lecture.large_networks import Kind, Seen
from filterlab.models import registry


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


def test_halved_is_average_pooling() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 8, 6), dtype=np.uint8)
    expected = F.avg_pool2d(torch.from_numpy(images).double(), 2).round().numpy()
    np.testing.assert_array_equal(topic.halved(images), expected)
    assert topic.halved(images).dtype == np.uint8


def test_networks_differ_in_shortcuts_and_depth_alone(context: Context) -> None:
    plain, residual, other = (topic.residual_job(context, kind, 0) for kind in (Kind(False, 20), Kind(True, 20), Kind(True, 110)))
    for job in (residual, other):
        np.testing.assert_array_equal(job.train.images, plain.train.images)
        np.testing.assert_array_equal(job.validation.labels, plain.validation.labels)
    assert plain.train.images.shape == (64, 1, 14, 14) and plain.validation.images.shape == (32, 1, 14, 14)
    networks = [registry.predictor(job.config, mean=0.0, std=1.0).network for job in (plain, residual)]
    for first, second in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(first, second)
    assert not np.array_equal(topic.residual_job(context, Kind(False, 20), 1).train.images, plain.train.images)


@pytest.mark.parametrize("residual", [False, True])
def test_gradient_norms_are_the_slope_of_the_loss(context: Context, residual: bool) -> None:
    """A small step down the gradient of all convolutions lowers the loss by the step times the squared norms."""
    job = topic.residual_job(context, Kind(residual, 8), 0)
    norms = topic.gradient_norms(job)
    assert norms.shape == (7,)
    mean, std = pixel_statistics(job.train.images)
    network = registry.predictor(job.config, mean=mean, std=std).network.double()
    images = torch.from_numpy((job.train.images / 255 - mean) / std)
    labels = torch.from_numpy(job.train.labels.astype(np.int64))
    before = F.cross_entropy(network(images), labels)
    before.backward()
    step = 1e-7
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight -= step * layer.weight.grad
        after = F.cross_entropy(network(images), labels)
    np.testing.assert_allclose((before - after).item() / step, (norms**2).sum(), rtol=1e-4)


def invented(train: dict[tuple[bool, int], list[float]]) -> dict[Kind, dict[str, Seen]]:
    """Training and validation accuracy by network and seed; gradients from 1 to ten to the depth."""
    measured: dict[Kind, dict[str, Seen]] = {}
    for (residual, depth), values in train.items():
        measured[Kind(residual, depth)] = {
            seed: Seen(
                np.array([1.0, 10.0 ** (depth / 10 + seed)]),
                SimpleNamespace(curves={"train/accuracy": [0.1, value]}, best=lambda name, value=value: value - 0.05),
            )
            for seed, value in enumerate(values)
        }
    return measured


def test_claims_are_paired_differences_in_points() -> None:
    plain, residual = [0.3, 0.35, 0.28], [0.9, 0.93, 0.91]
    shallow = {(False, 20): [0.8, 0.82, 0.83], (True, 20): [0.99, 0.99, 0.995]}
    found = topic.judge_hypotheses(invented({(False, 110): plain, (True, 110): residual, **shallow}))
    assert [each.verdict for each in found] == ["holds", "holds", "holds", "fails", "can't be told"]
    interval = ttest_rel(residual, plain).confidence_interval(0.95)
    for each in found[1:3]:
        expected = [100 * np.mean(np.subtract(residual, plain)), 100 * interval.low, 100 * interval.high]
        np.testing.assert_allclose([each.difference, each.low, each.high], expected)
    assert found[4].difference == 0  # equal spans here


def test_span_counts_factors_of_ten() -> None:
    np.testing.assert_allclose(Seen(np.array([0.02, 5.0, 20.0]), None).span, 3)


def test_alexnets_numbers() -> None:
    checks, table = topic.check_classifier()
    assert all(check.passed for check in checks)
    assert table.rows[1] == ["dense, 9216 to 4096", "37,752,832", "61.8%"]
    assert sum(int(row[1].replace(",", "")) for row in table.rows) == 61_100_840
