"""Every topic with the small budget, as `make lecture QUICK=1` runs them: in one process, to one page, into one experiment."""

import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from filterlab.lecture import topics

WORKED_OUT = {str(topic.number): topic for topic in topics.TOPICS if topic.module}


@pytest.fixture(scope="module")
def root(mnist_root: Path) -> Path:
    (mnist_root / "params.yaml").unlink()
    (mnist_root / "params.yaml").write_text("data: digits\n")  # the order has no say in the lecture
    command = [sys.executable, "-W", "error", "-m", "filterlab.cli", "lecture", "all", "--quick"]
    done = subprocess.run(command, cwd=mnist_root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return mnist_root


def test_every_check_holds(root: Path) -> None:
    told = json.loads((root / "results/lecture-quick/lecture.json").read_text())
    assert told.keys() == WORKED_OUT.keys()
    assert {given["budget"] for given in told.values()} == {"quick"}
    checks = [(number, check["says"]) for number, given in told.items() for check in given["checks"] if not check["passed"]]
    assert checks == []
    assert sum(len(given["checks"]) for given in told.values()) > 150
    assert all(
        found["verdict"] in ("holds", "fails", "can't be told") for given in told.values() for found in given["hypotheses"]
    )


def test_the_page_has_every_topic_with_its_figures_and_formulas(root: Path) -> None:
    text = (root / "results/lecture-quick/lecture.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<section id="topic-(\d+)">(.*?)</section>', text, re.DOTALL))
    assert list(sections) == [str(topic.number) for topic in topics.TOPICS]
    for number, section in sections.items():
        if number not in WORKED_OUT:
            assert "Comes later." in section
            continue
        page = WORKED_OUT[number].load().PAGE
        assert section.count("<math") == len(page.formulas)
        assert section.count("<img") == len(list((root / "results/lecture-quick").glob(f"{int(number):02d}_*/*.png"))) > 0
        assert f"<pre>filterlab lecture {number} --quick</pre>" in section
        assert ('class="correction"' in section) == bool(page.correction)
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "quick</b> budget" in text


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
    trained = {of_topic[run.data.tags["mlflow.parentRunId"]] for run in children}
    assert trained >= {"8", "11", "12", "13", "15", "18"}
    points = [run for run in children if run.data.params["topic"] == "18"]
    assert {"method", "images_per_class", "subset"} <= set.intersection(*(set(run.data.params) for run in points))
    assert all(0 <= run.data.metrics["test/accuracy"] <= 1 for run in points)
    assert len({run.data.params["method"] for run in points}) == 6
