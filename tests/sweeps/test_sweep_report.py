import csv
import dataclasses
import json
import math
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from filterlab.study.trial import Trial
from filterlab.sweeps import report

METRIC = "best/validation/accuracy"
TABLES = ["trials.csv", "settings.csv", "comparison.json", "summary.txt"]
FIGURES = ["parallel.png", "swept_values.png", "curves.png", "filters.png"]


def trial(number: int, swept: dict[str, str], value: float, status: str = "done") -> Trial:
    metrics = {METRIC: value, "best/validation/loss": 1 - value, "best_epoch": 2.0} if status == "done" else {}
    curve = [0.5, 0.8, value] if status == "done" else []
    return Trial(f"{number:016x}", swept, status, run_id=f"run{number}", metrics=metrics, curve=curve)


def grid(models: int, seeds: int, *, failed: int = 0) -> list[Trial]:
    trials = []
    for number, (model, seed) in enumerate(product(range(models), range(seeds))):
        value = 0.9 + 0.01 * model + 0.001 * seed * (1 + model % 2)
        trials.append(trial(number, {"model": f"m{model}", "seed": str(seed)}, value, "failed" if number < failed else "done"))
    return trials


def write(trials: list[Trial], folder: Path, *, metric: str = METRIC) -> list[str]:
    done = [trial for trial in trials if trial.status == "done"]
    draw = np.random.default_rng(0)
    paths = report.write(
        trials,
        name="models-12ab34",
        metric=metric,
        first_layers={trial.key: draw.normal(size=(4, 1, 3, 3)).astype(np.float32) for trial in done[:100]},
        image_shape=(1, 28, 28),
        folder=folder,
    )
    assert all(path.parent == folder and path.stat().st_size for path in paths)
    assert sorted(folder.iterdir()) == sorted(paths)
    *names, page = [path.name for path in paths]
    assert page == "report.html"
    return names


def test_a_grid_over_seeds(tmp_path: Path) -> None:
    assert write(grid(3, 4, failed=1), tmp_path / "report") == [*TABLES, *FIGURES]
    text = (tmp_path / "report/summary.txt").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "sweep models-12ab34: 12 trials (11 done, 1 failed)"
    heading, *settings = text.splitlines()[2:6]
    assert heading.split("  ")[1:] and "validation accuracy [%]" in heading
    assert [line.split()[1] for line in settings] == ["m2", "m1", "m0"]
    # 0.92, 0.921, 0.922, 0.923: t(0.975, 3) = 3.1824
    half = 3.1824 * math.sqrt(5 / 3) * 0.1 / 2
    assert f"92.15  ± 0.13  [{92.15 - half:.2f}, {92.15 + half:.2f}]  4" in settings[0]
    assert settings[2].endswith("3  1 failed")
    assert "model=m2 beats model=m1 by 0.85" in text.replace("\n", " ")
    printed = json.loads((tmp_path / "report/comparison.json").read_text(encoding="utf-8"))
    assert [setting["name"] for setting in printed["settings"]] == ["model=m2", "model=m1"]
    assert printed["paired"]["seeds"] == 4
    assert printed["paired"]["difference"] == pytest.approx(0.0085)
    assert printed["paired"]["distinguishable"]
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert page.count("<img ") == page.count('src="data:image/png') == 3 and page.count("<polyline") == 3
    assert "92.15 %<span>model=m2" in page and page.index(">run11<") < page.index(">run8<") < page.index(">run0<")


def test_a_page_runs_nothing_that_a_trial_says(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    write([dataclasses.replace(trial(0, {"model": evil}, 0.5, "failed"), error=evil), trial(1, {"model": evil}, 0.9)], tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") >= 2


def test_of_many_trials_a_page_shows_the_best(tmp_path: Path) -> None:
    write(grid(2, 90), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<td class="left">done</td>') == report.SHOWN and "80 more are in" in page


def test_by_loss_the_order_turns(tmp_path: Path) -> None:
    write(grid(3, 2), tmp_path, metric="best/validation/loss")
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["settings"][0]["name"] == "model=m2"


def test_where_nothing_is_done_it_says_so_and_earlier_figures_go(tmp_path: Path) -> None:
    write(grid(2, 2), tmp_path)
    assert write(grid(2, 2, failed=4), tmp_path) == TABLES
    text = (tmp_path / "summary.txt").read_text(encoding="utf-8")
    assert "no trial is done: no figures" in text
    assert "No trial has a validation accuracy yet." in text
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["settings"] == []


def test_no_trials_at_all(tmp_path: Path) -> None:
    assert write([], tmp_path) == TABLES


def test_without_seeds_there_is_no_spread(tmp_path: Path) -> None:
    trials = [trial(number, {"optimizer.lr": lr}, 0.9 + number / 100) for number, lr in enumerate(["0.1", "1", "10"])]
    assert write(trials, tmp_path) == [*TABLES, *FIGURES]
    text = (tmp_path / "summary.txt").read_text(encoding="utf-8")
    assert "±" not in text and "interval" not in text.split("\n\n")[1]
    assert "can't be told" in text.replace("\n", " ")
    printed = (tmp_path / "comparison.json").read_text(encoding="utf-8")
    assert json.loads(printed, parse_constant=pytest.fail)["paired"] is None


def test_one_setting_over_seeds(tmp_path: Path) -> None:
    trials = [trial(seed, {"seed": str(seed)}, 0.9 + seed / 1000) for seed in range(3)]
    assert write(trials, tmp_path) == [*TABLES, *FIGURES]
    assert "nothing to compare" in (tmp_path / "summary.txt").read_text(encoding="utf-8")


def test_one_trial_with_nothing_swept(tmp_path: Path) -> None:
    assert write([trial(0, {}, 0.9)], tmp_path) == [*TABLES, "curves.png", "filters.png"]


def test_a_done_trial_without_a_number_is_counted(tmp_path: Path) -> None:
    write([*grid(2, 2), trial(9, {"model": "m0", "seed": "9"}, math.nan)], tmp_path)
    assert "1 done without a finite validation accuracy: left out" in (tmp_path / "summary.txt").read_text(encoding="utf-8")


def test_a_rewritten_report_is_the_same_to_the_bit(tmp_path: Path) -> None:
    trials = grid(2, 2)
    names = write(trials, tmp_path / "a")
    write(trials, tmp_path / "b")
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_a_thousand_trials_take_seconds(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    trials = [
        trial(number, {"optimizer.lr": repr(10 ** draw.uniform(-5, 0)), "model": f"m{number % 7}"}, draw.uniform(0.1, 1))
        for number in range(1000)
    ]
    begun = time.process_time()
    assert write(trials, tmp_path) == [*TABLES, *FIGURES]
    assert time.process_time() - begun < 20
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1000
    text = (tmp_path / "summary.txt").read_text(encoding="utf-8")
    assert "the first 20 of 1000 settings" in text
    assert max(map(len, text.splitlines())) <= 100
