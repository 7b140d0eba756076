"""A folder of pictures by class, from `filterlab data add` to the report and MLflow, by DVC. The tests build on each other."""

import json
import shutil
import sqlite3
from typing import Any

import pytest

import herbs
from filterlab.commands import pipeline

PARAMETERS = """
data: herbs
model: conv_net
trainer: cpu
override:
  model: {layers: [{filters: 8, kernel: 5, pool: 2}], hidden: []}
  trainer: {max_epochs: 2, batch_size: 8}
  tracking: {system_metrics: false}
"""
STAGES = ["compose", "download", "preprocess", "train", "evaluate", "visualize", "report"]


@pytest.fixture(scope="module")
def project(make_project: Any) -> Any:
    project = make_project()
    (project.root / "params.yaml").write_text(PARAMETERS)
    herbs.grow(project.root.parent / "pictures of herbs", width=30, height=28)
    return project


def test_from_a_folder_to_a_report(project: Any) -> None:
    said = project.run("filterlab", "data", "add", str(project.root.parent / "pictures of herbs"), "--name", "herbs")
    assert "next        write `data: herbs` in params.yaml, then: dvc repro" in said
    assert project.ran(project.run("dvc", "repro")) == STAGES
    metrics = json.loads((project.root / "results/metrics.json").read_text())
    assert (metrics["data"], metrics["examples"]) == ("herbs", 6)
    report = (project.root / "results/report.html").read_text()
    assert "herbs" in report and "thyme" in report
    with sqlite3.connect(project.root / "mlflow.db") as store:
        assert {name for (name,) in store.execute("select name from datasets")} == {"herbs"}
        assert all("pictures of herbs" in source for (source,) in store.execute("select dataset_source from datasets"))
        logged = dict(store.execute("select key, value from latest_metrics"))
        assert store.execute("select value from params where key = 'data.source'").fetchall() == [("pictures",)]
    assert logged["test/accuracy"] == metrics["accuracy"]
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")


def test_dvc_sees_the_pictures(project: Any) -> None:
    """One that is added, changed or removed makes the data anew, and downloads nothing."""
    folder = project.root.parent / "pictures of herbs"
    shutil.copy(folder / "mint/000.png", folder / "mint/copy.png")
    assert project.ran(project.run("dvc", "repro", "preprocess")) == ["preprocess"]
    card = json.loads((project.root / "data/processed/train/card.json").read_text())
    assert card["notes"] == {"copies of images on the same side": 1}
    herbs.save(herbs.noise(99, width=30, height=28), folder / "mint/copy.png")
    assert project.ran(project.run("dvc", "repro", "preprocess")) == ["preprocess"]
    assert list(json.loads(project.run("dvc", "status", "--json"))) == ["train", "evaluate", "visualize"]
    (folder / "mint/copy.png").unlink()
    assert project.ran(project.run("dvc", "repro")) == [], "the first ones come from the cache"


def test_a_link_that_leads_nowhere_is_put_right(project: Any) -> None:
    """As after a move of the repository together with its pictures: compose has nothing to do, and would leave it."""
    link = project.root / "data/source/files"
    assert link.is_symlink() and link.exists()
    link.unlink()
    link.symlink_to("/nowhere")
    pipeline.mend_link(project.root)
    assert link.resolve() == (project.root.parent / "pictures of herbs").resolve()


def test_a_training_by_hand_prepares_what_it_needs(project: Any) -> None:
    """The pipeline's data stay as they are, and so does its model."""
    other = herbs.grow(project.root.parent / "others", width=30, height=28, first=50)
    project.run("filterlab", "data", "add", str(other))
    before = project.run("dvc", "status", "--json", "preprocess", "train")
    said = project.run("filterlab", "train", "data=others", "trainer.max_epochs=1")
    assert "validation" in said and len([*(project.root / "data/sets").glob("others-*/train/card.json")]) == 1
    assert project.run("dvc", "status", "--json", "preprocess", "train") == before
    said = project.run("filterlab", "train", "-m", "data=others,herbs", "trainer.max_epochs=1", "--sweep", "both")
    assert "2 done" in said or "2 trials" in said
