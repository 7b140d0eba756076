"""Reader: what a store, and the spools that it has not got yet, know of runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filterlab import files, seal
from filterlab.errors import TrackingError
from filterlab.repository import home
from filterlab.tracking import spool
from filterlab.tracking.senders import Asked
from filterlab.tracking.spool import Spool
from filterlab.tracking.store import DATABASE, IDENTITY, Settings, Store, locate


@dataclass(frozen=True)
class Found:
    """A run as the store, or a spool, has it.

    Attributes:
        id: MLflow's; its identity, where it is in a spool alone.
        status: MLflow's: RUNNING, FINISHED, FAILED, KILLED, SCHEDULED.
        started, ended: milliseconds since 1970, UTC; ended is None while it runs.
        metrics: the last value of each.
    """

    id: str
    name: str
    status: str
    started: int
    ended: int | None
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


@dataclass(frozen=True)
class Waiting:
    """A run in a spool.

    Attributes:
        artifacts: files by their path in the run.
        model: files of its model by name.
        history: its metrics by name and step.
    """

    found: Found
    artifacts: dict[str, Path] = field(default_factory=dict)
    model: dict[str, Path] = field(default_factory=dict)
    history: dict[str, dict[int, float]] = field(default_factory=dict)


class Reader:
    """What is known of the runs of one experiment."""

    def __init__(self, settings: Settings, *, root: Path):
        self._waiting = [found for each in spool.find(home(root)) if (found := read_spool(each))]
        self._offline = settings.backend == "offline"
        place = where_sent(settings, root=root) if self._offline else locate(settings, root=root)
        self._store = Asked(place, settings) if place else None

    def search(self, tags: Mapping[str, str] | None = None, *, status: str = "") -> list[Found]:
        """Runs, oldest first: those that have all of these tags, and that status.

        Raises TrackingError: the store can't be reached or refuses.
        """
        wanted, found = dict(tags or {}), list[Found]()
        if self._store:
            try:
                found = [Found(**facts) for facts in self._store.ask(("search", {"tags": wanted, "status": status}))]
            except TrackingError:
                if not self._offline:
                    raise
                self._store = None  # as where there is no network: what is here is all that can be known
        known = {run.tags.get(IDENTITY) for run in found}
        found += [
            run.found
            for run in self._waiting
            if run.found.id not in known and wanted.items() <= run.found.tags.items() and status in ("", run.found.status)
        ]
        return sorted(found, key=lambda run: run.started)

    def read_artifact(self, run_id: str, path: str) -> str:
        """The text of one of a run's artifacts. Raises TrackingError: it is not there."""
        for run in self._waiting:
            if run.found.id == run_id and path in run.artifacts:
                return run.artifacts[path].read_text(encoding="utf-8")
        if self._store is None:
            raise TrackingError(f"run {run_id} has no {path} in {spool.FOLDER}/, and no store can be asked")
        return str(self._store.ask(("read_artifact", {"run_id": run_id, "path": path})))

    def bring_model(self, run: Found, folder: Path) -> bool:
        """Copy the files of the run's model to a folder, which is there. False where it has none.

        Raises TrackingError: the store can't be reached or refuses. DataError: the spool lacks a file, or it can't be written.
        """
        waiting = self._waiting_of(run)
        for name, kept in waiting.model.items() if waiting else ():
            files.write(folder / name, seal.read_bytes(kept, sha256=kept.name, remedy="bring it back from a copy of the spool"))
        if waiting and (waiting.model or self._store is None):
            return bool(waiting.model)
        assert self._store, "what is in no spool was found in the store"
        return bool(self._store.ask(("bring_model", {"run_id": run.id, "folder": str(folder.resolve())})))

    def history(self, run: Found) -> dict[str, dict[int, float]]:
        """The run's metrics by name and step. Raises TrackingError: the store can't be reached or refuses."""
        if waiting := self._waiting_of(run):
            return waiting.history
        assert self._store, "what is in no spool was found in the store"
        return dict(self._store.ask(("history", {"run_id": run.id})))

    def _waiting_of(self, run: Found) -> Waiting | None:
        """The spool of a run, which holds all of it until the store has all of it."""
        return next((each for each in self._waiting if each.found.id in (run.id, run.tags.get(IDENTITY))), None)

    def close(self) -> None:
        if self._store:
            self._store.close()


def where_sent(settings: Settings, *, root: Path) -> Store | None:
    """The store that runs of an offline repository are sent to; None where there is none yet."""
    if address := settings.uri or os.environ.get("MLFLOW_TRACKING_URI", ""):
        return Store(address=address, folder=None)
    folder = home(root)
    return Store(address="", folder=folder) if (folder / DATABASE).exists() else None


def read_spool(kept: Spool) -> Waiting | None:
    """The run that a spool has from its start; None of one that adds to a run. Raises DataError: it is damaged."""
    run: Found | None = None
    artifacts, model, history = dict[str, Path](), dict[str, Path](), dict[str, dict[int, float]]()
    for record in kept.read():
        given = record.arguments
        if record.method == "create":
            tags = (run.tags if run else {}) | given["tags"] | {IDENTITY: given["identity"]}
            data = (run.params, run.metrics, run.started) if run else ({}, {}, record.at)
            run = Found(given["identity"], given["name"], "RUNNING", data[2], None, data[0], data[1], tags)
        elif run is None:
            if record.method == "attach":
                return None
        elif record.method == "end":
            run = Found(**{**vars(run), "status": given["status"] or run.status, "ended": record.at})
        elif record.method == "log_params":
            run.params.update(given["params"])
        elif record.method == "log_metrics":
            run.metrics.update({name: number for name, number, _ in given["points"]})
            for name, number, step in given["points"]:
                history.setdefault(name, {})[step] = number
        elif record.method == "set_tags":
            run.tags.update(given["tags"])
        elif record.method == "log_model":
            model = {name.rpartition("/")[2]: kept.file(digest) for name, digest in given["files"].items()}
        elif record.method == "log_artifact":
            below = f"{given['folder']}/" if given["folder"] else ""
            artifacts |= {f"{below}{name}": kept.file(digest) for name, digest in given["files"].items()}
    return Waiting(run, artifacts, model, history) if run else None


@contextmanager
def reading(settings: Settings, *, root: Path) -> Iterator[Reader]:
    """Context of a Reader.

    Raises:
        TrackingError: no server is named, or tracking is off. DataError: a spool is damaged.
    """
    if settings.backend == "off":
        raise TrackingError("tracking is off, so there is no store to read: choose tracking=local or tracking=server")
    reader = Reader(settings, root=root)
    try:
        yield reader
    finally:
        reader.close()
