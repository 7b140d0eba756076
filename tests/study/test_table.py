import csv
import math
from itertools import count, product
from pathlib import Path

import pytest

from filterlab.study import table
from filterlab.study.statistics import summarize
from filterlab.study.trial import STATUSES, Trial

METRIC, LOSS = "best/validation/accuracy", "best/validation/loss"
KEYS = count()


def trial(value: float | None = None, status: str = "done", **swept: str) -> Trial:
    number = next(KEYS)
    metrics = {} if value is None else {METRIC: value, LOSS: value, "best_epoch": 3.0, "training/seconds": 60.5}
    return Trial(
        key=f"{number:016x}",
        swept={key.replace("__", "."): text for key, text in swept.items()},
        status=status,
        run_id="" if status == "not started" else f"run{number}",
        metrics=metrics,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def grid(values: dict[str, list[float]]) -> list[Trial]:
    return [trial(value, model=model, seed=str(seed)) for model, given in values.items() for seed, value in enumerate(given)]


def test_trials_are_grouped_by_everything_but_the_seed() -> None:
    trials = [
        trial(0.1 * seed + (0.5 if lr == "1" else 0), model=model, seed=str(seed), optimizer__lr=lr)
        for seed, model, lr in product(range(3), ["cnn", "mlp"], ["0.1", "1"])
    ]
    found = table.group(trials, metric=METRIC)
    assert [setting.swept for setting in found[:2]] == [
        {"model": "cnn", "optimizer.lr": "1"},
        {"model": "mlp", "optimizer.lr": "1"},
    ]
    assert len(found) == 4
    assert found[0].values == {"0": 0.5, "1": 0.6, "2": 0.7}
    assert found[0].summary.mean == pytest.approx(0.6)
    assert [trial.swept["seed"] for trial in found[0].trials] == ["2", "1", "0"]
    assert found[0].counts == {"done": 3}


@pytest.mark.parametrize(("metric", "order"), [(METRIC, "cab"), (LOSS, "bac")])
def test_the_best_come_first_and_those_without_a_result_last(metric: str, order: str) -> None:
    trials = [trial(status="failed", model="x", seed="0"), *grid({"a": [0.5, 0.6], "b": [0.1], "c": [0.9, 0.8]})]
    trials += [
        trial(status="not started", model="y", seed="0"),
        trial(math.nan, model="z"),
        trial(0.99, status="pruned", model="w"),
    ]
    found = table.group(trials, metric=metric)
    assert [setting.swept["model"] for setting in found] == [*order, "x", "y", "z", "w"]
    assert [setting.summary.n for setting in found[3:]] == [0] * 4
    assert found[3].counts == {"failed": 1}
    best = max if metric == METRIC else min
    assert found[0].trials[0].metrics[metric] == best(found[0].values.values())


def test_numbers_written_differently_are_one_setting() -> None:
    trials = [
        trial(0.5, optimizer__lr="1e-3", seed="0"),
        trial(0.6, optimizer__lr="0.001", seed="1"),
        trial(0.6, optimizer__lr="nan"),
    ]
    assert [len(setting.values) for setting in table.group(trials, metric=METRIC)] == [1, 2]


def test_no_point_is_lost_where_a_seed_comes_twice() -> None:
    (setting,) = table.group(grid({"cnn": [0.5]}) + grid({"cnn": [0.7]}), metric=METRIC)
    assert sorted(setting.values.values()) == [0.5, 0.7]


def test_the_best_two_are_compared_seed_by_seed() -> None:
    trials = grid({"a": [0.90, 0.92, 0.91], "b": [0.95, 0.97, 0.961], "c": [0.1, 0.1, 0.1]})
    found = table.group(trials, metric=METRIC)
    compared = table.compare_best(found)
    assert compared and compared.n == 3
    assert compared.difference == pytest.approx(0.0503, abs=1e-4)
    words = table.describe_best(found, table.measure(METRIC))
    assert words.startswith(
        "model=b beats model=a by 5.03 points of validation accuracy [4.89, 5.18], 3 paired seeds, p = 4.4e-05."
    )
    assert "best of 3" in words


def test_for_a_loss_the_lower_is_ahead() -> None:
    trials = grid({"a": [0.90, 0.92, 0.91], "b": [0.95, 0.97, 0.961]})
    words = table.describe_best(table.group(trials, metric=LOSS), table.measure(LOSS))
    assert words == "model=a beats model=b by 0.050 validation loss [0.049, 0.052], 3 paired seeds, p = 4.4e-05."


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ({}, "No trial has a validation accuracy yet."),
        ({"a": [0.5, 0.6]}, "There is one setting with a result"),
        ({"a": [0.5], "b": [0.6]}, "model=b is ahead of model=a by 10.00 points of validation accuracy, but whether that"),
        (
            {"a": [0.90, 0.95, 0.91], "b": [0.95, 0.92, 0.93]},
            "model=b and model=a can't be told apart at 95 %: they differ by 1.33",
        ),
        ({"a": [0.9, 0.8, 0.7], "b": [0.9, 0.8, 0.7]}, "they are equal in each of 3 paired seeds"),
        ({"a": [0.95, 0.85, 0.75], "b": [0.9, 0.8, 0.7]}, "model=a and model=b differ by the same 5.00 points"),
        (
            {"a": [0.9, 0.91, 0.92, 0.1], "b": [0.8, 0.811, 0.82]},
            "model=b has the best mean, but on the seeds that both have model=a is ahead",
        ),
    ],
)
def test_the_sentence_says_no_more_than_the_seeds_do(values: dict[str, list[float]], printed: str) -> None:
    found = table.group(grid(values), metric=METRIC)
    assert printed in table.describe_best(found, table.measure(METRIC))


