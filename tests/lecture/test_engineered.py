"""The edge filters, what is fixed and what is not, and how the three sets are compared."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from filterlab.lecture import engineered
from filterlab.lecture.context import Context
from filterlab.lecture.trainings import Job, Outcome
from filterlab.models import registry


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


def network(job: Job) -> Any:
    built = registry.predictor(job.config, mean=0.0, std=1.0).network
    if job.change is not None:
        job.change(built)
    return built


def test_each_filter_answers_most_to_an_edge_in_its_direction() -> None:
    y, x = np.mgrid[-1:2, -1:2]
    filters = torch.from_numpy(engineered.scaled_edges())
    for step in range(8):
        angle = step * np.pi / 4
        bright = (x * np.cos(angle) + y * np.sin(angle) > 1e-9).astype(np.float32)  # y points down: clockwise
        answers = F.conv2d(torch.from_numpy(bright)[None, None], filters).flatten()
        assert int(answers.argmax()) == step
    torch.testing.assert_close(filters.square().sum(dim=(1, 2, 3)), torch.full((8,), 2.0))


def test_resemblance() -> None:
    edges = engineered.edges()
    assert engineered.resemblance(3 * edges[[1, 6]].astype(np.float32)) == pytest.approx(1)
    assert engineered.resemblance(np.ones((2, 3, 3), np.float32)) == pytest.approx(0)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    assert engineered.resemblance(sobel[None]) == pytest.approx(8 / (12**0.5 * 6**0.5))


def test_the_three_networks_differ_in_the_first_layer_alone(context: Context) -> None:
    networks = {kind: network(engineered.filter_job(context, kind, 100, 3, epochs=1)) for kind in engineered.KINDS}
    states = {kind: built.state_dict() for kind, built in networks.items()}
    for name, tensor in states["learned"].items():
        assert torch.equal(tensor, states["random"][name])
        assert torch.equal(tensor, states["engineered"][name]) == (name != "conv1.weight")


@pytest.mark.parametrize("kind", engineered.KINDS)
def test_steps_move_learned_filters_alone(context: Context, kind: str) -> None:
    job = engineered.filter_job(context, kind, 50, 0, epochs=1)
    trained = network(job)
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    steps = torch.optim.Adam(trained.parameters(), lr=0.01)
    images, labels = torch.from_numpy(job.train.images.copy()).float() / 255, torch.from_numpy(job.train.labels.astype(np.int64))
    for _ in range(2):
        steps.zero_grad()
        F.cross_entropy(trained(images), labels).backward()
        steps.step()
    same = {name: torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items()}
    assert same.pop("conv1.weight") == same.pop("conv1.bias") == (kind != "learned")
    assert not any(same.values())


def test_a_seed_draws_the_same_images_for_each_kind_and_none_that_validate(context: Context) -> None:
    jobs = [engineered.filter_job(context, kind, 200, 1, epochs=1) for kind in engineered.KINDS]
    drawn = np.random.default_rng(1).permutation(50_000)[:200]
    for job in jobs:
        assert np.array_equal(job.train.images, context.train.images[drawn])
        assert np.array_equal(job.validation.images, context.train.images[50_000:52_000])
    smaller = engineered.filter_job(context, "learned", 100, 1, epochs=1)
    assert np.array_equal(smaller.train.labels, jobs[0].train.labels[:100])


def outcome(job: Job, *, moves: bool) -> Outcome:
    predictor: Any = registry.predictor(job.config, mean=0.0, std=1.0)
    if job.change is not None:
        job.change(predictor.network)
    first = predictor.network.conv1.weight.detach().numpy()
    layers = np.stack([first, np.nextafter(first, np.float32(9)) if moves else first])
    return Outcome(job.params, {}, 1, predictor, layers, None, None, 0.0)


def test_the_checks_see_the_smallest_change(context: Context) -> None:
    jobs = {((kind, 50), 0): engineered.filter_job(context, kind, 50, 0, epochs=1) for kind in engineered.KINDS}
    right = {key: outcome(job, moves=key[0][0] == "learned") for key, job in jobs.items()}
    assert all(check.passed for check in engineered.check_trainings(right))
    key = ("random", 50), 0
    failed = [
        check.value for check in engineered.check_trainings({**right, key: outcome(jobs[key], moves=True)}) if not check.passed
    ]
    assert failed == [72]
    key = ("learned", 50), 0
    failed = [
        check.value for check in engineered.check_trainings({**right, key: outcome(jobs[key], moves=False)}) if not check.passed
    ]
    assert failed == [0]
    key = ("engineered", 50), 0
    layers = right[key].first_layers + np.float32(1)
    failed = [
        check.value
        for check in engineered.check_trainings({**right, key: replace(right[key], first_layers=layers)})
        if not check.passed
    ]
    assert failed == [144]


def test_the_claims_are_differences_seed_by_seed() -> None:
    few = {"engineered": [0.70, 0.80], "learned": [0.71, 0.83], "random": [0.60, 0.73]}
    many = {"engineered": [0.90, 0.94], "learned": [0.95, 0.97], "random": [0.91, 0.97]}
    scores = {(kind, n): dict(enumerate(values)) for n, part in ((10, few), (20, many)) for kind, values in part.items()}
    found = engineered.judge_hypotheses(scores, scores)
    assert [round(one.difference, 9) for one in found] == [2, 4, 8.5, -2, 2, 0.02]
    assert [one.n for one in found] == [2] * 6
