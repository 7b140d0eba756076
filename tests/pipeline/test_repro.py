"""The pipeline as its users run it: by DVC, on real images. The tests of this file build on each other, in order."""

import csv
import dataclasses
import json
import re
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
import yaml

from filterlab.commands import pipeline
from filterlab.config import schema
from filterlab.data import arrays
from filterlab.models import artifact

ROOT = Path(__file__).parents[2]
STAGES = ["compose", "download", "preprocess", "train", "evaluate", "visualize", "play", "report"]
AFTER_TRAINING = ["train", "evaluate", "visualize", "play", "report"]
DATA_SETS = """
    select input_tags.value, datasets.name, datasets.digest
    from inputs join datasets on source_id = dataset_uuid join input_tags using (input_uuid) order by 1
"""


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


def test_results_are_there(project: Any) -> None:
    metrics = json.loads((project.root / "results/metrics.json").read_text())
    assert (metrics["data"], metrics["examples"]) == ("mnist", 10_000)
    assert metrics["errors"] == round(10_000 * (1 - metrics["accuracy"]))
    assert 0.3 < metrics["accuracy"] < 1, "540 images teach something, and not everything"
    assert (project.root / "results/report.html").stat().st_size > 100_000
    assert 100_000 < (project.root / "results/play.html").stat().st_size < 15e6
    with sqlite3.connect(project.root / "mlflow.db") as store:
        logged = dict(store.execute("select key, value from latest_metrics"))
        data = store.execute(DATA_SETS).fetchall()
    assert logged["test/accuracy"] == metrics["accuracy"]
    assert logged["test/macro/f1"] == metrics["macro"]["f1"]
    cards = [json.loads((project.root / f"data/processed/{part}/card.json").read_text()) for part in ("test", "train")]
    assert data == [("evaluation", "mnist", cards[0]["digest"][:36]), ("training", "mnist", cards[1]["digest"][:36])]


def test_rerun_has_nothing_to_do(project: Any) -> None:
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")
    assert [status for _, status in runs(project)] == ["FINISHED"]


def test_the_run_holds_what_made_it(project: Any) -> None:
    """(System metrics are sampled every five seconds: this run is too short to have any.)"""
    client = mlflow.MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    run_id = json.loads((project.root / "results/run.json").read_text())["run_id"]
    run = client.get_run(run_id)
    resolved = Path(client.download_artifacts(run_id, "config.yaml")).read_bytes()
    assert resolved == (project.root / "results/config.yaml").read_bytes()
    page = Path(client.download_artifacts(run_id, "play.html")).read_bytes()
    assert page == (project.root / "results/play.html").read_bytes()
    inputs = {given.tags[0].value: given.dataset for given in run.inputs.dataset_inputs}
    card = json.loads((project.root / "data/processed/train/card.json").read_text())
    assert (inputs["training"].name, inputs["training"].digest) == (card["name"], card["digest"][:36])
    trained_at = project.run("git", "rev-parse", "HEAD~1").strip()  # the results were committed afterwards
    assert run.data.tags["mlflow.source.git.commit"] == trained_at
    assert run.data.tags["filterlab.dirty"] == "false"

    (logged,) = client.search_logged_models([run.info.experiment_id])
    assert (logged.source_run_id, logged.status.value) == (run_id, "READY")
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    images = arrays.load(project.root / "data/processed/test")[1]["test"].images[:8]
    with torch.inference_mode():
        expected = artifact.load(project.root / "models")(torch.tensor(images)).softmax(dim=1).numpy()
    loaded = mlflow.pyfunc.load_model(logged.artifact_location)
    np.testing.assert_array_equal(loaded.predict(images.astype(np.float32) / np.float32(255)), expected)
    np.testing.assert_array_equal(loaded.predict(images), expected)
    config = yaml.safe_load((project.root / "results/config.yaml").read_text())
    assert loaded.metadata.metadata["classes"] == config["data"]["classes"]
    assert loaded.metadata.metadata["rule"].startswith("mnist: ")


