"""The MLflow store of a repository: a server, or a SQLite file at the root; the same however a run was started."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from filterlab import repository
from filterlab.errors import TrackingError

IDENTITY = "filterlab.id"  # the tag of the id that a training has from its first record to its last
DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"  # of a local store, in its folder
ERROR = "filterlab.error"  # the tag of what a run FAILED of
RESTORED = "filterlab.restored_from"  # the tag of a run made anew from results/: the id of the one that trained, or its models'
MODELS = "filterlab.models"  # the tag of a pipeline's training: the MD5 of the models/ that it made
FIND = """
    select experiment_id, run_uuid from runs
    where lifecycle_stage = 'active' and (
        run_uuid = :id
        or run_uuid in (select run_uuid from tags where key = :identity and value = :id)
        or status = 'FINISHED' and run_uuid in (select run_uuid from tags where key in (:restored, :models) and value = :id)
    )
    order by run_uuid != :id, rowid desc
"""


class Settings(Protocol):
    """Settings of tracking; schema.Tracking has them."""

    backend: str
    uri: str
    experiment: str
    system_metrics: bool
    require: bool
    patience: float


@dataclass(frozen=True)
class Store:
    """A server's address, or the folder of a local store: one of the two, the other is empty or None."""

    address: str
    folder: Path | None

    @property
    def uri(self) -> str:
        """As MLflow takes it: a local store's counts from its folder, to be the working directory.

        No URL names the folder: SQLAlchemy would quote it, and MLflow make the folder of the quoted name beside it.
        """
        return f"sqlite:///{DATABASE}" if self.folder else self.address

    def __str__(self) -> str:
        return str(self.folder / DATABASE) if self.folder else self.address


def locate(settings: Settings, *, root: Path) -> Store:
    """The store of these settings; `root` is the repository's, whichever copy of it DVC runs in.

    Raises:
        TrackingError: a server is asked for and none is named, or with a password in its URL; the local store's folder has a
            name that MLflow can't read back.
    """
    if settings.backend == "server":
        address = settings.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not address:
            raise TrackingError(
                "tracking is `server`, but no server is named: set MLFLOW_TRACKING_URI=http://host:port, "
                "or tracking.uri in params.yaml's override, or choose `tracking: local`"
            )
        if urlsplit(address).password:
            raise TrackingError(
                "the tracking server's URL holds a password, which would stand in files, logs and on screens: "
                "put name and password into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and the URL without them"
            )
        return Store(address=address, folder=None)
    folder = repository.home(root)
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise TrackingError(
            f"the folder {os.fsencode(folder)!r} has a name that is not UTF-8, which MLflow can't keep: rename it"
        ) from None
    return Store(address="", folder=folder)


def find(store: Store, run_id: str) -> tuple[str, str] | None:
    """The ids of the experiment and of the run that a local store has for `run_id`; None where it has none.

    run_id: a run's own id, its identity, the one it was restored from, or the MD5 of the models/ it trained, of which the last
        run counts.

    Asked of SQLite alone, read-only: MLflow would take seconds.
    """
    assert store.folder, "a server can only be asked through MLflow"
    database = store.folder / DATABASE
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(
                FIND, {"id": run_id, "identity": IDENTITY, "restored": RESTORED, "models": MODELS}
            ).fetchone()
    except sqlite3.Error:  # no file, no tables, no database: who writes to it says what is wrong
        return None
    return (str(found[0]), str(found[1])) if found else None


def find_model(store: Store, run: str) -> str:
    """Where a local store has the model of a run of this id of MLflow's: a URI that load_model takes; empty where it has none."""
    assert store.folder, "a server can only be asked through MLflow"
    asked = "SELECT artifact_location FROM logged_models WHERE source_run_id = ? AND status = 2 AND lifecycle_stage = 'active'"
    try:
        with closing(sqlite3.connect(f"{(store.folder / DATABASE).as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(asked, [run]).fetchone()
    except sqlite3.Error:
        return ""
    return str(found[0]) if found else ""
