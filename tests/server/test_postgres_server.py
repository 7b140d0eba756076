"""filterlab's server on a real PostgreSQL: eight jobs at once lose nothing, and who has no password is not let in."""

import dataclasses
import json
import os
import subprocess
import tarfile
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mlflow
import numpy as np
import pytest
from PIL import Image

from faulty import faulty
from filterlab import tracking
from filterlab.config import schema
from filterlab.errors import TrackingError

JOBS, STEPS = 8, 100
OUTAGES = int(os.environ.get("FILTERLAB_OUTAGES", "1"))
PAGE = Path(__file__).parents[2] / "docs/server.md"


def settings(experiment: str, uri: str) -> schema.Tracking:
    return schema.Tracking(backend="server", uri=uri, experiment=experiment, system_metrics=False, require=False, patience=10.0)


def client_of(uri: str) -> mlflow.MlflowClient:
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Noise, told apart from any other picture."""
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def check_picture(client: mlflow.MlflowClient, run_id: str, picture: Path) -> None:
    """The run's only picture is this one, pixel for pixel, as it comes through the server."""
    (path,) = [entry.path for entry in client.list_artifacts(run_id, "images") if entry.path.endswith(".png")]
    with Image.open(client.download_artifacts(run_id, path, str(picture.parent))) as got, Image.open(picture) as given:
        np.testing.assert_array_equal(np.asarray(got), np.asarray(given))


def test_eight_jobs_at_once_on_an_empty_database(postgres, serving, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    postgres.query("postgres", "CREATE DATABASE runs")
    with serving({"FILTERLAB_STORE": postgres.url("runs")}, artifacts="mlartifacts") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        with ExitStack() as begun:
            jobs = [
                begun.enter_context(
                    tracking.start(settings("team", ""), root=picture.parent, name=f"job {number}", tags={"job": number})
                )
                for number in range(JOBS)
            ]
            for number, run in enumerate(jobs):
                run.log_params({"job": number, "lr": 0.1})
            for step in range(1, STEPS + 1):
                for number, run in enumerate(jobs):
                    run.log_metrics({"train/loss": number + 1 / step, "validation/accuracy": number / step}, step=step)
            for run in jobs:
                run.log_image("first_layer", picture, step=STEPS)
                run.wait()

        client = client_of(server.uri)
        experiment = client.get_experiment_by_name("team")
        assert experiment.artifact_location.startswith("mlflow-artifacts:")
        runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
        assert sorted(runs) == [f"job {number}" for number in range(JOBS)]
        for number in range(JOBS):
            run = runs[f"job {number}"]
            assert (run.info.status, run.info.run_id) == ("FINISHED", jobs[number].id)
            assert run.data.params == {"job": str(number), "lr": "0.1"}
            steps = range(1, STEPS + 1)
            for name, values in {
                "train/loss": [number + 1 / step for step in steps],
                "validation/accuracy": [number / step for step in steps],
            }.items():
                history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
                assert sorted(history) == list(zip(steps, values, strict=True))
            check_picture(client, run.info.run_id, picture)
        assert postgres.query("runs", "SELECT count(*) FROM metrics") == [(JOBS * STEPS * 2,)]
        assert postgres.query("runs", "SELECT count(*) FROM runs") == [(JOBS,)]
        assert len(list((server.root / "mlartifacts").rglob("*.png"))) == JOBS
    check_secret(server.printed, postgres)
    check_backup(server.root, postgres)


def test_eight_runs_while_their_server_is_ended_and_started(postgres, serving, picture: Path) -> None:
    """FILTERLAB_OUTAGES=20 does it so often. Each thing is there once, whatever was under way."""
    postgres.query("postgres", "CREATE DATABASE outages")
    points = 20
    with faulty("http://127.0.0.1:9") as between, ExitStack() as begun:
        between.mode = "dropped"
        patient = dataclasses.replace(settings("outages", between.uri), patience=120.0)
        runs = [
            begun.enter_context(tracking.start(patient, root=picture.parent, name=f"run {number}", tags={}))
            for number in range(JOBS)
        ]
        for outage in range(OUTAGES + 1):
            with serving({"FILTERLAB_STORE": postgres.url("outages")}, artifacts="mlartifacts") as server:
                between.behind, between.mode = server.uri.removeprefix("http://"), ""
                for run in runs:
                    for step in range(outage * points, (outage + 1) * points):
                        run.log_metrics({"loss": step / 7}, step=step)
                    run.log_image("first_layer", picture, step=outage)
                if outage == OUTAGES:
                    begun.close()
                    check_outages(client_of(server.uri), (OUTAGES + 1) * points, OUTAGES + 1)
            between.mode = "dropped"
    assert postgres.query("outages", "SELECT count(*) FROM metrics") == [(JOBS * (OUTAGES + 1) * points,)]
    assert not (picture.parent / "spool").exists()


def check_outages(client: mlflow.MlflowClient, points: int, pictures: int) -> None:
    experiment = client.get_experiment_by_name("outages")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"run {number}" for number in range(JOBS)]
    for run in runs:
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "loss")
        assert sorted((point.step, point.value) for point in history) == [(step, step / 7) for step in range(points)]
        found = [entry.path for entry in client.list_artifacts(run.info.run_id, "images") if entry.path.endswith(".png")]
        assert len(found) == pictures


