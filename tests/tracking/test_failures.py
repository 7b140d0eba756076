"""Stores that can't be used, servers that don't answer, parents that die, and several at once."""

import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import psutil
import pytest
from PIL import Image
from tracking_settings import Settings

import measuring
from filterlab import tracking
from filterlab.errors import DataError, TrackingError
from filterlab.tracking import senders


def begin(settings: Settings, root: Path) -> None:
    """What a training does before it computes."""
    with tracking.start(dataclasses.replace(settings, require=True), root=root, name="n", tags={}):
        pytest.fail("nothing may be computed")


def not_a_database(path: Path) -> None:
    path.write_bytes(b"this is no database, but it is long enough to be taken for one" * 100)


def another_schema(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    connection.close()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [not_a_database, another_schema, a_folder], ids=lambda spoil: spoil.__name__)
def test_a_store_that_cannot_be_used_is_named(
    spoil: Callable[[Path], None], database: Path, tmp_path: Path, children, capfd: pytest.CaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_bytes((database / "mlflow.db").read_bytes())
    spoil(tmp_path / "mlflow.db")
    with pytest.raises(TrackingError, match=rf"the MLflow store {tmp_path}/mlflow.db can't be used: ") as caught:
        begin(Settings(), tmp_path)
    assert caught.value.exit_code == 4
    assert children() == [] and capfd.readouterr() == ("", "")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*file/below/spool/.*: Not a directory"):
        begin(Settings(), tmp_path / "file" / "below")


def test_a_server_that_is_down_is_said_soon(tmp_path: Path, unused_port: int, capfd: pytest.CaptureFixture, children) -> None:
    before = time.monotonic()
    with pytest.raises(
        TrackingError, match=rf"http://127.0.0.1:{unused_port} does not answer \(Connection refused\): is the server"
    ):
        begin(Settings(backend="server", uri=f"http://127.0.0.1:{unused_port}"), tmp_path)
    assert time.monotonic() - before < 15
    assert children() == [] and capfd.readouterr() == ("", "")


def test_a_server_that_never_answers_is_said_soon(
    tmp_path: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """And before that, what is waited for."""
    monkeypatch.setattr(senders, "PATIENCE", 0.5)
    before = time.monotonic()
    with pytest.raises(
        TrackingError, match=rf"http://127.0.0.1:{silent_port} does not answer \(no answer in time\): is the server"
    ):
        begin(Settings(backend="server", uri=f"http://127.0.0.1:{silent_port}"), tmp_path)
    assert time.monotonic() - before < 20
    waiting = f"waiting for the MLflow store http://127.0.0.1:{silent_port}, which has not answered yet\n"
    assert set(capfd.readouterr().err.splitlines(keepends=True)) == {waiting}


def test_a_store_that_is_moved_while_a_run_is_under_way_is_not_made_anew(database: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(database, root)
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.png")
    with (
        pytest.raises(DataError, match=rf"{root}/spool/.* is not there any longer: the repository was moved or deleted"),
        tracking.start(Settings(), root=root, name="n", tags={}) as run,
    ):
        run.wait()
        root.rename(tmp_path / "moved")
        run.log_image("first_layer", tmp_path / "picture.png")
    assert not root.exists()


def test_a_store_is_no_link_to_another_ones(database: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").symlink_to(database / "mlflow.db")
    with pytest.raises(TrackingError, match=rf"{tmp_path}/mlflow.db is a symbolic link to {database}/mlflow.db, whose artifacts"):
        begin(Settings(), tmp_path)


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from filterlab import tracking
class Settings: backend, uri, experiment, system_metrics, require, patience = "local", "", "test", True, False, 10.0
with tracking.start(Settings, root=Path(sys.argv[1]), name="n", tags={}) as run:
    run.wait()
    run.log_metrics({"loss": 1.0}, step=1)
    print(run.id, flush=True)
    time.sleep(float(sys.argv[3]))
"""
SRC = str(Path(tracking.__file__).parents[2])


def parent(root: Path, *, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, str(root), SRC, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parents_run_ends_as_killed_and_its_sender_with_it(database: Path, how: signal.Signals) -> None:
    process = parent(database, seconds=60)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    senders = psutil.Process(process.pid).children(recursive=True)
    assert len(senders) == 2, "the one that has imported mlflow, and this run's own"
    os.kill(process.pid, how)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (-how, "")
    _, left = psutil.wait_procs(senders, timeout=15)
    assert not left, "a sender outlives its parent"
    client = mlflow.MlflowClient(f"sqlite:///{database / 'mlflow.db'}")
    assert client.get_run(run_id).info.status == "KILLED"
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1]


def test_runs_at_once_have_a_sender_each_and_share_what_is_imported(database: Path) -> None:
    """And where that one is gone, the next run brings another."""

    def workers() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if "filterlab.tracking.preloaded" in child.cmdline()]

    with tracking.start(Settings(), root=database, name="outer", tags={}) as outer:
        outer.wait()
        with tracking.start(Settings(), root=database, name="inner", tags={}) as inner:
            inner.wait()
            (worker,) = workers()
            assert len(worker.children()) == 2
            inner.log_metrics({"loss": 1.0})
        outer.log_metrics({"loss": 2.0})
    worker.kill()
    worker.wait(10)
    with measuring.measured(), tracking.start(Settings(), root=database, name="after", tags={}) as after:
        after.log_metrics({"loss": 3.0})
        after.wait()
    client = mlflow.MlflowClient(f"sqlite:///{database / 'mlflow.db'}")
    found = [client.get_run(run.id) for run in (outer, inner, after)]
    assert [(run.info.run_name, run.info.status, run.data.metrics["loss"]) for run in found] == [
        ("outer", "FINISHED", 2.0),
        ("inner", "FINISHED", 1.0),
        ("after", "FINISHED", 3.0),
    ]


def test_another_projects_variables_choose_nothing_here(database: Path, tmp_path: Path) -> None:
    """Of a shell in which somebody worked on something else, from the start of the process on."""
    script = """
import sys
from pathlib import Path
sys.path.append(sys.argv[2])
from tracking_settings import Settings
from filterlab import tracking
with tracking.start(Settings(), root=Path(sys.argv[1]), name="n", tags={}) as run:
    run.log_metrics({"loss": 1.0}, step=1)
    run.wait()
print(run.id)
"""
    variables = {
        "MLFLOW_ACTIVE_MODEL_ID": "m-1",
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_EXPERIMENT_NAME": "another",
        "MLFLOW_EXPERIMENT_ID": "77",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "PYTHONWARNINGS": "error",
    }
    environment = {name: text for name, text in os.environ.items() if name != "DVC_ROOT"} | variables
    command = [sys.executable, "-c", script, str(database), str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    run = mlflow.MlflowClient(f"sqlite:///{database / 'mlflow.db'}").get_run(done.stdout.strip())
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 1.0})
