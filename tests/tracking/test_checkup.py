"""What is said of a store without mlflow is what mlflow says of it."""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.tracking import checkup, database, process


def test_the_schema_is_mlflows_own() -> None:
    head, known = checkup.revisions()
    assert (head, known) == (database.schema().revision, database.schema().known)


def test_runs_that_run(store: tuple[Settings, Path, str]) -> None:
    """On either store; and those of them whose process is gone."""
    settings, root, _ = store

    def running() -> list[checkup.Running]:
        found = checkup.running_at(settings.uri, settings.experiment) if settings.uri else checkup.running(root)
        return [run for run in found if run.name.startswith("checked")]

    dead = {process.HOST: socket.gethostname(), process.PROCESS: f"{os.getpid()} 1.00", process.JOB: ""}
    with tracking.start(settings, root=root, name="checked", tags=process.tags()) as alive:
        with tracking.start(settings, root=root, name="checked dead", tags=dead) as left:
            for run in (alive, left):
                run.wait()
            assert {run.id: run.name for run in running()} == {alive.id: "checked", left.id: "checked dead"}
            assert [run.id for run in checkup.gone(running())] == [left.id]
        assert [run.id for run in running()] == [alive.id]
    assert running() == []


def test_a_run_is_killed_once(database: Path) -> None:
    """One that has ended meanwhile stays as it ended."""
    with tracking.start(Settings(), root=database, name="ends", tags={}) as run:
        run.wait()
        identity = run.id
    checkup.mark_killed(database, identity)
    with closing(sqlite3.connect(database / "mlflow.db")) as store:
        assert store.execute("select status from runs where run_uuid = ?", (identity,)).fetchall() == [("FINISHED",)]


def test_a_store_that_is_whole_or_not(database: Path, tmp_path: Path) -> None:
    assert checkup.check(database).startswith("whole, ")
    content = (database / "mlflow.db").read_bytes()
    page = int.from_bytes(content[16:18], "big")
    half = bytearray(content)
    for number in range(3, len(content) // page):  # each page's first byte says what kind it is
        half[number * page] ^= 0xFF
    (tmp_path / "mlflow.db").write_bytes(half)
    with pytest.raises(TrackingError, match="damaged"):
        checkup.check(tmp_path)


def test_a_server_answers(server: Any) -> None:
    from mlflow.version import VERSION

    assert checkup.ask(server.uri) == VERSION
    assert checkup.running_at(server.uri, "no such experiment") == []
    with pytest.raises(TrackingError, match="answers 404"):
        checkup.ask(f"{server.uri}/elsewhere")


def test_a_server_that_does_not(unused_port: int, silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrackingError, match="does not answer \\(Connection refused\\)"):
        checkup.ask(f"http://127.0.0.1:{unused_port}")
    monkeypatch.setattr(checkup, "PATIENCE", 0.2)
    with pytest.raises(TrackingError, match="does not answer \\(no answer in time\\)"):
        checkup.ask(f"http://127.0.0.1:{silent_port}")
