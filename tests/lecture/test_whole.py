"""Every topic with the small budget, as `make lecture QUICK=1` runs them: in one process, to one page, into one experiment."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import mlflow
import pytest

from filterlab import cli
from filterlab.lecture import coding_or_discovery, engineered, large_networks, relu
from filterlab.lecture.topic import all_topics
from filterlab.models import shapes
from filterlab.models.architectures.resnet import ResNet

MEASURED = {"images", "test/accuracy", "model/MB", "training/seconds", "test/seconds", "training/MB"}  # in topic 18
WORKED_OUT = {str(topic.number): topic for topic in all_topics() if topic.compute}


@pytest.fixture(scope="module")
def root(mnist_root: Path, python_of_module: Path) -> Path:
    (mnist_root / "params.yaml").unlink()
    (mnist_root / "params.yaml").write_text("data: digits\n")  # params.yaml has no say in the lecture
    with contextlib.chdir(mnist_root):
        cli.main(["lecture", "all", "--quick"])
    return mnist_root


def test_every_check_holds(root: Path) -> None:
    told = json.loads((root / "results/lecture-quick/lecture.json").read_text())
    assert told.keys() == WORKED_OUT.keys()
    assert {given["budget"] for given in told.values()} == {"quick"}
    checks = [(number, check["says"]) for number, given in told.items() for check in given["checks"] if not check["passed"]]
    assert checks == []
    assert sum(len(given["checks"]) for given in told.values()) > 150
    assert {key for given in told.values() for key in given} == {"title", "budget", "checks"}, "too few data for claims"


def test_the_page_has_every_topic_with_its_figures_and_formulas(root: Path) -> None:
    text = (root / "results/lecture-quick/lecture.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<section id="topic-(\d+)">(.*?)</section>', text, re.DOTALL))
    assert list(sections) == [str(topic.number) for topic in all_topics()]
    for number, section in sections.items():
        if number not in WORKED_OUT:
            assert "Comes later." in section
            continue
        topic = WORKED_OUT[number]
        assert section.count("<math") == len(topic.formulas)
        assert section.count("<img") == len(list((root / "results/lecture-quick").glob(f"{int(number):02d}_*/*.png"))) > 0
        assert f"<pre>filterlab lecture {number} --quick</pre>" in section
        assert ('class="correction"' in section) == bool(topic.correction)
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "quick</b> budget" in text and "\u00b1" not in re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)


def test_every_topic_is_a_run_and_every_training_a_child(root: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lecture")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(int(run.data.params["topic"]) for run in parents) == sorted(map(int, WORKED_OUT))
    for run in parents:
        assert run.data.metrics["checks/failed"] == 0 < run.data.metrics["checks/passed"]
        assert run.data.params["budget"] == "quick"
        assert client.list_artifacts(run.info.run_id, "images")
    of_topic = {run.info.run_id: run.data.params["topic"] for run in parents}
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {of_topic[run.data.tags["mlflow.parentRunId"]] for run in children} == {run.data.params["topic"] for run in children}


# Topic 8: four settings of the exercise and four of noisy labels, two seeds each.
TRAININGS = {8: 16, 11: 12, 12: 16, 13: 2 * 17, 15: 8, 18: 30}
FIGURES = {
    8: "by_hand curves confusion mistakes filters activations variants fewest noisy_labels",
    11: "filters accuracy",
    12: "functions gradients learning",
    13: "factors",
    15: "gradients training",
    18: "learning_curves crossover",
}
HYPOTHESES = {8: 8, 11: 6, 12: 9, 13: 9, 15: 5, 18: 6}


@pytest.mark.parametrize("number", TRAININGS)
def test_what_a_topic_that_trains_leaves(root: Path, number: int) -> None:
    findings, trained = found(root, number), trainings(root, number)
    assert len(trained) == len({run.info.run_name for run in trained}) == TRAININGS[number]
    assert list(findings["figures"]) == FIGURES[number].split()
    assert len(findings["hypotheses"]) == HYPOTHESES[number]
    for table in findings["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["header"])}


def test_each_of_its_kinds_is_trained(root: Path) -> None:
    assert {run.data.params["filters"] for run in trainings(root, 11)} == set(engineered.KINDS)
    assert {run.data.params["activation"] for run in trainings(root, 12)} == set(relu.NAMES)
    assert all(claim["n"] == 2 for number in (8, 13) for claim in found(root, number)["hypotheses"])
    assert [len(found(root, number)["tables"][0]["rows"]) for number in (11, 12, 13)] == [6, 8, 17]
    deepest = ResNet(name="resnet", depth=110, width=large_networks.WIDTH, residual=True)
    traced = shapes.parameter_count(shapes.layers(deepest, channels=1, height=14, width=14, classes=10))
    assert [row[2] for row in found(root, 15)["tables"][0]["rows"] if row[0] == "110"] == [f"{traced:,}"] * 2


def test_networks_and_machines_learn_from_the_same_subsets(root: Path) -> None:
    points = trainings(root, 18)
    assert all(run.data.metrics.keys() >= MEASURED and 0 <= run.data.metrics["test/accuracy"] <= 1 for run in points)
    by_method = {
        name: {
            (run.data.params["images_per_class"], run.data.params["subset"])
            for run in points
            if run.data.params["method"] == name
        }
        for name in coding_or_discovery.METHODS
    }
    assert len(by_method["CNN"]) == 5
    assert all(places == by_method["CNN"] for places in by_method.values())


def found(root: Path, number: int) -> dict[str, Any]:
    """What the topic has written."""
    findings: dict[str, Any] = json.loads(
        (root / "results/lecture-quick" / WORKED_OUT[str(number)].name / "findings.json").read_text()
    )
    return findings


def trainings(root: Path, number: int) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lecture")
    runs = client.search_runs([experiment.experiment_id], f"params.topic = '{number}'", max_results=1000)
    return [run for run in runs if "mlflow.parentRunId" in run.data.tags]
