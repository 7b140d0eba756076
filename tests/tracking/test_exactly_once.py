"""A sender that is killed at any moment is followed by another: the store holds each thing once, with its own time and step."""

import hashlib
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contents import contents
from mlflow import MlflowClient
from PIL import Image
from sqlalchemy import URL
from tracking_settings import Settings

from filterlab import tracking
from filterlab.tracking.sender import Sender
from filterlab.tracking.session import mark_killed
from filterlab.tracking.spool import Spool

KILLS = int(os.environ.get("FILTERLAB_KILLS", "8"))
CALLS = [name for name in vars(MlflowClient) if not name.startswith("_") and callable(getattr(MlflowClient, name))]
FILES = ["replace", "rename", "unlink", "rmdir", "mkdir"]  # of os and of Path


class Killed(BaseException):
    """As SIGKILL leaves things."""


def training(root: Path) -> Spool:
    """All that a run can be told, by two processes of which the first was killed."""
    (root / "models").mkdir()
    (root / "models/model.safetensors").write_bytes(b"weights")
    loader = {"loader.py": b"import numpy\ndef _load_pyfunc(path): raise AssertionError\n"}
    Image.new("RGB", (4, 4), "red").save(root / "picture.png")
    example = np.zeros((2, 1, 8, 8), np.float32)
    settings, identity = Settings(backend="offline"), "a" * 32
    for last in (2, 4):
        with tracking.start(settings, root=root, name="short", tags={"try": "1"}, identity=identity, parent="b" * 32) as run:
            run.log_params({"seed": 0, "model.name": "cnn"})
            run.log_dataset(name="noise", digest="d" * 64, source="data/raw/noise", context="training", profile={"train": 9})
            for step in range(1, last):
                run.log_metrics({"loss": 1 / step, "odd": float("nan")}, step=step)
                run.log_image("first/layer", root / "picture.png", step=step)
            if last == 4:
                run.log_table("trials.json", {"seed": ["1"], "accuracy": [0.5]})
                run.log_child("point", params={"n": 3}, metrics={"accuracy": 0.5}, curves={"loss": [2.0, 1.0]}, tags={"a": "b"})
                given = {"loader": "loader", "code": loader, "example": example, "output": example}
                digest = hashlib.sha256(b"weights").hexdigest()
                run.log_model(root / "models", digests={"model.safetensors": digest}, requirements=["numpy"], **given)
                run.log_artifact(root / "models")
    with tracking.start(settings, root=root, name="the sweep", tags={"kind": "sweep"}, identity="b" * 32) as parent:
        parent.log_metrics({"best": 0.5})
    with tracking.resume(settings, root=root, run_id=identity, restore=lambda run: run.log_params({"never": "sent"})) as later:
        later.log_metrics({"test/accuracy": 0.25})
    return Spool(root / "spool" / identity)


@pytest.fixture(scope="module")
def spools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spools")
    training(root)
    return root / "spool"