def test_without_seeds_nothing_is_paired() -> None:
    found = table.group([trial(0.9, model="a"), trial(0.8, model="b")], metric=METRIC)
    assert table.compare_best(found) is None
    assert table.compare_best(found[:1]) is None
    assert table.compare_best([]) is None


def test_keys_are_shortened_as_far_as_they_stay_different() -> None:
    keys = ["model", "optimizer.lr", "schedule.warm.lr", "model.filters", "trainer.model"]
    assert table.short_keys(keys) == {
        "model": "model",
        "optimizer.lr": "optimizer.lr",
        "schedule.warm.lr": "warm.lr",
        "model.filters": "filters",
        "trainer.model": "trainer.model",
    }


def test_trials_are_written_with_all_that_is_known(tmp_path: Path) -> None:
    trials = [
        trial(0.1 + 0.2, seed="0", model="cnn"),
        trial(status="not started", seed="1", model="a, b"),
        trial(0.5, model="cnn", optimizer__lr="1e-3"),
    ]
    table.write_trials(trials, tmp_path / "trials.csv")
    first, second, third = rows(tmp_path / "trials.csv")
    assert list(first) == [
        "model",
        "optimizer.lr",
        "seed",
        "status",
        METRIC,
        LOSS,
        "best_epoch",
        "training/seconds",
        "run_id",
        "key",
    ]
    assert float(first[METRIC]) == 0.1 + 0.2
    assert (first["status"], first["run_id"], first["key"]) == ("done", trials[0].run_id, trials[0].key)
    assert (second["model"], second["status"], second[METRIC], second["run_id"]) == ("a, b", "not started", "", "")
    assert (third["optimizer.lr"], third["seed"]) == ("1e-3", "")


def test_settings_are_written_with_their_counts(tmp_path: Path) -> None:
    trials = [
        *grid({"a": [0.5, 0.7, 0.6], "b": [0.9]}),
        trial(status="failed", model="b", seed="1"),
        trial(status="queued", model="c"),
    ]
    found = table.group(trials, metric=METRIC)
    table.write_settings(found, tmp_path / "settings.csv")
    b, a, c = rows(tmp_path / "settings.csv")
    assert [setting["model"] for setting in (b, a, c)] == ["b", "a", "c"]
    assert [float(a[name]) for name in ("mean", "std", "low", "high")] == [
        found[1].summary.mean,
        found[1].summary.std,
        found[1].summary.low,
        found[1].summary.high,
    ]
    assert {status: int(b[status]) for status in STATUSES if int(b[status])} == {"done": 1, "failed": 1}
    assert (b["n"], b["mean"], b["std"], b["low"], b["best_run_id"]) == ("1", "0.9", "", "", trials[3].run_id)
    assert (c["n"], c["mean"], c["queued"], c["best_run_id"]) == ("0", "", "1", "")


def test_two_seeds_have_no_interval_and_a_shares_ends_at_one() -> None:
    """Of .94 and .1 Student's interval is [-4.8, 5.9]; of three seeds near 1 it reaches beyond."""
    found = table.group(grid({"a": [0.94, 0.1], "b": [0.9, 0.99, 0.999]}), metric=METRIC)
    three, two = (setting.summary for setting in found)
    assert (two.n, math.isnan(two.low), math.isnan(two.high), round(two.std, 3)) == (2, True, True, 0.594)
    assert summarize([0.9, 0.99, 0.999]).high > 1 and three.high == 1.0 and three.low == summarize([0.9, 0.99, 0.999]).low
    losses = table.summary_of([0.9, 0.99, 0.999], share=False)
    assert losses == summarize([0.9, 0.99, 0.999]), "a loss has no such end"
    assert table.summary_of([0.01, 0.02, 0.2], share=True).low == 0.0
    assert table.compare_best(found) is None and "it takes three seeds or more of both" in table.describe_best(
        found, table.measure(METRIC)
    )
