"""Run: the handle by which stages log to MLflow, through a recorder process.

The recorder (recorder.py) imports mlflow (seconds) while the stage imports torch, keeps the store's latency out of the
training loop, and outlives its stage by a moment: where the stage is killed outright, it still ends the run as KILLED.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filterlab.errors import TrackingError
from filterlab.tracking import recorders
from filterlab.tracking.store import ERROR, Settings, Store, locate

PATIENCE = 30.0  # seconds; a server is asked again for minutes, since it may come back
NAME, NOTE = "mlflow.runName", "mlflow.note.content"  # tags that the pages show as a run's name and description (Markdown)


@dataclass(frozen=True)
class Found:
    """A run as the store has it.

    Attributes:
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


class NullRun:
    """Run that logs nothing: tracking is off, or the process is another rank of distributed training."""

    id = ""
    experiment = ""  # MLflow's id of the run's experiment
    server = ""  # its address; '' is the local store

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Strings, numbers and booleans by name; a parameter can't change once logged."""

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers by name, at a step (an epoch or an optimizer step, as the name says)."""

    def log_image(self, key: str, path: Path, *, step: int = 0) -> None:
        """A PNG under a fixed key, so that the UI lays two runs' pictures side by side, step by step; over an earlier one.

        The UI opens on step 0: pictures begin there.
        """

    def log_artifact(self, path: Path, *, folder: str = "") -> None:
        """A file or a folder, below `folder` of the run's artifacts."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Strings by name; they can be set again."""

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: Mapping[str, Any]) -> None:
        """The data a run learned from (context: training) or was measured on (evaluation)."""

    def log_model(
        self,
        folder: Path,
        *,
        digests: Mapping[str, str],
        loader: str,
        code: Path,
        example: Any,
        output: Any,
        requirements: list[str],
    ) -> None:
        """A folder that the module `loader` (its function _load_pyfunc) makes a model of.

        Args:
            folder: weights and description.
            digests: SHA-256, in hexadecimal, of the folder's files by name: what is logged has them, or TrackingError is raised.
            loader: dotted name of a module below `code`.
            code: package folder that is stored with the model.
            example: an input of the model, a numpy array.
            output: what the model gives for it; with `example` it makes the signature.
            requirements: pip requirements to load the model elsewhere.
        """

    def log_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Columns of equal length, as an artifact that the UI shows as a table, over an earlier one; `name` ends in .json."""

    def log_child(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        curves: Mapping[str, Sequence[float]],
        tags: Mapping[str, Any],
    ) -> None:
        """A finished run of its own below this one; metrics are its results, curves hold a value an epoch, from epoch 1."""

    def search(self, where: str) -> list[Found]:
        """Runs of the same experiment, oldest first; `where` in MLflow's filter language, e.g. tags.a = 'b'."""
        return []

    def curves(self, run_ids: Sequence[str], metric: str) -> dict[str, list[tuple[int, float]]]:
        """(step, value) of a metric, in order, by run."""
        return {}

    def read_artifact(self, run_id: str, path: str) -> str:
        """The text of one of a run's artifacts."""
        raise TrackingError("tracking is off: there are no artifacts to read")

    def wait(self) -> None:
        """Return when all that was logged is in the store; raise TrackingError where it could not be."""


