"""Servers that fail in the middle of a run: what logs does not wait, nothing is lost, nothing is there twice."""

import dataclasses
import errno
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from multiprocessing import Pipe
from pathlib import Path

import mlflow
import pytest
from PIL import Image
from tracking_settings import Settings

from faulty import MODES, Faulty, faulty
from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.tracking import run as runs
from filterlab.tracking import session, sync
from filterlab.tracking.sender import Sender
from filterlab.tracking.spool import Spool

OUTAGES = int(os.environ.get("FILTERLAB_OUTAGES", "1"))
POINTS = 20


@pytest.fixture
def between(server) -> Iterator[Faulty]:
    with faulty(server.uri) as made:
        yield made


@pytest.fixture
def settings(between: Faulty) -> Settings:
    return Settings(backend="server", uri=between.uri, patience=1.0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def log(run: tracking.NullRun, picture: Path, first: int) -> None:
    for step in range(first, first + POINTS):
        run.log_metrics({"loss": 1 / (step + 1)}, step=step)
        run.log_image("first", picture, step=step)


def check(server, name: str, points: int) -> mlflow.entities.Run:
    """The one run of that name is finished, and has each point and picture once."""
    client = mlflow.MlflowClient(server.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'test'")
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    assert run.info.status == "FINISHED"
    found = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in found] == [(step, 1 / (step + 1)) for step in range(points)]
    pictures = [
        entry.path.split("+")[2] for entry in client.list_artifacts(run.info.run_id, "images") if entry.path.endswith("png")
    ]
    assert sorted(map(int, pictures)) == list(range(points))
    return run


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_fails_for_good_is_not_waited_for(
    mode: str, server, between: Faulty, settings: Settings, tmp_path: Path, picture: Path, capfd: pytest.CaptureFixture
) -> None:
    """What it has not got is sent by `filterlab sync`."""
    between.seconds = 0.5
    with tracking.start(settings, root=tmp_path, name=mode, tags={}) as run:
        log(run, picture, 0)
        run.wait()
        between.mode = mode
        before = time.monotonic()
        log(run, picture, POINTS)
        waited = time.monotonic() - before
        ending = time.monotonic()
    ended = time.monotonic() - ending
    assert waited < 5 and ended < 10, "a silent server would hold it for minutes"
    said = capfd.readouterr().err
    assert f"the MLflow store {between.uri} has not got " in said and "`filterlab sync` sends them" in said
    assert said.count("the work goes on") == (mode not in ("slow", "silent"))
    if mode not in ("slow", "dropped after the write"):
        with pytest.raises(TrackingError, match=f"the MLflow store {between.uri} (failed|does not answer)"):
            short = dataclasses.replace(settings)
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "1"
            sync.sync([], short, home=tmp_path, to="", watch=False)
        del os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
    between.mode = ""
    sync.sync([], settings, home=tmp_path, to="", watch=False)
    check(server, mode, 2 * POINTS)
    assert not (tmp_path / "spool").exists()


def test_a_server_that_comes_back_gets_it_all(
    server, between: Faulty, settings: Settings, tmp_path: Path, picture: Path, capfd: pytest.CaptureFixture
) -> None:
    with tracking.start(dataclasses.replace(settings, patience=30.0), root=tmp_path, name="back", tags={}) as run:
        between.mode = "dropped"
        log(run, picture, 0)
        deadline = time.monotonic() + 60
        while "the work goes on" not in capfd.readouterr().err:
            assert time.monotonic() < deadline
            run.log_metrics({"waiting": 1.0})
            time.sleep(0.1)
        between.mode = ""
        log(run, picture, POINTS)
    check(server, "back", 2 * POINTS)
    assert capfd.readouterr().err == f"filterlab: the MLflow store {between.uri} has it all again\n"
    assert not (tmp_path / "spool").exists()


def test_a_sender_that_is_killed_is_started_again(
    server, tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(runs, "AGAIN", 0.5)
    settings = Settings(backend="server", uri=server.uri, patience=60.0)
    with tracking.start(settings, root=tmp_path, name="killed", tags={}) as run:
        for first in range(3):
            log(run, picture, first * POINTS)
            run.wait()
            log(run, picture, first * POINTS)  # again, as a training that goes on does
            os.kill(run._sender.pid, signal.SIGKILL)
            time.sleep(1)
    check(server, "killed", 3 * POINTS)
    assert capfd.readouterr().err == ""


def test_a_sender_whose_run_was_killed_as_it_began_ends_in_silence() -> None:
    ours, theirs = Pipe()
    ours.close()
    session.serve(theirs)


def test_a_killed_training_that_is_given_again_while_the_server_is_gone(
    server, between: Faulty, settings: Settings, tmp_path: Path, picture: Path
) -> None:
    identity = "c" * 32
    with (
        pytest.raises(SystemExit),
        tracking.start(settings, root=tmp_path, name="again", tags={}, identity=identity) as run,
    ):
        log(run, picture, 0)
        run.wait()
        between.mode = "500"
        log(run, picture, POINTS)
        before = time.monotonic()
        raise SystemExit(143)
    assert time.monotonic() - before < 10
    assert Spool(tmp_path / "spool" / identity).ended() == "KILLED"
    with tracking.start(settings, root=tmp_path, name="again", tags={}, identity=identity) as run:
        log(run, picture, POINTS)  # from the last checkpoint on
        log(run, picture, 2 * POINTS)
    between.mode = ""
    sync.sync([], settings, home=tmp_path, to="", watch=False)
    check(server, "again", 3 * POINTS)


def test_the_next_run_sends_what_is_left(server, between: Faulty, settings: Settings, tmp_path: Path, picture: Path) -> None:
    between.mode = "500"
    with tracking.start(settings, root=tmp_path, name="left", tags={}) as run:
        log(run, picture, 0)
    between.mode = ""
    with tracking.start(settings, root=tmp_path, name="next", tags={}) as run:
        deadline = time.monotonic() + 60
        while (tmp_path / "spool" / run._spool.folder.name).parent.exists() and len(list((tmp_path / "spool").glob("[!.]*"))) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    check(server, "left", POINTS)


@pytest.mark.parametrize("mode", ["500", "silent"])
def test_a_server_that_has_failed_one_stage_is_not_waited_for_by_the_next(
    mode: str, server, between: Faulty, settings: Settings, tmp_path: Path, picture: Path, capfd: pytest.CaptureFixture
) -> None:
    """One patience for the pipeline, not one a stage; what the later ones add is sent after the training."""
    between.mode, patient = mode, dataclasses.replace(settings, patience=8.0)
    with tracking.start(settings, root=tmp_path, name=f"stages {mode}", tags={}) as run:
        log(run, picture, 0)
    for stage in ("evaluate", "report"):
        with tracking.resume(patient, root=tmp_path, run_id=run.id, restore=lambda run: pytest.fail("it waits here")) as added:
            added.log_metrics({stage: 1.0})
            before = time.monotonic()
        assert time.monotonic() - before < 6
    said = capfd.readouterr().err
    assert said.count("has not got") == 3 and said.count("the work goes on") == (mode == "500")
    between.mode = ""
    sync.sync([], settings, home=tmp_path, to="", watch=False)
    assert check(server, f"stages {mode}", POINTS).data.metrics.keys() >= {"evaluate", "report"}
    assert not (tmp_path / "spool").exists()


def test_what_is_left_of_another_run_and_fails_ends_no_sender(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full disk, say: the run's own records are sent."""
    left = tmp_path / "spool" / ("f" * 32)
    with tracking.start(Settings(backend="offline"), root=tmp_path, name="left", tags={}, identity=left.name) as run:
        log(run, picture, 0)
    ours, theirs = Pipe()
    kept = Spool(tmp_path / "spool" / ("e" * 32))
    with tracking.start(Settings(backend="offline"), root=tmp_path, name="own", tags={}, identity=kept.folder.name):
        pass
    sender = session.Session(theirs, kept.folder, {"place": "there", "folder": str(tmp_path)})
    sent = []

    def deliver(sender: Sender) -> None:
        sent.append(sender.spool.folder.name)
        if sender.spool.folder == left:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sender, "deliver", deliver)
    assert sender.try_to_deliver() and sender.try_to_deliver()
    assert sent == [kept.folder.name, left.name, kept.folder.name] and not ours.poll()


def test_eight_runs_while_their_server_is_killed_and_started(server, tmp_path: Path, picture: Path) -> None:
    """FILTERLAB_OUTAGES=20 does it so often."""
    settings = Settings(backend="server", uri=server.uri, patience=120.0)
    with ExitStack() as stack:
        running = [
            stack.enter_context(tracking.start(settings, root=tmp_path, name=f"one of eight {number}", tags={}))
            for number in range(8)
        ]
        for outage in range(OUTAGES):
            for run in running:
                log(run, picture, outage * POINTS)
            server.stop(signal.SIGKILL)
            server.start()
    for number in range(8):
        check(server, f"one of eight {number}", OUTAGES * POINTS)
    assert not (tmp_path / "spool").exists()


def test_a_server_that_is_stopped_holds_nobody(server, tmp_path: Path, picture: Path) -> None:
    settings = Settings(backend="server", uri=server.uri, patience=1.0)
    with tracking.start(settings, root=tmp_path, name="stopped", tags={}) as run:
        run.wait()
        server.send(signal.SIGSTOP)
        try:
            log(run, picture, 0)
            before = time.monotonic()
            run._end("FINISHED", seconds=1.0)
            assert time.monotonic() - before < 10
        finally:
            server.send(signal.SIGCONT)
    sync.sync([], settings, home=tmp_path, to="", watch=False)
    check(server, "stopped", POINTS)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()


@pytest.mark.parametrize("spoil", [newer, lambda path: path.write_bytes(b"no database" * 500)], ids=["newer", "damaged"])
def test_a_local_store_that_cannot_be_used_ends_no_training(
    database: Path, tmp_path: Path, picture: Path, capfd: pytest.CaptureFixture, spoil: Callable[[Path], None]
) -> None:
    """One line says so, and one what is left; with the right store back, all of it is sent."""
    store = tmp_path / "mlflow.db"
    shutil.copyfile(database / "mlflow.db", store)
    sound = store.read_bytes()
    spoil(store)
    with tracking.start(Settings(patience=1.0), root=tmp_path, name="kept", tags={}) as run:
        log(run, picture, 0)
    said = capfd.readouterr().err
    assert f"the MLflow store {store} can't be used: " in said and said.count("can't be used") == 1
    assert f"the MLflow store {store} has not got " in said and "Traceback" not in said
    store.write_bytes(sound)
    sync.sync([], Settings(), home=tmp_path, to="", watch=False)
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    (found,) = client.search_runs([each.experiment_id for each in client.search_experiments()], "attributes.run_name = 'kept'")
    assert found.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(found.info.run_id, "loss")] == list(range(POINTS))
    assert not (tmp_path / "spool").exists()


def test_a_locked_local_store_is_not_waited_for(database: Path, tmp_path: Path, picture: Path) -> None:
    store = tmp_path / "mlflow.db"
    shutil.copyfile(database / "mlflow.db", store)
    with tracking.start(Settings(patience=1.0), root=tmp_path, name="locked", tags={}) as run:
        log(run, picture, 0)
        run.wait()
        with closing(sqlite3.connect(store, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            log(run, picture, POINTS)
            before = time.monotonic()
            run._end("FINISHED", seconds=1.0)
            assert time.monotonic() - before < 20, "SQLite itself waits for a minute"
    assert run.id


def test_ended_while_its_local_store_is_locked_a_run_says_what_is_left(
    database: Path, tmp_path: Path, picture: Path, capfd: pytest.CaptureFixture
) -> None:
    shutil.copyfile(database / "mlflow.db", tmp_path / "mlflow.db")
    with pytest.raises(SystemExit), tracking.start(Settings(), root=tmp_path, name="ended", tags={}) as run:
        run.wait()
        with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            log(run, picture, 0)
            try:
                raise SystemExit(143)
            finally:
                before = time.monotonic()
                run._end("KILLED", seconds=runs.HURRY, hurry=True)
                assert time.monotonic() - before < 6
    said = capfd.readouterr().err
    assert f"the MLflow store {tmp_path / 'mlflow.db'} has not got " in said and "they are being sent still" in said


@pytest.mark.parametrize("renewed", [True, False])
def test_a_local_store_that_was_deleted_under_a_run_gets_it_whole(
    database: Path, tmp_path: Path, picture: Path, renewed: bool, capfd: pytest.CaptureFixture
) -> None:
    """SQLite goes on writing to the deleted file: what it took since would be nowhere."""
    store = tmp_path / "mlflow.db"
    shutil.copyfile(database / "mlflow.db", store)
    with tracking.start(Settings(), root=tmp_path, name="kept", tags={}) as run:
        log(run, picture, 0)
        run.wait()
        store.unlink()
        if renewed:
            with tracking.start(Settings(), root=tmp_path, name="other", tags={}):
                pass
        log(run, picture, POINTS)
    if not renewed:
        assert "is not there any longer" in capfd.readouterr().err
        sync.sync([], Settings(), home=tmp_path, to="", watch=False)
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    (found,) = client.search_runs([each.experiment_id for each in client.search_experiments()], "attributes.run_name = 'kept'")
    assert found.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(found.info.run_id, "loss")] == list(range(2 * POINTS))
    assert not (tmp_path / "spool").exists()
