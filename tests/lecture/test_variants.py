"""The nine variants and the fewest filters, on made-up outcomes whose answers are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import recall_score

from filterlab.lecture import tutorial, variants
from filterlab.lecture.context import Context
from filterlab.lecture.trainings import Outcome
from filterlab.lecture.tutorial import Setting

ROOT = Path(__file__).parents[2]
LABELS = np.repeat(np.arange(10, dtype=np.uint8), 100)  # a hundred images of each digit


def outcome(wrong: Sequence[int]) -> Outcome:
    """wrong: of each digit, how many of its hundred images are taken for the next one."""
    said = LABELS.astype(np.int64).copy()
    for digit, number in enumerate(wrong):
        said[100 * digit : 100 * digit + number] = (digit + 1) % 10
    return Outcome(
        params={},
        curves={"train/loss": [0.1], "validation/accuracy": [1 - sum(wrong) / 1000]},
        best_epoch=1,
        predictor=None,
        first_layers=np.zeros((2, 4, 1, 3, 3), np.float32),
        logits=np.eye(10, dtype=np.float32)[said],
        test_labels=LABELS,
        seconds=1.0,
    )


def evenly(errors: int) -> Outcome:
    return outcome([errors] * 10)


@pytest.mark.parametrize("filters", variants.FILTERS)
@pytest.mark.parametrize("kernel", variants.KERNELS)
def test_parameters_by_the_formula_of_the_page(filters: int, kernel: int) -> None:
    side = (27 - kernel) // 2
    formula = (kernel**2 + 1) * filters + (9 * filters + 1) * filters + (filters * side**2 + 1) * 32 + 330
    assert variants.PARAMETERS[variants.FILTERS.index(filters)][variants.KERNELS.index(kernel)] == formula


def test_parameters_of_the_networks() -> None:
    assert variants.check_parameters(Context(ROOT, quick=True, record=lambda record: None)).passed


def test_the_full_budgets_seeds() -> None:
    seeds = variants.seeds(Context(ROOT, quick=False, record=lambda record: None))
    assert {setting for setting in seeds if setting.filters in (8, 16, 32)} == {
        Setting(number, side) for number in (8, 16, 32) for side in (3, 9, 16)
    }
    assert {setting.filters for setting in seeds if setting.kernel == 3} == {1, 2, 3, 4, 6, 8, 16, 32}
    assert len(seeds[tutorial.EXERCISE]) == 5
    assert {len(given) for setting, given in seeds.items() if setting.kernel == 3} == {3, 5}


def test_recalls_are_scikit_learns() -> None:
    given = outcome([0, 3, 50, 7, 1, 0, 12, 99, 2, 5])
    assert given.logits is not None
    np.testing.assert_allclose(variants.recalls(given), recall_score(LABELS, given.logits.argmax(axis=1), average=None))


def test_smallest_counts_from_where_it_holds_for_all_larger() -> None:
    assert variants.smallest({1: True, 2: False, 4: True, 8: True}) == 4
    assert variants.smallest({1: True, 2: True}) == 1
    assert variants.smallest({1: True, 2: False}) is None


def test_the_fewest_filters() -> None:
    one_hard_digit = [0] * 9 + [10]  # accuracy .99, but one recall is .9 and not above it
    fewest = {1: {0: evenly(9), 1: outcome(one_hard_digit)}, 2: {0: evenly(9), 1: evenly(9)}, 32: {0: evenly(1), 1: evenly(1)}}
    assert variants.tells_apart(fewest) == {1: False, 2: True, 32: True}
    assert variants.as_good(fewest) == {1: False, 2: False, 32: True}
    assert variants.answer(fewest).startswith("The fewest filters for ten digits: 2 filters tell all of them apart")
    rows = variants.table_of_fewest(fewest).rows
    assert [row[2].split()[0] for row in rows[:2]] == ["4.00", "8.00"]
    assert rows[0][4] == "0.900 (digit 9)"


def judge_hypotheses_pair_trainings_that_differ_in_one_choice() -> None:
    errors = {Setting(8, 3): [5, 6], Setting(8, 16): [9, 12], Setting(32, 3): [2, 2, 50], Setting(32, 16): [3, 5]}
    nine = {setting: {seed: evenly(given) for seed, given in enumerate(wrong)} for setting, wrong in errors.items()}
    small, many = variants.judge_hypotheses(nine)
    assert (small.claim, small.n) == ("3x3 filters beat 16x16", 4)
    assert small.difference == pytest.approx(np.mean([4, 6, 1, 3]))  # the third seed has no partner
    assert (many.claim, many.n) == ("32 filters beat 8", 4)
    assert many.difference == pytest.approx(np.mean([3, 4, 6, 7]))
