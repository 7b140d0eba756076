"""A colleague gets the promoted model without training: from a folder, and from S3."""

import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from filterlab import tracking
from filterlab.config import compose


@pytest.fixture(scope="module")
def project(make_project: Any) -> Any:
    project = make_project()
    project.run("dvc", "repro")
    project.commit("results")
    return project


def colleague(project: Any, folder: Path) -> Any:
    """A clone that pulls what the project pushed."""
    project.run("git", "clone", "--quiet", str(project.root), str(folder))
    return type(project)(folder, project.environment)


def check(project: Any, clone: Any) -> None:
    for path in ["models/model.safetensors", "results/report.html", "results/run.json"]:
        assert (clone.root / path).read_bytes() == (project.root / path).read_bytes()
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro")


def test_folder(project: Any, tmp_path: Path) -> None:
    project.run("dvc", "remote", "add", "--force", "--default", "shelf", str(tmp_path / "shelf"))
    project.commit("a shelf")
    project.run("dvc", "push", "dvc.yaml")
    clone = colleague(project, tmp_path / "clone")
    clone.run("dvc", "pull", "dvc.yaml")
    check(project, clone)
    # nothing is rerun, and yet the run is there for the UI, beside those that the colleague has already
    settings = compose.compose(clone.root / "conf", ["tracking.system_metrics=false"]).tracking
    with tracking.start(settings, root=clone.root, name="the colleague's own", tags={}) as own:
        own.wait()
    printed = clone.run("filterlab", "pipeline")
    trained = json.loads((project.root / "results/run.json").read_text())["run_id"]
    with sqlite3.connect(clone.root / "mlflow.db") as store:
        restored = store.execute("select run_uuid, value from tags where key = 'filterlab.restored_from'").fetchall()
        assert [value for _, value in restored] == [trained]
        ((run_id, _),) = restored
        assert f"make ui, then open http://127.0.0.1:5000 (run {run_id})" in printed
        assert set(store.execute("select run_uuid, status from runs")) == {(run_id, "FINISHED"), (own.id, "FINISHED")}
        metrics = dict(store.execute("select key, value from latest_metrics where run_uuid = ?", [run_id]))
    with sqlite3.connect(project.root / "mlflow.db") as store:
        original = dict(store.execute("select key, value from latest_metrics where key like 'test/%' or key like '%/accuracy'"))
    assert {name: metrics[name] for name in original} == original
    assert run_id in clone.run("filterlab", "pipeline"), "the second time it is the same run"


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("moto's S3 server did not start in 30 s")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def test_s3(project: Any, tmp_path: Path, s3: str) -> None:
    project.environment.update(AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="us-east-1")
    client = boto3.client(
        "s3", endpoint_url=s3, aws_access_key_id="nobody", aws_secret_access_key="secret", region_name="us-east-1"
    )
    client.create_bucket(Bucket="filterlab")
    project.run("dvc", "remote", "add", "--force", "--default", "cloud", "s3://filterlab/store")
    project.run("dvc", "remote", "modify", "cloud", "endpointurl", s3)
    project.commit("a cloud")
    project.run("dvc", "push", "dvc.yaml")
    clone = colleague(project, tmp_path / "clone")
    clone.run("dvc", "pull", "dvc.yaml")
    check(project, clone)
