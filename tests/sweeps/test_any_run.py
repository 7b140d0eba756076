"""evaluate, visualize and report of any run: what they write and log, and what they refuse. The tests build on each other."""

import csv
import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import chdir
from typing import Any

import pytest
from scipy.stats import binomtest

from filterlab import lab
from filterlab.commands import compare
from filterlab.data import arrays
from filterlab.data.arrays import LabelledImages, digest
from filterlab.errors import UserError
from filterlab.sweeps import trained
from filterlab.training import curves

pytestmark = pytest.mark.usefixtures("python")


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Any]) -> Any:
    """With a test set of 60, a training by hand, and a sweep of two small convolutional networks."""
    project = make_project()
    card, parts = arrays.load(project.root / "data/processed/train")
    test = {"test": LabelledImages(parts["validation"].images[:60], parts["validation"].labels[:60])}
    card = dataclasses.replace(card, counts={"test": 60}, digest=digest(test))
    arrays.save(project.root / "data/processed/test", test, card)
    parameters = project.root / "params.yaml"
    text = parameters.read_text().replace("model: mlp ", "model: tutorial_cnn")
    parameters.write_text(text.replace("{hidden: [8]}", "{filters: 2, kernel: 5}"))
    project.run("train")
    project.run(
        "train", "-m", "--sweep", "widths", "trainer.max_epochs=1", "trainer.monitor=validation/macro_f1", "model.filters=2,3"
    )
    return project


@pytest.fixture
def by_hand(project: Any) -> str:
    trials = "select run_uuid from tags where key in ('filterlab.sweep', 'filterlab.trial')"
    return str(project.ask(f"select run_uuid from runs where run_uuid not in ({trials}) order by start_time")[0][0])


def test_a_training_by_hand_is_measured_drawn_and_told_of(project: Any, by_hand: str) -> None:
    project.here("play", by_hand)  # of what has not been measured, without its mistakes
    unmeasured = (project.root / "runs" / by_hand / "results/play.html").read_text()
    assert '"mistakes":{"count":0,' in unmeasured and "filterlab.test_set" not in project.tags(by_hand)
    refused = project.here("report", by_hand, code=2)
    assert "has not been measured on the test set" in refused and f"`filterlab evaluate {by_hand[:8]}`" in refused
    out, results = project.root / "runs" / by_hand, [*(project.root / "results").rglob("*")]
    printed = project.here("evaluate", by_hand[:8])
    assert by_hand in printed and "test set    accuracy" in printed
    (trained,) = [folder for folder in (project.root / "runs").glob("*-*-*_*")]
    for name in ("models/model.json", "models/filters.safetensors", "results/curves.csv", "results/config.yaml"):
        assert (out / name).read_bytes() == (trained / name).read_bytes()
    assert project.tags(by_hand)["filterlab.test_set"] == arrays.load(project.root / "data/processed/test")[0].digest
    assert project.ask("select value from metrics where run_uuid = ? and key = 'test/examples'", by_hand) == [(60,)]
    project.here("report", by_hand)
    page = (out / "results/report.html").read_text()
    (logged,) = (project.root / "mlartifacts").glob(f"*/{by_hand}/artifacts/report.html")
    assert logged.read_text() == page and "data:image/png" in page
    commit = project.tags(by_hand)["mlflow.source.git.commit"]
    for said in (
        by_hand,
        commit,
        project.tags(by_hand)["filterlab.processor"],
        "<th>train</th>",
        "<th>evaluate</th>",
        f"filterlab promote {by_hand[:8]}",
    ):
        assert said in page
    assert [*(project.root / "results").rglob("*")] == results, "the pipeline's are left alone"


def test_python_loads_a_run_by_its_id_or_its_folder(project: Any, by_hand: str) -> None:
    with chdir(project.root):
        loaded, again = lab.load(by_hand[:8]), lab.load(next((project.root / "runs").glob("2*")))
        assert lab.validate(loaded).evaluation.numbers() == lab.validate(again).evaluation.numbers()
        assert loaded.curves == again.curves and (loaded.first_layers == again.first_layers).all()
        with pytest.raises(UserError, match="no run"):
            lab.load("0" * 32)
        with pytest.raises(UserError, match=r"expected the folder of a training"):
            lab.load(project.root / "conf")


def test_the_best_of_a_sweep_is_drawn_though_it_has_logged_less(project: Any) -> None:
    printed = project.here("visualize", "--sweep", "widths")
    (winner,) = [run for run in project.children() if run in printed]
    out = project.root / "runs" / winner
    assert len(curves.read(out)["epoch"]) == 1 and (out / "models/filters.safetensors").exists()
    assert (out / "results/figures/filters/conv1.png").exists() and not (out / "results/figures/filters/by_epoch.png").exists()
    assert "filterlab.test_set" not in project.tags(winner), "the test set was left alone"
    project.here("evaluate", winner)
    project.here("report", winner)
    project.here("play", winner)
    assert "<script" in (out / "results/play.html").read_text()
    assert "its best epoch alone" in (out / "results/report.html").read_text()


