"""The functions by their names, separability by counting lines, the trainer beside closed forms, and the theorem's bound."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from filterlab.lecture import universal
from filterlab.lecture.context import Context, Record

ROOT = Path(__file__).parents[2]
MEANING = {
    "AND": lambda x1, x2: x1 and x2,
    "OR": lambda x1, x2: x1 or x2,
    "XOR": lambda x1, x2: x1 != x2,
    "NAND": lambda x1, x2: not (x1 and x2),
    "NOR": lambda x1, x2: not (x1 or x2),
    "XNOR": lambda x1, x2: x1 == x2,
}


def test_every_name_is_its_table() -> None:
    assert len(set(universal.NAMES)) == len({tuple(table) for table in universal.TABLES}) == 16
    for name, table in zip(universal.NAMES, universal.TABLES, strict=True):
        words = (
            name.replace("NOT", "not").replace("AND", "and").replace("OR", "or").replace("TRUE", "True").replace("FALSE", "False")
        )
        meaning = MEANING.get(name, lambda x1, x2, words=words: eval(words, {"x1": x1, "x2": x2}))
        assert [bool(meaning(x1 == 1, x2 == 1)) for x1, x2 in universal.CORNERS] == [bool(value) for value in table], name


def test_separability_is_what_counting_lines_gives() -> None:
    """Weights of -1, 0, 1 and thresholds between their sums reach every function that a line can be."""
    weights = np.arange(-1, 1.1, 1)
    thresholds = np.arange(-2.5, 2.6, 1)
    cut = {
        tuple(int(w1 * x1 + w2 * x2 > b) for x1, x2 in universal.CORNERS) for w1, w2, b in product(weights, weights, thresholds)
    }
    assert len(cut) == 14
    assert [universal.separable(table) for table in universal.TABLES] == [
        tuple(table) in cut for table in universal.TABLES.tolist()
    ]


def test_a_trained_linear_unit_is_least_squares() -> None:
    draw = np.random.default_rng(0)
    x, y, at = draw.uniform(-1, 1, (3, 30, 2)), draw.standard_normal((3, 30)), draw.uniform(-1, 1, (3, 5, 2))
    scores, asked = universal.train_units(x, y, at, hidden=0, logistic=False, steps=600, rate=0.05, seed=0)
    for network in range(3):
        solved, *_ = np.linalg.lstsq(np.c_[x[network], np.ones(30)], y[network], rcond=None)
        np.testing.assert_allclose(scores[network], np.c_[x[network], np.ones(30)] @ solved, atol=1e-3)
        np.testing.assert_allclose(asked[network], np.c_[at[network], np.ones(5)] @ solved, atol=1e-3)


def test_networks_do_not_see_each_others_data_and_threads_are_given_back() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.uniform(-1, 1, (2, 10, 1)), draw.standard_normal((2, 10))
    how = {"hidden": 4, "logistic": False, "steps": 20, "rate": 0.02, "seed": 3}
    threads = torch.get_num_threads()
    before, _ = universal.train_units(x, y, x, **how)
    again, _ = universal.train_units(x, y, x, **how)
    changed, _ = universal.train_units(x, np.stack([y[0], -y[1]]), x, **how)
    np.testing.assert_array_equal(before, again)
    np.testing.assert_array_equal(before[0], changed[0])
    assert np.abs(before[1] - changed[1]).max() > 0.01
    assert torch.get_num_threads() == threads


def test_steps_by_hand_keep_the_bound_everywhere() -> None:
    x = np.linspace(-1, 1, 20_001)
    slopes = np.diff(universal.curve(x)) / np.diff(x)
    assert np.abs(slopes).max() == pytest.approx(universal.SLOPE, rel=1e-3)
    assert np.abs(slopes).max() <= universal.SLOPE
    errors = {n: np.abs(universal.steps_by_hand(x, n) - universal.curve(x)).max() for n in (3, 10, 100, 300)}
    assert {n: error <= universal.SLOPE / n for n, error in errors.items()} == dict.fromkeys(errors, True)
    ends = universal.steps_by_hand(np.array([-1.0, 1.0]), 10)
    np.testing.assert_allclose(ends, universal.curve(np.array([-1.0, 1.0])), atol=1e-6)


def test_the_topic() -> None:
    points: list[Record] = []
    findings = universal.fit_any_function(Context(ROOT, quick=True, record=points.append))
    assert [check.says for check in findings.checks if not check.passed] == []
    assert [check.value for check in findings.checks[:3]] == [["XOR", "XNOR"], ["XOR", "XNOR"], []]
    linear = {row[0]: row[3] for row in findings.tables[0].rows}
    assert linear == {name: "0 of 3" if name in ("XOR", "XNOR") else "3 of 3" for name in universal.NAMES}
    assert [point.params["hidden"] for point in points] == list(universal.WIDTHS)
    assert points[-1].metrics["rms/curve"] < points[0].metrics["rms/curve"]
    assert [found.n for found in findings.hypotheses] == [3] * 6 + [4] * 4
