"""docs/storage.md, command by command as it is printed: what an author shares, a colleague has without training.

The folder and the server are the test's own; the tests build on each other, in order.
"""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import boto3
import printed
import pytest

from filterlab import tracking
from filterlab.config import compose

PAGE = "docs/storage.md"
SHARE, PULL, CLOUD = 0, 1, 2  # its blocks
PLACES = {"folder": "/mnt/team/filterlab", "server": "https://minio.example:9000"}


@pytest.fixture(scope="module")
def author(make_clone: Any) -> Any:
    author = make_clone()
    author.run("make", "pipeline")
    return author


pytestmark = pytest.mark.usefixtures("python")


def do(project: Any, block: int | None, **places: str) -> str:
    """What a block prints; `places` are the reader's own."""
    texts = [command.text for command in printed.fresh(PAGE) if command.block == block]
    for place, own in places.items():
        texts = [text.replace(PLACES[place], own) for text in texts]
    return run(project, texts)


def run(project: Any, texts: list[str]) -> str:
    return "".join(project.run("bash", "-euo", "pipefail", "-c", text) for text in texts)


def colleague(author: Any, make_clone: Any) -> Any:
    """A clone of what was pushed to the author's Git remote."""
    clone = make_clone()
    clone.run("git", "remote", "set-url", "origin", author.run("git", "remote", "get-url", "origin").strip())
    clone.run("git", "fetch", "--quiet")
    clone.run("git", "reset", "--quiet", "--hard", "origin/main")
    clone.run("git", "clean", "--quiet", "-df")
    assert not (clone.root / "models").exists()
    return clone


def check(author: Any, clone: Any) -> str:
    """Gives what the block prints: nothing of it trained."""
    said = do(clone, PULL)
    assert clone.ran(said) == [], said
    for path in ["models/model.safetensors", "results/report.html", "results/run.json"]:
        assert (clone.root / path).read_bytes() == (author.root / path).read_bytes()
    dry = clone.run("dvc", "repro", "--dry")
    assert clone.ran(dry) == [] and "Data and pipelines are up to date" in dry
    assert clone.run("git", "status", "--porcelain") == ""
    return said


def test_every_command_of_the_page_is_run_here() -> None:
    """In its blocks; and in running text the address of a server of one's own."""
    blocks = {command.block for command in printed.fresh(PAGE)}
    assert blocks == {SHARE, PULL, CLOUD, None}
    (said,) = [command.text for command in printed.fresh(PAGE) if command.block is None]
    assert said == f"dvc remote modify cloud endpointurl {PLACES['server']}"


def test_a_folder(author: Any, make_clone: Any, tmp_path: Path) -> None:
    do(author, SHARE, folder=str(tmp_path / "shelf"))
    clone = colleague(author, make_clone)
    # nothing is rerun, and yet the run is there for the UI, beside those that the colleague has already
    settings = compose.compose(clone.root / "conf", ["tracking.system_metrics=false"]).tracking
    with tracking.start(settings, root=clone.root, name="the colleague's own", tags={}) as own:
        own.wait()
    said = check(author, clone)
    trained = json.loads((author.root / "results/run.json").read_text())["run_id"]
    with sqlite3.connect(clone.root / "mlflow.db") as store:
        restored = store.execute("select run_uuid, value from tags where key = 'filterlab.restored_from'").fetchall()
        assert [value for _, value in restored] == [trained]
        ((run_id, _),) = restored
        assert f"/runs/{run_id}?workflowType=machine_learning" in said
        assert set(store.execute("select run_uuid, status from runs")) == {(run_id, "FINISHED"), (own.id, "FINISHED")}
        metrics = dict(store.execute("select key, value from latest_metrics where run_uuid = ?", [run_id]))
    with sqlite3.connect(author.root / "mlflow.db") as store:
        original = dict(store.execute("select key, value from latest_metrics where key like 'test/%' or key like '%/accuracy'"))
    assert {name: metrics[name] for name in original} == original
    assert run_id in clone.run("filterlab", "pipeline"), "the second time it is the same run"
    assert run_id in clone.run("filterlab", "lineage")


def test_what_nobody_committed_of_the_run_is_not_needed(author: Any, make_clone: Any) -> None:
    """A model that came without results/run.json has a run all the same, under the model's own name."""
    clone = colleague(author, make_clone)
    (clone.root / "results/run.json").unlink()
    said = do(clone, PULL)
    assert clone.ran(said) == [], said
    with sqlite3.connect(clone.root / "mlflow.db") as store:
        ((run_id, status),) = store.execute("select run_uuid, status from runs").fetchall()
    assert status == "FINISHED" and f"/runs/{run_id}?workflowType=machine_learning" in said


def test_s3(author: Any, make_clone: Any, s3: str) -> None:
    keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "secret"}
    author.environment.update({name.upper(): text for name, text in keys.items()})
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **keys)
    (bucket,) = re.findall(r"s3://([^/]+)/", " ".join(command.text for command in printed.fresh(PAGE)))
    client.create_bucket(Bucket=bucket)
    said = [command.text for command in printed.fresh(PAGE) if command.block == CLOUD]
    (push,) = [place for place, text in enumerate(said) if text.startswith("dvc push")]
    run(author, said[:push])
    do(author, None, server=s3)  # "for servers of your own, name the address"
    run(author, said[push:])
    clone = colleague(author, make_clone)
    clone.environment.update({name.upper(): text for name, text in keys.items()})
    check(author, clone)