def test_readme_loads_the_model_from_any_folder(project: Any, tmp_path: Path) -> None:
    (code,) = re.findall(r"(?m)^    import mlflow, numpy\n(?:    .*\n)+", (ROOT / "README.md").read_text())
    (uri,) = re.findall(r"(?m)^ *loads as +(\S+)$", pipeline.summary(project.root))
    script = textwrap.dedent(code).replace("file:///...", uri)
    assert uri in script and len(script.splitlines()) == 4
    done = subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip().isdigit(), done.stderr


def test_dvc_knows_nothing_of_what_a_rerun_changes() -> None:
    assert "- results/run.json" not in (ROOT / "dvc.yaml").read_text()
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert not [name for name, stage in stages.items() if "results/run.json" in [*stage.get("deps", []), *stage["outs"]]]


def test_the_data_depend_on_every_value_but_where_they_come_from() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    used = {name: set(stages[name]["params"][0]["results/config.yaml"]) for name in ("download", "preprocess")}
    values = {f"data.{field.name}" for field in dataclasses.fields(schema.Data)} - {"data.mirrors"}
    assert used["download"] | used["preprocess"] == values
    assert used["preprocess"] == values - {"data.files"}


@pytest.fixture(scope="module")
def again(make_project: Any) -> Any:
    """The same parameters in another folder, from scratch, by an interpreter of its own, in which a set has another order."""
    again = make_project()
    script = f"from filterlab.cli import main\nfor stage in {STAGES}: main(['stage', stage])"
    again.run("env", "PYTHONHASHSEED=1", "python", "-c", script)
    again.run("dvc", "commit", "--force")  # dvc.lock, by what is there
    return again


def test_from_scratch_gives_the_same_bits(project: Any, again: Any) -> None:
    assert (again.root / "dvc.lock").read_bytes() == (project.root / "dvc.lock").read_bytes()
    assert runs(again) != runs(project)


def test_an_edited_comment_reruns_compose_alone(project: Any) -> None:
    project.edit("conf/optimizer/adam.yaml", "# Kingma, Ba", "# D. P. Kingma, J. Ba")
    assert project.ran(project.run("dvc", "repro")) == ["compose"]


def test_a_mistake_in_params_yaml_leaves_what_the_results_were_made_with(project: Any) -> None:
    parameters, before = project.root / "params.yaml", (project.root / "results/config.yaml").read_bytes()
    kept = parameters.read_text()
    parameters.write_text(kept + "\nmodle: cnn\n")
    assert "modle" in project.run("dvc", "repro", code=255)
    assert (project.root / "results/config.yaml").read_bytes() == before
    parameters.write_text(kept)
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")


def test_an_unused_option_reruns_compose_alone(project: Any) -> None:
    project.edit("conf/optimizer/sgd.yaml", "momentum: 0.9", "momentum: 0.8")
    assert project.ran(project.run("dvc", "repro")) == ["compose"]


def test_an_edited_mirror_brings_nothing_anew(project: Any) -> None:
    """The report shows the whole resolved config, the mirrors too."""
    project.edit("conf/data/mnist.yaml", "https://ossci-datasets", "https://ossci-data")
    assert project.ran(project.run("dvc", "repro")) == ["compose", "report"]


def test_other_images_of_the_same_data_are_not_downloaded_again(project: Any) -> None:
    project.edit("params.yaml", "take_n: 60", "take_n: 50")
    assert project.ran(project.run("dvc", "repro", "preprocess")) == ["compose", "preprocess"]
    assert list(json.loads(project.run("dvc", "status", "--json"))) == AFTER_TRAINING, "what follows has other images to read"
    project.edit("params.yaml", "take_n: 50", "take_n: 60")
    assert project.ran(project.run("dvc", "repro")) == ["compose"], "and has its old ones back"


