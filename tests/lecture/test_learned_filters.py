"""What is measured of learned filters, from networks of known weights, and how it is judged."""

from pathlib import Path

import numpy as np
import pytest

from filterlab.lecture import learned_filters
from filterlab.lecture.context import Context
from filterlab.lecture.learned_filters import Look
from filterlab.lecture.trainings import Outcome, fit


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


@pytest.fixture(scope="module")
def outcome(context: Context) -> Outcome:
    return fit(learned_filters.training(context, 0))


def test_roughness_is_of_a_filter_whatever_its_scale_and_sign() -> None:
    board = np.indices((4, 4)).sum(axis=0) % 2 * 2.0 - 1  # 24 steps of 2 over 2 x 16
    assert learned_filters.roughness(board[None, None]) == pytest.approx(24 * 4 / 32)
    assert learned_filters.roughness(-7 * board[None, None]) == pytest.approx(3)
    assert learned_filters.roughness(np.ones((1, 1, 4, 4))) == 0
    drawn = np.random.default_rng(0).normal(size=(20_000, 1, 5, 5))
    assert learned_filters.roughness(drawn) == pytest.approx(2 * (1 - 1 / 5), rel=0.02), "independent weights"
    pair = np.stack([board, np.ones((4, 4))])[:, None]
    assert learned_filters.roughness(pair) == pytest.approx(1.5), "a mean over filters"


def test_the_test_set_is_not_read_and_validation_images_are_no_training_images(context: Context) -> None:
    job = learned_filters.training(context, 3)
    assert job.test is None and (job.config.seed, job.params) == (3, {"seed": 3})
    pool = context.train.images
    assert np.array_equal(job.train.images, pool[: len(job.train)]) and len(job.train) < learned_filters.POOL
    assert np.array_equal(job.validation.images, pool[learned_filters.POOL :][: len(job.validation)])


def test_what_is_looked_at_is_the_network_that_was_trained(context: Context, outcome: Outcome) -> None:
    trained = learned_filters.network_of(learned_filters.training(context, 0), outcome)
    assert [*trained.layers] == [*learned_filters.SEES]
    assert {name: trained.windows[name][0].size for name in learned_filters.SEES} == learned_filters.SEES
    first, untrained = (
        of.network.get_submodule("conv1").get_parameter("weight").detach().numpy()
        for of in (trained.predictor, trained.untrained)
    )
    assert np.array_equal(first, outcome.first_layers[outcome.best_epoch])
    assert np.array_equal(untrained, outcome.first_layers[0]), "of the same seed"


def test_claims_say_which_is_larger(outcome: Outcome) -> None:
    def made(seed: int) -> Look:
        return Look(
            outcome,
            roughness=(1.6, 1.0 + seed / 100),
            made={name: np.array([3.0, 2.0 + seed / 10]) for name in learned_filters.SEES},
            strongest={name: np.array([1.0, 2.5]) for name in learned_filters.SEES},
            deleted={"occlusion": 0.2 + seed / 100, "Grad-CAM": 0.5 + seed / 100, "random": 0.3},
            sees={},
        )

    looks = {seed: made(seed) for seed in range(4)}
    smoother, *excited, occlusion, grad_cam = learned_filters.judge_hypotheses(looks)
    assert smoother.difference == pytest.approx(0.585) and smoother.verdict == "holds"
    assert [one.difference for one in excited] == pytest.approx([0.825] * 3)
    assert occlusion.difference == pytest.approx(0.085) and grad_cam.verdict == "fails"
    assert learned_filters.share_above(looks, "conv1") == [0.5] * 4, "of two filters one"
    table = learned_filters.tabulate_deleted(looks)
    assert [row[0] for row in table.rows] == ["occlusion", "Grad-CAM", "random"]
