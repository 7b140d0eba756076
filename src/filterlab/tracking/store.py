"""Where the history lives: one store, however a run was started."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from filterlab.errors import TrackingError

RESTORED = "filterlab.restored_from"  # the tag of a run made anew from results/: the id of the one that trained, or its models'
MODELS = "filterlab.models"  # the tag of a pipeline's training: the MD5 of the models/ that it made
FIND = """
    select run_uuid from runs
    where lifecycle_stage = 'active' and (
        run_uuid = :id
        or status = 'FINISHED' and run_uuid in (select run_uuid from tags where key in (:restored, :models) and value = :id)
    )
    order by run_uuid != :id, rowid desc
"""


class Settings(Protocol):
    """What tracking is told; schema.Tracking fits."""

    backend: str
    uri: str
    experiment: str
    system_metrics: bool


@dataclass(frozen=True)
class Store:
    """uri: of the tracking store; artifacts: root of a local store's artifacts, None where a server keeps them."""

    uri: str
    artifacts: Path | None


def locate(settings: Settings, *, root: Path) -> Store:
    """The store of these settings; `root` is the repository's, whichever copy of it DVC runs in.

    DVC runs queued and temporary experiments in a copy below .dvc/tmp that it deletes afterwards, and names the
    original repository in DVC_ROOT: the history belongs there.

    Raises:
        TrackingError: a server is asked for and none is named, or with a password in its URL.
    """
    if settings.backend == "server":
        uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise TrackingError(
                "tracking is `server`, but no server is named: set MLFLOW_TRACKING_URI=http://host:port, "
                "or tracking.uri in the order's override, or choose `tracking: local`"
            )
        if urlsplit(uri).password:
            raise TrackingError(
                "the tracking server's URL holds a password, which would stand in files, logs and on screens: "
                "put name and password into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and the URL without them"
            )
        return Store(uri=uri, artifacts=None)
    home = Path(os.environ.get("DVC_ROOT") or root).resolve()
    return Store(uri=f"sqlite:///{home / 'mlflow.db'}", artifacts=home / "mlartifacts")


def find(store: Store, run_id: str) -> str:
    """The id of the run that a local store has for `run_id`; empty where it has none.

    run_id: a run's own id, the one it was restored from, or the MD5 of the models/ it trained, of which the last run counts.


    Asked of SQLite alone, read-only: MLflow would take seconds.
    """
    assert store.artifacts, "a server can only be asked through MLflow"
    database = store.artifacts.with_name("mlflow.db")
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(FIND, {"id": run_id, "restored": RESTORED, "models": MODELS}).fetchone()
    except sqlite3.Error:  # no file, no tables, no database: who writes to it says what is wrong
        return ""
    return str(found[0]) if found else ""