@pytest.fixture
def make_store(database: Path, spools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Copies of an empty store and of the spools."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    numbers = itertools.count()

    def make() -> Path:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        shutil.copyfile(database / "mlflow.db", root / "mlflow.db")
        shutil.copytree(spools, root / "spool")
        monkeypatch.chdir(root)
        return root

    return make


def sender_of(root: Path, kept: Path) -> Sender:
    uri = URL.create("sqlite", database=str(root / "mlflow.db")).render_as_string()
    return Sender(
        kept, {"place": str(root / "mlflow.db"), "uri": uri, "folder": str(root), "experiment": "sent", "writing": True}
    )


def deliver(root: Path) -> None:
    """What `filterlab sync` does, in this process."""
    for kept in sorted((path.parent for path in root.glob("spool/[!.]*/records")), key=lambda folder: "." in folder.name):
        mark_killed(Spool(kept))
        sender = sender_of(root, kept)
        with sender.spool.held("sender"):
            sender.deliver()
            sender.remove_if_done()


def held_by(root: Path) -> list[dict[str, Any]]:
    uri = URL.create("sqlite", database=str(root / "mlflow.db")).render_as_string()
    return contents(MlflowClient(uri), "sent", root / "scratch")


@contextmanager
def counted(patch: pytest.MonkeyPatch, *, kill: int, after: bool) -> Iterator[list[str]]:
    """The calls of MLflow's client, and to move and remove files; the one of that number is the last thing that happens."""
    calls: list[str] = []

    def count(name: str, method: Callable) -> Callable:
        def counting(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) - 1 != kill:
                return method(*args, **kwargs)
            if after:
                method(*args, **kwargs)
            raise Killed

        return counting

    with patch.context() as patched:
        for name in CALLS:
            patched.setattr(MlflowClient, name, count(name, getattr(MlflowClient, name)))
        for name in FILES:
            patched.setattr(os, name, count(f"os.{name}", getattr(os, name)))
        yield calls


def test_at_every_call(make_store: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_store()
    with counted(monkeypatch, kill=-1, after=False) as calls:
        deliver(root)
    whole = held_by(root)
    check(whole)
    assert not (root / "spool").exists() and len(calls) > 60, calls
    draw = random.Random(0)
    moments = list(itertools.product(range(len(calls)), (False, True)))
    for kill, after in draw.sample(moments, min(KILLS, len(moments))):
        root = make_store()
        # How far it is is noted once a second, so that a few calls may be missing: then nothing is killed.
        with counted(monkeypatch, kill=kill, after=after) as until, suppress(Killed):
            deliver(root)
        deliver(root)
        assert held_by(root) == whole, (kill, after, until[-1])
        assert not (root / "spool").exists() or not list((root / "spool").glob("[!.]*"))


def check(runs: list[dict[str, Any]]) -> None:
    """What was logged, and nothing else."""
    sweep, point, short = runs
    assert (sweep["name"], sweep["status"], list(sweep["metrics"])) == ("the sweep", "FINISHED", ["best"])
    assert (short["name"], short["parent"], point["parent"]) == ("short", "b" * 32, "a" * 32)
    assert short["params"] == {"seed": "0", "model.name": "cnn"}
    steps = {name: [step for step, _, _ in points] for name, points in short["metrics"].items()}
    assert steps == {"loss": [1, 2, 3], "odd": [1, 2, 3], "test/accuracy": [0]}
    assert [state for _, state, _ in short["models"]] == ["READY"] and short["outputs"] == 1
    assert [step for path, _ in short["artifacts"] if path.endswith(".png") for step in [path.split("+")[2]]] == ["1", "2", "3"]
    assert [data[0] for data in short["data"]] == ["noise"]
    assert (point["status"], len(point["metrics"]["loss"])) == ("FINISHED", 2)


def test_sent_again_nothing_changes(make_store: Callable[[], Path], spools: Path) -> None:
    """From a copy, by one who knows nothing of the first sending."""
    root = make_store()
    deliver(root)
    whole = held_by(root)
    shutil.copytree(spools, root / "spool")
    deliver(root)
    assert held_by(root) == whole


def test_a_sender_that_finds_all_sent_knows_the_run(make_store: Callable[[], Path]) -> None:
    """One that a killed process left behind may have sent the records of the process after it as well."""
    root = make_store()
    deliver(root)
    late = sender_of(root, root / "spool" / ("a" * 32))
    with late.spool.held("sender"):
        late.deliver()
    (run,) = MlflowClient(late.opened["uri"]).search_runs([late.sent.experiment], "tags.`filterlab.id` = '" + "a" * 32 + "'")
    assert late.sent.run == run.info.run_id
    assert not (root / "spool").exists()


def test_a_run_that_one_below_it_made_in_the_same_moment_has_its_own_name_and_tags(
    make_store: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_store()
    create = MlflowClient.create_run

    def create_after_another(client: MlflowClient, experiment: str, **how: Any) -> Any:
        monkeypatch.setattr(MlflowClient, "create_run", create)
        create(client, experiment, tags={"filterlab.id": "b" * 32})
        return create(client, experiment, **how)

    monkeypatch.setattr(MlflowClient, "create_run", create_after_another)
    sender = sender_of(root, root / "spool" / ("b" * 32))
    with sender.spool.held("sender"):
        sender.deliver()
    (run,) = MlflowClient(sender.opened["uri"]).search_runs([sender.sent.experiment])
    assert (run.info.run_name, run.data.tags["kind"], run.data.metrics) == ("the sweep", "sweep", {"best": 0.5})