def test_a_value_in_conf_reruns_what_uses_it(project: Any) -> None:
    project.edit("conf/optimizer/adam.yaml", "lr: 1.0e-3", "lr: 2.0e-3")
    assert project.ran(project.run("dvc", "repro", "evaluate")) == ["compose", "train", "evaluate"]
    assert list(json.loads(project.run("dvc", "status", "--json"))) == ["visualize", "play", "report"], "they show other weights"
    assert len(runs(project)) == 2


def test_where_the_history_lives_reruns_no_training(project: Any) -> None:
    project.edit("params.yaml", "tracking: local", "tracking: off")
    assert "train" not in project.ran(project.run("dvc", "repro", "evaluate"))
    project.edit("params.yaml", "tracking: off", "tracking: local")
    assert "train" not in project.ran(project.run("dvc", "repro", "evaluate"))
    assert len(runs(project)) == 2


def test_comparisons_say_something(project: Any) -> None:
    """Between the first results, which are committed, and those of another learning rate."""
    before = json.loads(project.run("git", "show", "HEAD:results/metrics.json"))["accuracy"]
    now = json.loads((project.root / "results/metrics.json").read_text())["accuracy"]
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]["results/metrics.json"]["data"]
    assert shown["accuracy"] == now
    changed = json.loads(project.run("dvc", "metrics", "diff", "--json"))["results/metrics.json"]["accuracy"]
    assert changed == {"old": before, "new": now, "diff": now - before} and before != now
    values = json.loads(project.run("dvc", "params", "diff", "--json"))["results/config.yaml"]
    assert (values["optimizer.lr"]["old"], values["optimizer.lr"]["new"]) == (0.001, 0.002)
    page = Path(project.run("dvc", "plots", "diff").strip().removeprefix("file://")).read_text()
    for title in ("accuracy by epoch", "loss by epoch", "confusion on the test set"):
        assert f'"title": {{"text": "{title}"' in page
    assert '"rev": "HEAD"' in page and '"rev": "workspace"' in page


def test_back_again_comes_from_the_cache(project: Any) -> None:
    project.edit("conf/optimizer/adam.yaml", "lr: 2.0e-3", "lr: 1.0e-3")
    printed = project.run("dvc", "repro")
    for stage in ("train", "evaluate"):
        assert f"Stage '{stage}' is cached - skipping run" in printed
    assert project.ran(printed) == ["compose"], printed
    first, second = [run_id for run_id, _ in runs(project)]
    assert json.loads((project.root / "results/run.json").read_text())["run_id"] == second, "DVC leaves it alone"
    assert project.run("filterlab", "lineage").splitlines()[1].split()[1] == first, "the model leads to its own run"
    assert f"/runs/{first}?workflowType=machine_learning" in project.run("filterlab", "pipeline")
    assert len(runs(project)) == 2, "what is restored is not trained again"
    project.commit("second thoughts")


def test_experiments_log_to_the_one_store(project: Any) -> None:
    known = len(runs(project))
    project.run("dvc", "exp", "run", "--temp", "--name", "wide", "-S", "override.model.hidden=[8]", "train")
    assert len(runs(project)) == known + 1
    project.run("dvc", "exp", "run", "--queue", "--name", "other-seed", "-S", "seed=2", "evaluate")
    project.run("dvc", "exp", "run", "--run-all")
    assert [status for _, status in runs(project)] == ["FINISHED"] * (known + 2)
    shown = csv.DictReader(project.run("dvc", "exp", "show", "--no-pager", "--csv").splitlines())
    accuracy = {row["Experiment"] or row["rev"]: float(row["accuracy"]) for row in shown}
    assert set(accuracy) == {"workspace", "main", "wide", "other-seed"}
    base = json.loads((project.root / "results/metrics.json").read_text())["accuracy"]
    assert accuracy["workspace"] == accuracy["main"] == base != accuracy["other-seed"]
    with sqlite3.connect(project.root / "mlflow.db") as store:
        tags = store.execute("select value from tags where key = 'dvc.experiment' order by value").fetchall()
    assert tags == [("other-seed",), ("wide",)]
