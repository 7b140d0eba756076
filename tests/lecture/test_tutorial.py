"""The exercise: its data, its parameters, and checks that notice weights that are not the best epoch's."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from filterlab.lecture import tutorial
from filterlab.lecture.context import Context, part
from filterlab.lecture.result import Check
from filterlab.lecture.trainings import Job, Outcome, fit
from filterlab.lecture.tutorial import EXERCISE, Data
from filterlab.study.statistics import mean_interval


@pytest.fixture(scope="module")
def context(mnist_root: Path) -> Context:
    return Context(mnist_root, quick=True, record=lambda record: None)


@pytest.fixture(scope="module")
def data(context: Context) -> Data:
    return tutorial.data(context)


@pytest.fixture(scope="module")
def outcome(context: Context, data: Data) -> Outcome:
    return fit(Job({}, tutorial.config(context, EXERCISE, seed=0), data.train, data.validation, data.test))


def test_data_are_the_first_5000_split_in_the_order_of_the_file(mnist_root: Path) -> None:
    context = Context(mnist_root, quick=False, record=lambda record: None)
    data = tutorial.data(context)
    np.testing.assert_array_equal(data.train.images, context.train.images[:4000])
    np.testing.assert_array_equal(data.train.labels, context.train.labels[:4000])
    np.testing.assert_array_equal(data.validation.images, context.train.images[4000:5000])
    np.testing.assert_array_equal(data.validation.labels, context.train.labels[4000:5000])
    np.testing.assert_array_equal(data.test.images, context.test.images)
    assert all(check.passed for check in tutorial.check_data(context, data))


def test_shuffled_validation_is_noticed(context: Context, data: Data) -> None:
    shuffled = dataclasses.replace(data, validation=part(data.validation, np.arange(len(data.validation))[::-1]))
    assert [check.passed for check in tutorial.check_data(context, shuffled)] == [True, False]


def test_the_budgets_settings(mnist_root: Path) -> None:
    settings = tutorial.config(Context(mnist_root, quick=False, record=lambda record: None), EXERCISE, seed=3)
    trainer, optimizer = settings.trainer, settings.optimizer
    assert (settings.seed, optimizer.name, optimizer.lr) == (3, "adam", 1e-3)
    assert (trainer.batch_size, trainer.max_epochs, trainer.patience) == (32, 50, 5)
    assert (trainer.monitor, trainer.scaling, trainer.label_smoothing) == ("validation/accuracy", "unit", 0.0)


def failed(checks: list[Check]) -> list[str]:
    return [check.says.split(",")[0] for check in checks if not check.passed]


def test_checks_of_the_training(context: Context, data: Data, outcome: Outcome) -> None:
    assert failed(tutorial.check_training(context, data, {0: outcome})) == []


def test_weights_that_are_not_the_best_epochs_are_noticed(context: Context, data: Data, outcome: Outcome) -> None:
    predictor = copy.deepcopy(outcome.predictor)
    for weight in predictor.network.parameters():
        weight.data.mul_(0.9)
    found = failed(tutorial.check_training(context, data, {0: dataclasses.replace(outcome, predictor=predictor)}))
    assert {
        "restored filters of conv1 are the best epoch's",
        "validation loss of the restored weights is the best epoch's",
    } <= set(found)


def test_a_training_that_goes_on_too_long_is_noticed(context: Context, data: Data, outcome: Outcome) -> None:
    longer = {name: [*values, values[-1]] for name, values in outcome.curves.items()}
    found = failed(tutorial.check_training(context, data, {0: dataclasses.replace(outcome, curves=longer)}))
    assert found == ["last epoch of each seed: best + 5"]


def test_written() -> None:
    assert mean_interval([0.96, 0.97, 0.98], ".1f", scale=100) == "97.0 [94.5, 99.5]"


def test_a_row_of_the_table(outcome: Outcome) -> None:
    table = tutorial.beside_lecturer({0: outcome, 1: outcome})
    assert table.rows[0] == ["the lecturer", "0.911", "0.977", "13", "18", "0.970", "0.105"]
    assert table.rows[2][3:6] == [str(outcome.best_epoch), "2", f"{outcome.test_accuracy:.4g}"]
