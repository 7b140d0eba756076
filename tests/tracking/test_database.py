"""The file of a local store: made whole or not at all, and told in one sentence where it can't be used, before work starts."""

import errno
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from mlflow.entities import Param
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.tracking import database as databases
from filterlab.tracking.client import Client, message

NOBODY = 65534
MLFLOW = Path(sys.executable).with_name("mlflow")


@pytest.fixture(autouse=True)
def _no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)


def forked(work: Callable[[], None]) -> int:
    """Do it in a process of its own, and give its wait status; what it raises is printed."""
    if (child := os.fork()) == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def make(folder: Path) -> None:
    os.chdir(folder)
    databases.prepare(folder, writing=True)


def make_as_before(folder: Path) -> None:
    """As versions of ours did that let MLflow make its tables in the very file."""
    SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", str(folder))


def killed(making: Callable[[Path], None], folder: Path, *, at: int) -> None:
    """Kill it before its `at`-th statement that changes the schema."""
    seen = 0

    def count(connection: object, cursor: object, statement: str, *_: object) -> None:
        nonlocal seen
        seen += statement.lstrip().upper().startswith(("CREATE", "ALTER", "UPDATE ALEMBIC"))
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", count)
        making(folder)

    assert forked(work) == signal.SIGKILL, "it was made before it could be killed"


def record(folder: Path) -> str:
    with tracking.start(Settings(), root=folder, name="n", tags={}) as run:
        run.wait()
    return run.id


def runs(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return [run for (run,) in connection.execute("SELECT run_uuid FROM runs")]


@pytest.mark.parametrize("making", [make, make_as_before])
def test_a_store_whose_making_was_killed_is_made_by_the_next_run(making: Callable, tmp_path: Path) -> None:
    for at in (1, 3, 60) if making is make_as_before else (2, 60):
        killed(making, tmp_path, at=at)
        if making is make:
            assert not (tmp_path / "mlflow.db").exists(), "it is there when it is whole"
        else:
            assert not databases.usable(tmp_path / "mlflow.db", writing=True)
    (tmp_path / "mlflow.db-journal").write_bytes(b"of a file that is gone")
    run_id = record(tmp_path)
    assert runs(tmp_path) == [run_id]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        with pytest.raises(
            TrackingError, match=rf"^the MLflow store {tmp_path}/mlflow\.db can't be used: .*the disk may be full"
        ):
            make(tmp_path)

    assert forked(work) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]
    assert forked(lambda: make(tmp_path)) == 0
    assert databases.usable(tmp_path / "mlflow.db", writing=True)


def revision(path: Path, said: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [said])
        connection.commit()


def older(path: Path) -> None:
    revision(path, "451aebb31d03")


def newer(path: Path) -> None:
    revision(path, "ffffffffffff")