def test_runs_are_compared_on_one_page(project: Any) -> None:
    """By the pictures that one alone has right, on a page on which nothing is a name's to run."""
    runs = sorted(project.children())
    printed = project.here("compare", *runs)
    page = (project.root / "results/compare" / f"{runs[0][:8]}_{runs[1][:8]}.html").read_text()
    assert printed.count("is measured on the test set") == 1, "the best of the two has been"
    right = []
    for run in runs:
        with (project.root / "runs" / run / "results/evaluation/predictions.csv").open() as lines:
            right.append([row["actual"] == row["predicted"] for row in csv.DictReader(lines)])
        assert "filterlab.test_set" in project.tags(run)
        assert [*(project.root / "mlartifacts").glob(f"*/{run}/artifacts/compare/*.html")]
    first, second = (sum(a and not b for a, b in zip(one, other, strict=True)) for one, other in (right, right[::-1]))
    p = binomtest(first, first + second).pvalue if first + second else 1.0
    assert f"<td>A, B</td><td>{first}</td><td>{second}</td>" in page and f"<td>{p:.2g}</td>" in page
    assert "<code>model.filters</code>" in page and "<code>optimizer.lr</code>" not in page
    assert "is measured" not in project.here("compare", *runs), "it is known by now"
    with chdir(project.root):
        compared = [
            compare.measured(project.root, each, letter)
            for each, letter in zip(trained.bring_all(project.root, runs), "AB", strict=True)
        ]
    evil = "<script>alert(1)</script>"
    named = []
    for each in compared:
        data = dataclasses.replace(each.chosen.config.data, classes=[f"{evil}{k}" for k in range(10)])
        config = dataclasses.replace(each.chosen.config, data=data)
        run = dataclasses.replace(each.chosen.run, name=evil)
        said = (each.said + (each.letter == "B")) % 10
        named.append(dataclasses.replace(each, said=said, chosen=dataclasses.replace(each.chosen, config=config, run=run)))
    page = compare.render(named)
    assert evil not in page and "&lt;script&gt;alert(1)&lt;/script&gt;9" in page
    assert "takes 2 to 6 runs, and 1 was given" in project.here("compare", runs[0], code=2)
    assert "the same run twice" in project.here("compare", runs[0], runs[0][:9], code=2)


def test_what_has_no_network_here_is_refused(project: Any, by_hand: str) -> None:
    assert "no run in this store has an id that begins with 'zzz'" in project.here("evaluate", "zzz", code=2)
    assert "is the sweep widths itself" in project.here("evaluate", project.run_of("widths"), code=2)
    assert "takes a RUN, or --sweep NAME" in project.here("visualize", code=2)
    with sqlite3.connect(project.root / "mlflow.db") as store:  # a run of somebody else's
        store.execute("create temp table theirs as select * from runs where status = 'FINISHED' limit 1")
        store.execute("update theirs set run_uuid = ?", ["f" * 32])
        store.execute("insert into runs select * from theirs")
    assert "is no training of filterlab's, and has no network" in project.here("visualize", "ffff", code=2)
    with sqlite3.connect(project.root / "mlflow.db") as store:
        store.execute("delete from runs where run_uuid = ?", ["f" * 32])
    shutil.rmtree(project.root / "runs" / by_hand, ignore_errors=True)
    for weights in (project.root / "mlartifacts").glob("*/models/*/artifacts/data/models/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    refused = project.here("visualize", by_hand, code=3)
    assert f"what run {by_hand} has logged is damaged" in refused and len(refused.splitlines()) == 1


def test_offline_runs_are_measured_from_their_spool(project: Any) -> None:
    parameters = project.root / "params.yaml"
    kept = parameters.read_text()
    parameters.write_text(kept.replace("tracking: local", "tracking: offline"))
    before = {*(project.root / "spool").glob("*")}  # what its store has not got yet of the runs before
    project.run("train", "trainer.max_epochs=1")
    (spool,) = {*(project.root / "spool").glob("*")} - before
    project.here("evaluate", spool.name)
    assert (project.root / "runs" / spool.name / "results/metrics.json").exists()
    parameters.write_text(kept)
    project.here("sync")
    assert project.ask(
        "select count(*) from metrics m join tags t on t.run_uuid = m.run_uuid and t.value = ? where m.key = 'test/accuracy'",
        spool.name,
    ) == [(1,)]


def test_other_data_than_it_learned_from_are_refused(project: Any) -> None:
    folder = project.root / "data/processed/train"
    card, parts = arrays.load(folder)
    other = parts | {"train": dataclasses.replace(parts["train"], labels=parts["train"].labels[::-1].copy())}
    arrays.save(folder, other, dataclasses.replace(card, digest=digest(other)))
    assert "learned from other data" in project.here("visualize", "--sweep", "widths", code=2)