def check_backup(root: Path, postgres: Any) -> None:
    """The commands of docs/server.md, as printed, bring back what was lost between the second and the third."""
    _, section = PAGE.read_text().split("## Backup, upgrade\n")
    commands = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    assert [command.split()[0] for command in commands] == ["pg_dump", "tar", "pg_restore", "mlflow"]
    environment = os.environ | {"FILTERLAB_STORE": postgres.url("runs")}
    pictures = sorted((root / "mlartifacts").rglob("*.png"))
    for command in commands:
        if command.startswith("pg_restore"):
            postgres.query("runs", "TRUNCATE runs CASCADE")
        done = subprocess.run(["bash", "-ec", command], cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert postgres.query("runs", "SELECT count(*) FROM metrics") == [(JOBS * STEPS * 2,)]
    with tarfile.open(root / "artifacts.tar.gz") as packed:
        assert sorted(root / name for name in packed.getnames() if name.endswith(".png")) == pictures


def check_secret(printed: str, postgres: Any) -> None:
    """The database's password is in nothing that was printed, in no spelling; but its address is."""
    assert f"MLflow on postgresql://team:***@127.0.0.1:{postgres.port}/" in printed
    url = postgres.url("")
    for spelling in (
        "of a @/secret",
        quote("50% of a @/secret"),
        quote("50% of a @/secret", safe=""),
        url.split(":")[2].split("@")[0],
    ):
        assert spelling not in printed


@pytest.fixture(scope="module")
def guarded(postgres, serving, bucket: dict[str, str]) -> Iterator[Any]:
    """A server that asks for passwords, with artifacts on S3, called `lab.example.org` by others."""
    postgres.query("postgres", "CREATE DATABASE guarded")
    with serving(
        {"FILTERLAB_STORE": postgres.url("guarded")} | bucket,
        artifacts="s3://team/runs",
        auth=True,
        allowed_hosts="lab.example.org",
    ) as server:
        yield server
    check_secret(server.printed, postgres)


@pytest.fixture
def credentials(guarded, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The administrator's, read from where the server says."""
    (line,) = [line for line in guarded.printed.splitlines() if line.startswith("The administrator is `admin`")]
    password = Path(line.split(" in ")[1]).read_text()
    assert password not in guarded.printed
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    return "admin", password


def log_one(uri: str, picture: Path, *, experiment: str = "shared") -> str:
    """A run as a training begins it: under an id of its own, in case it goes on later."""
    place = settings(experiment, uri)
    with tracking.start(place, root=picture.parent, name="one", tags={}, identity=uuid.uuid4().hex) as run:
        run.wait()
        run.log_metrics({"loss": 0.5}, step=3)
        run.log_image("first_layer", picture, step=3)
    return run.id


def test_without_a_password_nobody_logs(guarded, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrackingError, match=r"401.*set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") as caught:
        log_one(guarded.uri, picture)
    assert f"the MLflow store {guarded.uri} failed" in str(caught.value)


def test_two_users_log_into_one_experiment_with_pictures_on_s3(
    guarded, credentials: tuple[str, str], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = log_one(guarded.uri, picture)
    ada = ("ada", "a password of hers")
    assert ask(guarded, credentials, "users/create", {"username": ada[0], "password": ada[1]}) == 200
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ada[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ada[1])
    second = log_one(guarded.uri, picture)
    client = client_of(guarded.uri)
    for run_id in (first, second):
        found = client.get_run(run_id)
        assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": 0.5})
        check_picture(client, run_id, picture)
    assert list(guarded.root.glob("**/*.png")) == [], "the bucket has them, and no folder"
    with pytest.raises(mlflow.MlflowException, match="Permission denied"):
        client.delete_experiment(found.info.experiment_id)


def ask(
    guarded: Any, credentials: tuple[str, str], call: str, body: dict[str, Any], *, host: str = "127.0.0.1", origin: str = ""
) -> int:
    """The status of a call, as somebody, to the server by this name, from a page of this origin."""
    headers = {"Host": host, "Authorization": f"Basic {b64encode(':'.join(credentials).encode()).decode()}"}
    headers |= {"Content-Type": "application/json"} | ({"Origin": origin} if origin else {})
    request = urllib.request.Request(f"{guarded.uri}/api/2.0/mlflow/{call}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


SEARCH = ("runs/search", {"max_results": 1, "experiment_ids": ["0"]})


@pytest.mark.parametrize("wrong", [("admin", "not the password"), ("nobody", "not the password"), ("", "")])
def test_a_wrong_password_is_refused(guarded, wrong: tuple[str, str]) -> None:
    assert ask(guarded, wrong, *SEARCH) == 401


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("lab.example.org", "https://lab.example.org", 200),  # behind a proxy
        ("lab.example.org:5000", "http://lab.example.org:5000", 200),
        ("127.0.0.1:5000", "", 200),
        ("evil.example.com", "", 403),
        ("lab.example.org", "https://evil.example.com", 403),
    ],
)
def test_only_the_names_it_was_given_are_answered(guarded, credentials, host: str, origin: str, status: int) -> None:
    assert ask(guarded, credentials, *SEARCH, host=host, origin=origin) == status


def test_a_database_that_refuses_is_one_error(
    postgres, free_port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    from filterlab.tracking import server

    monkeypatch.setattr(os, "execve", lambda *given: pytest.fail("nothing may be started"))
    for url, said in [
        (postgres.url("postgres", password="wrong@pass"), "password authentication failed"),
        (postgres.url("nowhere"), 'database "nowhere" does not exist'),
    ]:
        with pytest.raises(TrackingError, match=rf"the database postgresql://team:\*\*\*@127.*{said}") as caught:
            server.serve(tmp_path, store=url, artifacts="kept", host="127.0.0.1", port=free_port(), auth=False, allowed_hosts="")
        assert "wrong" not in str(caught.value) and "secret" not in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
