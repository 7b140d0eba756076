"""Topic 13: one choice changed at a time, parameters by the formula, claims as paired differences."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from filterlab.lecture import hyperparameters as topic
from filterlab.lecture.context import Context
from filterlab.lecture.hyperparameters import TEN, TWO, Accuracy, Setting, changed
from filterlab.models import shapes


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


def invented(**validation: list[float]) -> dict[Setting, dict[int, Accuracy]]:
    """Every setting with training accuracy 1 and validation accuracy .9 but where said, e.g. kernel_3=[.91, .92]."""
    measured = {setting: {seed: Accuracy(1, 0.9) for seed in range(3)} for setting in topic.settings()}
    for name, values in validation.items():
        choice, value = name.split("_")
        measured[changed(TEN, **{choice: int(value)})] = {seed: Accuracy(1, got) for seed, got in enumerate(values)}
    return measured


def test_each_setting_differs_from_the_base_in_one_choice() -> None:
    base = dataclasses.asdict(changed(TEN))
    for setting in topic.settings():
        different = {name for name, value in dataclasses.asdict(setting).items() if value != base[name]} - {"problem"}
        assert len(different) <= 1 and (setting.problem == TEN or different <= {"filters"})
    assert len(topic.settings()) == len(set(topic.settings())) == 11 + 6


@pytest.mark.parametrize("setting", topic.settings(), ids=str)
def test_parameters_and_the_same_maps_for_all_filter_sizes(context: Context, setting: Setting) -> None:
    config = topic.setting_job(context, setting, 0, np.arange(2), np.arange(2, 4)).config
    traced = shapes.layers(config.model, channels=1, height=28, width=28, classes=len(config.data.classes))
    assert shapes.parameter_count(traced) == setting.parameters
    if setting.stride == 1 and setting.pool == 2:
        assert next(layer.height for layer in traced if layer.kind == "pool") == 14


def test_the_images_are_drawn_by_seed_apart_and_of_the_problem(context: Context) -> None:
    train, validation = topic.draw_images(context, TWO, 0)
    assert len(np.union1d(train, validation)) == 200
    assert set(context.train.labels[np.union1d(train, validation)]) == {0, 1}
    assert set(context.train.labels[topic.draw_images(context, TEN, 0)[0]]) == set(range(10))
    np.testing.assert_array_equal(topic.draw_images(context, TWO, 0)[0], train)
    assert not np.array_equal(topic.draw_images(context, TWO, 1)[0], train)


def test_claims_are_paired_differences_in_points() -> None:
    small, large = [0.94, 0.95, 0.93], [0.91, 0.93, 0.92]
    by_claim = {found.claim: found for found in topic.judge_hypotheses(invented(kernel_3=small, kernel_16=large))}
    interval = ttest_rel(small, large).confidence_interval(0.95)
    for claim in ("3x3 filters are more accurate than 16x16", "3x3 filters have a smaller gap than 16x16"):
        found = by_claim[claim]  # training accuracy is 1 for both, so the gap is the error
        np.testing.assert_allclose([found.difference, found.low, found.high], [2, 100 * interval.low, 100 * interval.high])


@pytest.mark.parametrize(("validation", "verdict"), [([0.897, 0.896, 0.898], "holds"), ([0.885, 0.884, 0.886], "fails")])
def test_a_stride_may_lose_one_point(validation: list[float], verdict: str) -> None:
    claims = topic.judge_hypotheses(invented(stride_2=validation))
    assert [found.verdict for found in claims if found.claim.startswith("stride 2")] == [verdict]


def test_filters_needed_are_the_fewest_within_half_a_point_of_32() -> None:
    measured = invented(filters_1=[0.8] * 3, filters_2=[0.894, 0.896, 0.85], filters_4=[0.9, 0.9, 0.8949])
    assert topic.needed(measured, TEN) == {0: 2, 1: 1, 2: 3}
    assert topic.needed(measured, TWO) == {0: 0, 1: 0, 2: 0}
