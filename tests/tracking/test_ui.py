"""`make ui`: MLflow's pages on the local store."""

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from filterlab import tracking
from filterlab.config import schema
from filterlab.errors import TrackingError, UserError
from filterlab.tracking import ui


def test_without_a_store_it_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"mlflow\.db does not exist yet: `make pipeline`"):
        ui.serve(tmp_path, host="127.0.0.1", port=5000)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "mlflow.example.org", ""])
def test_where_others_could_come_in_it_does_not_listen(tmp_path: Path, host: str) -> None:
    """It asks for no password; `filterlab server` does."""
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(UserError, match=rf"alone, not on {re.escape(host)}: `filterlab server --host .* --allowed-hosts NAME`"):
        ui.serve(tmp_path, host=host, port=5000)


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path, silent_port: int) -> None:
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(UserError, match=rf"127\.0\.0\.1 can't be listened on at port {silent_port}: .*in use"):
        ui.serve(tmp_path, host="127.0.0.1", port=silent_port)


@pytest.fixture
def shown(database: Path, tmp_path: Path) -> Path:
    """A store whose newest run is one of the experiment `shown`, which is neither the first nor the last one."""
    shutil.copyfile(database / "mlflow.db", tmp_path / "mlflow.db")
    for name in ("shown", "later", "shown"):
        settings = schema.Tracking(backend="local", uri="", experiment=name, system_metrics=False, require=False, patience=10.0)
        with tracking.start(settings, root=tmp_path, name="a run", tags={}) as run:
            run.wait()
    return tmp_path


def experiments(root: Path) -> dict[str, int]:
    with sqlite3.connect(root / "mlflow.db") as store:
        return dict(store.execute("select name, experiment_id from experiments").fetchall())


def test_it_shows_the_newest_runs_with_the_result(shown: Path, file_size_limit: Callable[[int], AbstractContextManager]) -> None:
    """The experiment's table in the view for training; a store that can't be written to is shown with MLflow's own columns."""
    address = f"/#/experiments/{experiments(shown)['shown']}/runs?workflowType=machine_learning"
    with file_size_limit(0):
        assert ui.table(shown / "mlflow.db") == address
    for _ in range(2):
        assert ui.table(shown / "mlflow.db") == f"{address}&viewStateShareKey=results"
    with sqlite3.connect(shown / "mlflow.db") as store:
        ((view,),) = store.execute("select value from experiment_tags where key = 'mlflow.sharedViewState.results'").fetchall()
    assert {"metrics.`best/validation/accuracy`", "metrics.`test/accuracy`"} <= set(json.loads(view)["selectedColumns"])


def test_a_store_without_runs_opens_on_the_experiments(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert ui.table(tmp_path / "mlflow.db") == "/#/experiments?workflowType=machine_learning"


def test_the_browser_opens_once_the_server_answers(tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    before = psutil.Process().children()
    ui.open_when_up("http://somewhere/#/page", host="127.0.0.1", port=unused_port)
    (waits,) = {*psutil.Process().children()} - {*before}
    time.sleep(0.5)
    assert not opened.exists()
    with socket.create_server(("127.0.0.1", unused_port)):
        deadline = time.monotonic() + 20
        while not opened.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert opened.read_text() == "http://somewhere/#/page\n"
    assert waits.wait(20) == 0


@pytest.mark.parametrize(("terminal", "display", "expected"), [(True, ":0", True), (False, ":0", False), (True, "", False)])
def test_a_browser_is_for_desktops(terminal: bool, display: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert ui.on_desktop() is expected


def test_it_listens_on_loopback_and_knows_the_runs_wherever_they_have_moved(shown: Path, unused_port: int, python: Path) -> None:
    (shown / "dvc.yaml").write_text("stages: {}")
    (shown / "conf").mkdir()
    settings = schema.Tracking(backend="local", uri="", experiment="shown", system_metrics=False, require=False, patience=10.0)
    with tracking.start(settings, root=shown, name="a run", tags={}) as run:
        run.log_artifact(shown / "dvc.yaml")
        run.wait()
    root = shown.rename(shown.with_name("feature%2Fx #1?"))
    command = [python, "-m", "filterlab.cli", "ui", "--port", str(unused_port)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = f"http://127.0.0.1:{unused_port}"
            table = f"/#/experiments/{experiments(root)['shown']}/runs?workflowType=machine_learning&viewStateShareKey=results"
            assert server.stdout.readline() == f"MLflow on mlflow.db: {address}{table}  (Ctrl-C ends it)\n"
            assert answer(f"{address}/health") == b"OK"
            assert b'"shown"' in answer(f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=shown")
            assert answer(f"{address}/get-artifact?path=dvc.yaml&run_uuid={run.id}") == b"stages: {}"
        finally:
            server.terminate()


def answer(address: str) -> bytes:
    """What the server answers, once it is up."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return bytes(response.read())
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{address} did not answer in 60 s")
