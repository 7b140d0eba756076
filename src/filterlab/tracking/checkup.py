"""What can be said of a store without mlflow, which takes seconds to import."""

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests

from filterlab.errors import TrackingError
from filterlab.tracking import database, process
from filterlab.tracking.store import ARTIFACTS, DATABASE

PATIENCE = 5.0  # seconds that a server may take to answer, and a database to let itself be read
RUNNING = "select run_uuid, name from runs where status = 'RUNNING' and lifecycle_stage = 'active' order by start_time"
KILL = "update runs set status = 'KILLED', end_time = ? where run_uuid = ? and status = 'RUNNING'"
KEPT = """
    select count(distinct run) from
    (select run_uuid as run from tags where key = 'mlflow.loggedImages' union select source_run_id from logged_models)
"""
MISPLACED = "move it away, or put the right one back"


@dataclass(frozen=True)
class Running:
    """A run that the store has as RUNNING."""

    id: str
    name: str
    tags: dict[str, str]


def check(folder: Path) -> str:
    """What a local store holds, in a few words. Raises TrackingError: it is damaged, another version's, or no store."""
    with _reading(folder) as connection:
        deadline = time.monotonic() + PATIENCE
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        try:
            said = [str(line) for (line,) in connection.execute("PRAGMA quick_check(3)")]
            whole = "whole"
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
                raise
            said, whole = ["ok"], f"whole as far as it could be read in {PATIENCE:.0f} s"
        connection.set_progress_handler(None, 0)
        if said != ["ok"]:
            raise TrackingError(f"{folder / DATABASE} is damaged ({'; '.join(' '.join(line.split()) for line in said)})")
        tables = {str(name) for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        if not tables >= {"runs", "experiments", "alembic_version"}:
            raise TrackingError(f"{folder / DATABASE} is no MLflow store, or one that is not whole: {MISPLACED}")
        (revision,) = connection.execute("select version_num from alembic_version").fetchone() or ("",)
        head, known = revisions()
        if revision != head:
            maker = "an older" if revision in known else "a newer, or another,"
            raise TrackingError(f"{folder / DATABASE} was made by {maker} MLflow: its schema is {revision}, and ours is {head}")
        (runs,) = connection.execute("select count(*) from runs where lifecycle_stage = 'active'").fetchone()
        (kept,) = connection.execute(KEPT).fetchone()
        moved = database.bases(connection, folder)
    if missing := [base for base in moved if not database.local(base).exists()]:
        return f"{whole}, {runs} runs; it names {', '.join(missing)} for its artifacts, and the next run mends that"
    if kept and not (folder / ARTIFACTS).exists():
        raise TrackingError(f"{folder / ARTIFACTS}, with the pictures and models of {kept} runs, is missing")
    return f"{whole}, {runs} runs"


def running(folder: Path) -> list[Running]:
    """The runs that a local store has as RUNNING, the oldest first. Raises TrackingError: it can't be read."""
    with _reading(folder) as connection:
        found = connection.execute(RUNNING).fetchall()
        tags = "select key, value from tags where run_uuid = ?"
        return [Running(run, name or "", dict(connection.execute(tags, (run,)).fetchall())) for run, name in found]


def mark_killed(folder: Path, run_id: str) -> None:
    """End a local store's run that is RUNNING, as KILLED. Raises TrackingError: it can't be written."""
    with database.opened(folder / DATABASE) as connection:
        connection.execute(KILL, (time.time_ns() // 1_000_000, run_id))


def ask(address: str) -> str:
    """The version of the MLflow server at that address. Raises TrackingError: it does not answer, or refuses."""
    return _get(address, "version").text.strip()


def running_at(address: str, experiment: str) -> list[Running]:
    """The runs of that experiment that a server has as RUNNING, at most a thousand. Raises TrackingError as `ask` does."""
    api = "api/2.0/mlflow"
    found = _get(address, f"{api}/experiments/search", json={"max_results": 1, "filter": f"name = '{experiment}'"}).json()
    ids = [each["experiment_id"] for each in found.get("experiments", [])]
    if not ids:
        return []
    wanted = {"experiment_ids": ids, "filter": "attributes.status = 'RUNNING'", "max_results": 1000}
    runs = _get(address, f"{api}/runs/search", json=wanted).json().get("runs", [])
    tags = [{tag["key"]: tag["value"] for tag in run.get("data", {}).get("tags", [])} for run in runs]
    return [Running(run["info"]["run_id"], run["info"].get("run_name", ""), own) for run, own in zip(runs, tags, strict=True)]


def gone(runs: Sequence[Running]) -> list[Running]:
    """Those of the runs whose process has ended; not those of which that can't be known from here."""
    ours = [run for run in runs if process.HOST in run.tags]
    return [run for run, alive in zip(ours, process.alive([run.tags for run in ours]), strict=True) if not alive]


def revisions() -> tuple[str, set[str]]:
    """The revision of the schema that the MLflow here makes, and all that it knows: as its migrations name them."""
    spec = find_spec("mlflow")  # which does not import it
    scripts = Path(str(spec.origin if spec else "")).parent / "store/db_migrations/versions"
    texts = [path.read_text(encoding="utf-8") for path in scripts.glob("*.py")]
    own = {name for text in texts for name in re.findall(r"^revision\b[^=]*=\s*[\"'](\w+)", text, re.MULTILINE)}
    before = {
        name
        for text in texts
        for line in re.findall(r"^down_revision\b[^=]*=(.*)$", text, re.MULTILINE)
        for name in re.findall(r"\w{6,}", line)
    }
    heads = own - before
    if len(heads) != 1:
        raise TrackingError(f"the MLflow that is installed names {len(heads)} newest revisions of its schema, expected one")
    return heads.pop(), own


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / DATABASE
    with database.blaming(path), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
        yield connection


def _get(address: str, path: str, json: Any = None) -> requests.Response:
    name, password = (os.environ.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token and not name else {}
    try:
        answer = requests.request(
            "GET" if json is None else "POST",
            f"{address.rstrip('/')}/{path}",
            json=json,
            auth=(name, password) if name else None,
            headers=headers,
            timeout=PATIENCE,
        )
    except requests.RequestException as error:
        why = next((cause.strerror for cause in database.causes(error) if isinstance(cause, OSError) and cause.strerror), "")
        raise TrackingError(f"the MLflow store {address} does not answer ({why or 'no answer in time'})") from None
    if answer.status_code in (401, 403):
        raise TrackingError(f"the MLflow store {address} refuses us: {answer.status_code} {answer.reason}")
    if not answer.ok:
        raise TrackingError(f"the MLflow store {address} answers {answer.status_code} {answer.reason} to /{path}")
    return answer
