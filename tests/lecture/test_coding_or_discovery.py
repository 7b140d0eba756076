"""Topic 18: who is measured on what, and where curves cross."""

import math
from pathlib import Path

import numpy as np
import pytest

from filterlab.baselines.features import FEATURES, edges
from filterlab.evaluation.intervals import wilson
from filterlab.lecture import coding_or_discovery as topic
from filterlab.lecture import learning_curves as curves
from filterlab.lecture.context import Context, part
from filterlab.lecture.learning_curves import Measured, Task


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


def measured(method: str, images: int, right: np.ndarray, *, draw: int = 0) -> Measured:
    params = {"method": method, "images_per_class": images // 10, "subset": draw}
    return Measured(params, images, right, stored=1.0, chosen={}, seconds=1.0, test_seconds=1.0, memory=1.0)


def share(accuracy: float, *, n: int = 1000) -> np.ndarray:
    return np.arange(n) < round(accuracy * n)


def test_the_first_look_at_1000_images(context: Context) -> None:
    item = (edges(context.train.images[:1000]), context.train.labels[:1000], edges(context.test.images), context.test.labels)
    assert topic.untuned(item) == pytest.approx(94.0, abs=0.1)


def test_every_method_learns_from_the_same_images(context: Context) -> None:
    train, test = part(context.train, slice(None, None, 100)), part(context.test, slice(None, None, 1000))
    coded = {name: train.images.reshape(len(train), -1)[:, :3].astype(np.float32) for name in FEATURES}  # to tell images apart
    made = topic.tasks(context, topic.Material(train, test, coded, coded))
    places = {}
    for task in made:
        places.setdefault((task.params["images_per_class"], task.params["subset"]), []).append(task)
    assert {key: len(given) for key, given in places.items()} == dict.fromkeys([("all", 0), (10, 0), (10, 1), (1, 0), (1, 1)], 6)
    for given in places.values():
        network, *rest = given
        for task in rest:
            seen = task.inputs if task.config is None else task.inputs.reshape(len(task.inputs), -1)[:, :3]
            assert np.array_equal(seen, network.inputs.reshape(len(network.inputs), -1)[:, :3])
            assert np.array_equal(task.labels, network.labels)
    seeds = {task.params["subset"]: task.config.seed for task in made if task.config is not None}
    assert seeds == {0: 0, 1: 1}


@pytest.mark.parametrize(
    "images, batch_size, expected", [(10, 64, 1920), (3000, 64, 7), (4000, 64, 5), (60_000, 64, 5), (1000, 32, 10)]
)
def test_images_are_repeated_for_passes_and_steps(images: int, batch_size: int, expected: int) -> None:
    assert curves.repetitions(images, batch_size=batch_size, passes=5, steps=300) == expected


def test_a_network_and_a_machine_are_measured_alike(context: Context) -> None:
    test = part(context.test, slice(None, None, 100))
    chosen = np.unique(context.train.labels, return_index=True)[1]
    images, labels = context.train.images[chosen], context.train.labels[chosen]
    named = {"images_per_class": 1, "subset": 0}
    config = context.compose(*topic.NETWORKS["CNN"], "trainer.max_epochs=1")
    network = curves.measure(Task({"method": "CNN", **named}, images, labels, test.images, test.labels, config, steps=2))
    flat = FEATURES["pixels"]
    machine = curves.measure(Task({"method": "pixels + SVM", **named}, flat(images), labels, flat(test.images), test.labels))
    assert network.chosen["passes"] == 13  # 2 steps of 64, of 10 images
    assert network.stored == pytest.approx(4 * 80202 / 1e6)
    assert machine.chosen == {"C": 10.0, "gamma": 1.0, "folds": 0, "support_vectors": 10}
    assert machine.stored == pytest.approx(4 * (10 * (784 + 9) + 45) / 1e6)
    # As near as its shape: with an image of each class, the nearest one decides.
    nearest = ((flat(test.images)[:, None] - flat(images)[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (machine.right == (labels[nearest] == test.labels)).mean() > 0.8
    assert network.memory > 0 and machine.memory > 0


@pytest.mark.parametrize(
    "means, expected",
    [
        ([1.0, 2.0, 3.0], 0.0),
        ([-1.0, 1.0, 3.0], 10**0.5),
        ([-3.0, 1.0, 3.0], 10**0.75),
        ([1.0, -1.0, 1.0], 10**1.5),  # the last one counts
        ([1.0, 2.0, 0.0], math.inf),
        ([-1.0, -1.0, -1.0], math.inf),
    ],
)
def test_where_a_difference_turns_positive(means: list[float], expected: float) -> None:
    assert curves.turn(np.array([1.0, 10.0, 100.0]), np.array(means)) == pytest.approx(expected)


def test_the_interval_of_a_crossover_covers_it() -> None:
    """Of normal differences around a known line in log n, intervals at 95 % hold the true crossover about as often."""
    sizes, truth = [1.0, 10.0, 100.0], 10**1.0
    held = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        gaps = {size: draw.choice([-1, 0, 1], (5, 300), p=odds(math.log10(size) - 1)).astype(np.int8) for size in sizes}
        found = curves.crossover(gaps, resamples=200)
        held += found.low <= truth <= found.high
        assert found.low <= found.at <= found.high
    assert held >= 33  # 38 expected; fewer than 33 has a probability of 0.3 %


def odds(slope: float) -> list[float]:
    """Of -1, 0 and 1, with mean slope / 10."""
    return [0.2 - slope / 20, 0.6, 0.2 + slope / 20]


def test_crossovers_that_are_never_or_always() -> None:
    ahead, behind = np.ones((5, 50), np.int8), -np.ones((2, 50), np.int8)
    assert curves.crossover({1.0: ahead, 10.0: ahead}) == curves.Crossover(0.0, 0.0, 0.0)
    never = curves.crossover({1.0: ahead, 10.0: behind})
    assert (never.at, never.interval) == (math.inf, "beyond all")


def test_a_network_is_measured_against_the_best_coded_features() -> None:
    right = {"pixels + SVM": 0.5, "edges + SVM": 0.8, "HOG + SVM": 0.7, "tutorial's CNN": 0.6, "CNN": 0.9, "CNN, shifted": 0.9}
    found = [measured(method, 100, share(given), draw=draw) for method, given in right.items() for draw in (1, 0)]
    made = curves.group_by_method(found, topic.METHODS)
    assert [one.params["subset"] for one in made["CNN"][10.0]] == [0, 1]
    gaps = topic.ahead(made, "tutorial's CNN")
    assert list(gaps) == [10.0] and gaps[10.0].mean(axis=1) == pytest.approx([-0.2, -0.2])


def test_intervals_are_over_subsets_where_there_are_enough() -> None:
    three = [measured("CNN", 100, share(given)) for given in (0.80, 0.82, 0.84)]
    half = 4.302653 * 2 / math.sqrt(3)  # t(0.975, 2)
    assert curves.interval(three, tested=1000) == pytest.approx((82, 82 - half, 82 + half))
    low, high = wilson(810, 1000, confidence=0.95)
    assert curves.interval(three[:2], tested=1000) == pytest.approx((81, 100 * low, 100 * high))
