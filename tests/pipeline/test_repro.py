"""The pipeline as its users run it: by DVC, on real images. The tests of this file build on each other, in order."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

STAGES = ["compose", "download", "preprocess", "train", "evaluate", "visualize", "report"]
AFTER_TRAINING = ["train", "evaluate", "visualize", "report"]


@pytest.fixture(scope="module")
def project(make_project: Any) -> Any:
    project = make_project()
    assert project.ran(project.run("dvc", "repro")) == STAGES
    project.commit("first results")
    return project


def runs(project: Any) -> list[tuple[str, str]]:
    """(run id, status) of every run in the store, oldest first."""
    with sqlite3.connect(project.root / "mlflow.db") as store:
        return store.execute("select run_uuid, status from runs order by start_time").fetchall()


def lock(project: Any) -> dict[str, Any]:
    """dvc.lock without results/run.json, the one output that holds times and the run's id."""
    stages = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]
    for stage in stages.values():
        for kind in ("deps", "outs"):
            stage[kind] = [entry for entry in stage.get(kind, []) if entry["path"] != "results/run.json"]
    return stages


def test_results_are_there(project: Any) -> None:
    metrics = json.loads((project.root / "results/metrics.json").read_text())
    assert (metrics["data"], metrics["examples"]) == ("mnist", 10_000)
    assert metrics["errors"] == round(10_000 * (1 - metrics["accuracy"]))
    assert 0.3 < metrics["accuracy"] < 1, "540 images teach something, and not everything"
    assert (project.root / "results/report.html").stat().st_size > 100_000
    with sqlite3.connect(project.root / "mlflow.db") as store:
        logged = dict(store.execute("select key, value from latest_metrics"))
    assert logged["test/accuracy"] == metrics["accuracy"]


def test_rerun_has_nothing_to_do(project: Any) -> None:
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")
    assert [status for _, status in runs(project)] == ["FINISHED"]


def test_nothing_depends_on_what_a_rerun_changes() -> None:
    stages = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]
    assert not [name for name, stage in stages.items() if "results/run.json" in stage.get("deps", [])]


def test_from_scratch_gives_the_same_bits(project: Any, make_project: Any) -> None:
    again = make_project()
    assert again.ran(again.run("dvc", "repro")) == STAGES
    assert lock(again) == lock(project)
    assert runs(again) != runs(project)


def test_an_edited_comment_reruns_compose_alone(project: Any) -> None:
    project.edit("conf/optimizer/adam.yaml", "# Kingma, Ba", "# D. P. Kingma, J. Ba")
    assert project.ran(project.run("dvc", "repro")) == ["compose"]


def test_an_unused_option_reruns_compose_alone(project: Any) -> None:
    project.edit("conf/optimizer/sgd.yaml", "momentum: 0.9", "momentum: 0.8")
    assert project.ran(project.run("dvc", "repro")) == ["compose"]


def test_a_value_in_the_menu_reruns_what_uses_it(project: Any) -> None:
    project.edit("conf/optimizer/adam.yaml", "lr: 1.0e-3", "lr: 2.0e-3")
    assert project.ran(project.run("dvc", "repro")) == ["compose", *AFTER_TRAINING]
    assert len(runs(project)) == 2


def test_where_the_history_lives_reruns_no_training(project: Any) -> None:
    project.edit("params.yaml", "tracking: local", "tracking: off")
    assert "train" not in project.ran(project.run("dvc", "repro"))
    project.edit("params.yaml", "tracking: off", "tracking: local")
    project.run("dvc", "repro")
    assert len(runs(project)) == 2


def test_comparisons_say_something(project: Any) -> None:
    assert "accuracy" in project.run("dvc", "metrics", "show")
    assert "accuracy" in project.run("dvc", "metrics", "diff")
    assert "optimizer.lr" in project.run("dvc", "params", "diff")
    assert "file://" in project.run("dvc", "plots", "diff")


def test_back_again_comes_from_the_cache(project: Any) -> None:
    project.edit("conf/optimizer/adam.yaml", "lr: 2.0e-3", "lr: 1.0e-3")
    printed = project.run("dvc", "repro")
    assert printed.count("is cached - skipping run") == len(AFTER_TRAINING), printed
    assert len(runs(project)) == 2, "what is restored is not trained again"
    project.commit("second thoughts")


def test_experiments_log_to_the_one_store(project: Any) -> None:
    known = len(runs(project))
    project.run("dvc", "exp", "run", "--temp", "--name", "wide", "-S", "override.model.hidden=[8]")
    assert len(runs(project)) == known + 1
    project.run("dvc", "exp", "run", "--queue", "--name", "other-seed", "-S", "seed=2")
    project.run("dvc", "exp", "run", "--run-all")
    assert [status for _, status in runs(project)] == ["FINISHED"] * (known + 2)
    shown = project.run("dvc", "exp", "show", "--no-pager", "--csv")
    assert "wide" in shown and "other-seed" in shown and "accuracy" in shown
    with sqlite3.connect(project.root / "mlflow.db") as store:
        tags = store.execute("select value from tags where key = 'dvc.experiment' order by value").fetchall()
    assert tags == [("other-seed",), ("wide",)]