class Run(NullRun):
    """Run in a store; see NullRun for the methods' arguments."""

    def __init__(self, store: Store, settings: Settings, *, writing: bool = True):
        self._store, self.server = store, store.address
        self._connection = recorders.connect(database=store.folder is not None)
        place = {"place": str(store), "uri": store.uri, "folder": str(store.folder or "")}
        self._send("open", **place, experiment=settings.experiment, writing=writing, environment=recorders.environment())

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._send("log_params", params=text(params))

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        now = time.time_ns() // 1_000_000
        self._send("log_metrics", points=[(name, float(number), now, step) for name, number in metrics.items()])

    def log_image(self, key: str, path: Path, *, step: int = 0) -> None:
        self._send("log_image", key=key, path=str(path.resolve()), step=step)

    def log_artifact(self, path: Path, *, folder: str = "") -> None:
        self._send("log_artifact", path=str(path.resolve()), folder=folder)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self._send("set_tags", tags=text(tags))

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: Mapping[str, Any]) -> None:
        self._send("log_dataset", name=name, digest=digest, source=source, context=context, profile=dict(profile))

    def log_model(
        self,
        folder: Path,
        *,
        digests: Mapping[str, str],
        loader: str,
        code: Path,
        example: Any,
        output: Any,
        requirements: list[str],
    ) -> None:
        self._send(
            "log_model",
            folder=str(folder.resolve()),
            digests=dict(digests),
            loader=loader,
            code=str(code.resolve()),
            example=example,
            output=output,
            requirements=requirements,
        )

    def log_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        self._send("log_table", name=name, columns={column: list(values) for column, values in columns.items()})

    def log_child(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        curves: Mapping[str, Sequence[float]],
        tags: Mapping[str, Any],
    ) -> None:
        points = [(key, float(number), 0) for key, number in metrics.items()]
        points += [(key, float(number), epoch) for key, curve in curves.items() for epoch, number in enumerate(curve, start=1)]
        self._send("log_child", name=name, params=text(params), points=points, tags=text(tags))

    def search(self, where: str) -> list[Found]:
        return [Found(**facts) for facts in self._ask("search", where=where)]

    def curves(self, run_ids: Sequence[str], metric: str) -> dict[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = self._ask("curves", run_ids=list(run_ids), metric=metric)
        return found

    def read_artifact(self, run_id: str, path: str) -> str:
        return str(self._ask("read_artifact", run_id=run_id, path=path))

    def wait(self) -> None:
        self.id, self.experiment = self._ask("ready")

    def _send(self, method: str, **arguments: Any) -> None:
        """Send a message without waiting; the failure of an earlier one is raised here."""
        try:
            while self._connection.poll():
                self._receive()
            self._connection.send((method, arguments, False))
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise TrackingError(f"the recorder of the MLflow store {self._store} ended unexpectedly") from None

    def _ask(self, method: str, **arguments: Any) -> Any:
        """Send a message and wait for its answer, by which all before it is done too."""
        try:
            self._connection.send((method, arguments, True))
            return self._receive()
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise TrackingError(f"the recorder of the MLflow store {self._store} ended unexpectedly") from None

    def _receive(self) -> Any:
        if not self._connection.poll(PATIENCE):
            print(f"waiting for the MLflow store {self._store}, which has not answered yet", file=sys.stderr, flush=True)
        outcome, answer = self._connection.recv()
        if outcome == "error":
            raise TrackingError(answer)
        return answer

    def _end(self, status: str) -> None:
        self._ask("end", status=status)

    def _close(self) -> None:
        recorders.close(self._connection)


@contextmanager
def start(settings: Settings, *, root: Path, name: str, tags: Mapping[str, Any], identity: str = "") -> Iterator[NullRun]:
    """Context of a run: a new one or, where the store has one of that `identity`, that one resumed.

    It ends as FINISHED, as FAILED where an exception ends the block, and as KILLED where the block is interrupted
    (Ctrl-C, SIGTERM, SIGKILL). Call `wait` on it before work that should not be lost to a store that can't be reached.

    Args:
        identity: the training's own id, which the run gets as its tag filterlab.id (MLflow gives ids of its own, and one that
            was killed may not have heard of it), or that id of MLflow's.

    Raises:
        TrackingError: the store can't be reached or refuses.
    """
    if settings.backend == "off":
        yield NullRun()
        return
    run = Run(locate(settings, root=root), settings)
    try:
        run._send("create", name=name, tags=text(tags), identity=identity, system_metrics=settings.system_metrics)
        yield run
        run._end("FINISHED")
    except BaseException as error:
        try:
            if isinstance(error, Exception):
                run.set_tags({ERROR: f"{type(error).__name__}: {error}"[:500]})
            run._end("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")
        except TrackingError as lost:
            if lost.args != error.args:
                error.add_note(f"and the run's end could not be recorded: {lost}")
        raise
    finally:
        run._close()


@contextmanager
def reading(settings: Settings, *, root: Path) -> Iterator[NullRun]:
    """Context of a read-only handle to the store, without a run of its own.

    Raises:
        TrackingError: the store can't be reached, or tracking is off.
    """
    if settings.backend == "off":
        raise TrackingError("tracking is off, so there is no store to read: choose tracking=local or tracking=server")
    run = Run(locate(settings, root=root), settings, writing=False)
    try:
        yield run
        run._end("")
    finally:
        run._close()


@contextmanager
def resume(settings: Settings, *, root: Path, run_id: str, restore: Callable[[NullRun], None]) -> Iterator[NullRun]:
    """Context of the finished run `run_id`, to add to.

    Args:
        run_id: its id, or the MD5 of the models/ that it trained: of several, the last.
        restore: where the store has never seen `run_id` (results that came from DVC's cache), a new run is made, tagged
            filterlab.restored_from, and at the end of the block `restore` fills it.

    Raises:
        TrackingError: the store can't be reached or refuses.
    """
    if settings.backend == "off" or not run_id:
        yield NullRun()
        return
    run = Run(locate(settings, root=root), settings)
    try:
        run._send("attach", run_id=run_id)
        yield run
        if run._ask("is_new"):
            restore(run)
        run._end("")
    finally:
        run._close()


def text(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(given) for name, given in values.items()}
