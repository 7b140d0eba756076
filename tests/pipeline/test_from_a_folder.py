"""A user's own images, from `filterlab data add` to the report and MLflow, by DVC. The tests build on each other."""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import herbs
from filterlab.commands import pipeline
from filterlab.data import idx

PARAMETERS = """
data: herbs
model: conv_net
trainer: cpu
override:
  model: {layers: [{filters: 8, kernel: 5, pool: 2}], hidden: []}
  trainer: {max_epochs: 2, batch_size: 8}
  tracking: {system_metrics: false}
"""
STAGES = ["compose", "download", "preprocess", "train", "evaluate", "visualize", "play", "report"]


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
    assert list(json.loads(project.run("dvc", "status", "--json"))) == ["train", "evaluate", "visualize", "play", "report"]
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


def test_pictures_that_were_moved_are_said_to_be_gone(project: Any) -> None:
    folder = project.root.parent / "pictures of herbs"
    folder.rename(folder.with_name("moved"))
    said = project.run("filterlab", "pipeline", code=255)
    assert f"NOTE: the images of herbs are not at {folder} any longer: bring them back, or correct `path`" in said
    folder.with_name("moved").rename(folder)
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")


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


def squares(count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Gray images (N, 12, 12) uint8 whose bright half says their class, 3 or 8."""
    labels = np.where(np.arange(count) % 2, 8, 3).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 100, (count, 12, 12), np.uint8)
    images[labels == 3, :6] += 150
    images[labels == 8, 6:] += 150
    return images, labels


def put_archive(place: Path) -> Path:
    herbs.grow(place / "in/pictures", width=12, height=12)
    return Path(shutil.make_archive(str(place / "herbs"), "zip", place / "in"))


def put_kaggle(place: Path) -> Path:
    images, labels = squares()
    table = np.column_stack([labels, images.reshape(len(images), -1)])
    head = ",".join(["label", *(f"pixel{number}" for number in range(images[0].size))])
    np.savetxt(place / "train.csv", table, "%d", ",", header=head, comments="")
    np.savetxt(place / "test.csv", table[:4, 1:], "%d", ",", header=head.removeprefix("label,"), comments="")
    return place


def put_keras(place: Path) -> Path:
    images, labels = squares()
    colors = np.repeat(images[..., None], 3, axis=3)
    np.savez(place / "squares.npz", x_train=colors[:100], y_train=labels[:100], x_test=colors[100:], y_test=labels[100:, None])
    return place / "squares.npz"


def put_emnist(place: Path) -> Path:
    images, labels = squares()
    for part, rows in [("train", slice(100)), ("test", slice(100, None))]:
        for kind, array in [("images-idx3", images[rows]), ("labels-idx1", labels[rows])]:
            (place / f"emnist-pairs-{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx.encode(array)))
    return place


@pytest.mark.parametrize(
    ("put", "classes", "examples"),
    [
        pytest.param(put_archive, ["basil", "mint", "thyme"], 6, id="zip"),
        pytest.param(put_kaggle, ["3", "8"], 30, id="csv"),
        pytest.param(put_keras, ["3", "8"], 50, id="npz"),
        pytest.param(put_emnist, ["3", "8"], 50, id="idx"),
    ],
)
def test_each_source_comes_to_a_report(project: Any, put: Callable[[Path], Path], classes: list[str], examples: int) -> None:
    name = put.__name__
    place = project.root.parent / f"{name} of mine"
    place.mkdir()
    project.run("filterlab", "data", "add", str(put(place)), "--name", name)
    parameters = PARAMETERS.replace("data: herbs", f"data: {name}\noptimizer: adam").replace("epochs: 2", "epochs: 15")
    (project.root / "params.yaml").write_text(parameters)
    assert project.ran(project.run("dvc", "repro")) == STAGES
    metrics = json.loads((project.root / "results/metrics.json").read_text())
    assert (metrics["data"], metrics["examples"]) == (name, examples)
    assert metrics["accuracy"] > 0.9
    model = json.loads((project.root / "models/model.json").read_text())
    assert model["data"]["classes"] == classes
    report = (project.root / "results/report.html").read_text()
    assert all(label in report for label in [name, *classes])