def half_made_with_runs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE logged_models")


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (name)")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database, but it is long enough to be taken for one" * 100)


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200_000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            older,
            r"made by an older MLflow: copy it, as a backup, and then `cd \S+ && \S+/mlflow db upgrade sqlite:///mlflow\.db`",
        ),
        (newer, r"its schema \(ffffffffffff\) is none that this MLflow knows: a newer one made it"),
        (half_made_with_runs, "it is not whole: put it back from a backup, or move it away and a new one is made"),
        (of_another_program, r"is no MLflow store: it has the tables songs; move it away"),
        (a_folder, "it is a folder; move it away"),
        (no_database, "the file is no database: put the right one back, or move it away"),
        (torn, "the file is damaged: put it back from a backup, or move it away"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(spoil: Callable, said: str, database: Path, tmp_path: Path) -> None:
    shutil.copyfile(database / "mlflow.db", path := tmp_path / "mlflow.db")
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(TrackingError, match=said) as raised:
        databases.prepare(tmp_path, writing=True)
    assert str(raised.value).count("\n") == 0 and str(path) in str(raised.value)
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_a_locked_store_is_waited_for_and_then_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "PATIENCE", 0.2)
    with closing(sqlite3.connect(database / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match=r"mlflow\.db can't be used: another program has it locked"):
            databases.prepare(database, writing=True)


def test_looking_leaves_no_trace(database: Path) -> None:
    path = database / "mlflow.db"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    assert databases.usable(path, writing=True)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def opened(folder: Path, *, writing: bool = True) -> Client:
    """As a sender does before anything is sent."""
    place = {"place": str(folder / "mlflow.db"), "uri": "sqlite:///mlflow.db", "folder": str(folder)}
    return Client(**place, experiment="test", writing=writing)


@pytest.mark.skipif(os.getuid() != 0, reason="another user's file takes another user")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o755, 0o644), (0o755, 0o666), (0o777, 0o644)])
def test_a_store_that_is_another_users_can_be_read_and_is_said_not_to_be_written(
    database: Path, folder_mode: int, file_mode: int
) -> None:
    # pytest's folders are its user's alone
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copyfile(database / "mlflow.db", folder / "mlflow.db")
        databases.relocate(folder)
        assert forked(lambda: opened(folder) and None) == 0  # its experiment is there, whatever ran before
        (folder / "mlflow.db").chmod(file_mode)
        folder.chmod(folder_mode)

        def work() -> None:
            os.setuid(NOBODY)
            opened(folder, writing=False)
            with pytest.raises(TrackingError) as raised:
                opened(folder)
            assert str(raised.value) == (
                f"the MLflow store {folder}/mlflow.db can't be used: it can be read but not written: "
                "it, or its folder, is another user's or is read-only"
            )

        assert forked(work) == 0


@pytest.mark.skipif(os.getuid() != 0, reason="another user's folder takes another user")
def test_a_folder_in_which_no_store_can_be_made_is_named() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)

        def work() -> None:
            os.setuid(NOBODY)
            with pytest.raises(TrackingError) as raised:
                opened(folder)
            assert str(raised.value) == (
                f"the MLflow store {folder}/mlflow.db can't be used: Permission denied: {folder}/mlflow.db.lock"
            )

        assert forked(work) == 0


def test_of_a_copy_that_fails_the_place_is_named_that_it_was_for() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/picture.png", None, "mlartifacts/picture.png")
    assert databases.meaning(full) == "No space left on device: mlartifacts/picture.png"


def test_what_fails_later_is_said_without_statements_and_tracebacks(database: Path, tmp_path: Path) -> None:
    shutil.copyfile(database / "mlflow.db", tmp_path / "mlflow.db")

    def work() -> None:
        store = opened(tmp_path)
        client = store.mlflow
        run_id = client.create_run(store.experiment).info.run_id
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
            connection.execute("DROP TABLE params")
        with pytest.raises(Exception, match="SQL: ") as raised:
            client.log_batch(run_id, params=[Param("a", "b")])
        assert (
            message(raised.value, place=f"{tmp_path}/mlflow.db", folder=str(tmp_path))
            == f"the MLflow store {tmp_path}/mlflow.db failed: no such table: params"
        )

    assert forked(work) == 0


def test_a_deleted_experiment_is_named_with_the_command_that_brings_it_back(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    shutil.copyfile(database / "mlflow.db", folder / "mlflow.db")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'test'")
        connection.commit()
    with pytest.raises(TrackingError) as raised:
        record(folder)
    said = re.fullmatch(
        rf"the experiment `test` of the MLflow store {folder}/mlflow\.db was deleted: bring it back with `(.*)`, "
        r"or log into another one with tracking\.experiment=NAME",
        str(raised.value),
    )
    assert said and said[1] == (
        f"cd '{folder}' && MLFLOW_TRACKING_URI=sqlite:///mlflow.db {MLFLOW} experiments restore --experiment-id 1"
    )
    subprocess.run(said[1], shell=True, check=True, capture_output=True)
    assert record(folder) in runs(folder)
