"""Which runs a local store has, asked of SQLite alone: against stores that MLflow has made."""

import sqlite3
from pathlib import Path

import mlflow
import pytest
from tracking_settings import Settings

from filterlab import tracking
from filterlab.tracking.store import MODELS, Store, find, locate


@pytest.fixture
def store(database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return locate(Settings(), root=database)


def test_a_run_is_found_under_its_id_and_that_of_the_one_it_was_restored_from(store: Store, database: Path) -> None:
    trained = "0123456789abcdef"
    assert find(store, trained) is None
    with tracking.resume(Settings(), root=database, run_id=trained, restore=lambda run: run.set_tags({"other": "cafe"})) as run:
        run.wait()
    experiment = mlflow.MlflowClient(f"sqlite:///{database / 'mlflow.db'}").get_run(run.id).info.experiment_id
    assert find(store, trained) == find(store, run.id) == (experiment, run.id)
    assert run.id != trained
    assert find(store, "cafe") is find(store, "") is None, "no other tag stands for a run"
    for name in ("first", "second"):
        with tracking.start(Settings(), root=database, name=name, tags={MODELS: "feed"}) as training:
            training.wait()
            assert find(store, "feed") != (experiment, training.id), "it has not trained them yet"
    assert find(store, "feed") == (experiment, training.id), "the last that trained these models"
    with tracking.resume(Settings(), root=database, run_id="feed", restore=lambda run: pytest.fail("it is known")) as again:
        again.wait()
    assert again.id == training.id
    client = mlflow.MlflowClient(f"sqlite:///{database / 'mlflow.db'}")
    client.delete_run(run.id)
    assert find(store, trained) is find(store, run.id) is None, "what was deleted is not shown"
    client.restore_run(run.id)
    assert find(store, run.id) == (experiment, run.id)


def test_where_there_is_no_store_nothing_is_found_and_nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root = tmp_path / "a b?c#d%20"  # what an address of SQLite's has to quote
    root.mkdir()
    store = locate(Settings(), root=root)
    assert find(store, "abc") is None and list(root.iterdir()) == []
    database = root / "mlflow.db"
    for content in (b"", b"no database " * 100):
        database.write_bytes(content)
        assert find(store, "abc") is None and database.read_bytes() == content
    database.unlink()
    with sqlite3.connect(database) as made:
        made.execute("create table runs (run_uuid, experiment_id, status, lifecycle_stage)")
        made.execute("create table tags (run_uuid, key, value)")
        made.execute("insert into runs values ('abc', 1, 'RUNNING', 'active')")
    assert find(store, "abc") == ("1", "abc")
