"""Run: the handle by which stages log to MLflow, through a spool on the local disk.

What is logged is a record in the spool (spool.py); a process of its own sends it to the store (session.py). It imports mlflow
(seconds) while the stage imports torch, keeps the store's latency and its outages out of the training, and outlives its stage
by a moment: where the stage is killed outright, it still ends the run as KILLED.
"""

import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import files
from filterlab.errors import TrackingError, UserError
from filterlab.repository import home
from filterlab.tracking import spool, system
from filterlab.tracking.senders import Asked, LateError
from filterlab.tracking.spool import Spool
from filterlab.tracking.store import ERROR, Settings, locate
from filterlab.tracking.writer import Writer

if TYPE_CHECKING:
    import numpy as np

HURRY = 1.5  # seconds that the sender has at the end of a process that is to end: with the rest of the end, under three
MAKING = 60.0  # seconds that a store on this machine has until it is there
AGAIN = 5.0  # seconds between two starts of a sender
NAME, NOTE = "mlflow.runName", "mlflow.note.content"  # tags that the pages show as a run's name and description (Markdown)


class NullRun:
    """Run that logs nothing: tracking is off, or the process is another rank of distributed training.

    Attributes:
        id: MLflow's, once the store has the run; until then its identity.
        experiment: MLflow's id of the run's experiment; empty until the store has the run.
        server: its address; empty for the local store.
    """

    id = ""
    experiment = ""
    server = ""

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
        code: Mapping[str, bytes],
        example: "np.ndarray",
        output: "np.ndarray",
        requirements: list[str],
        metadata: Mapping[str, Any] | None = None,
        linked: bool = False,
    ) -> None:
        """A folder that the module `loader` (its function _load_pyfunc) makes a model of.

        Args:
            folder: weights and description.
            digests: SHA-256, in hexadecimal, of files in the folder by name: these are logged, and where one has another digest
                TrackingError is raised.
            loader: name of a module in `code`.
            code: contents of files by name, which are stored with the model.
            example: an input of the model.
            output: what the model gives for it; with `example` it makes the signature.
            requirements: pip requirements to load the model elsewhere.
            metadata: what whoever loads it may want to know, as JSON has it.
            linked: the files are never written to again: a store on the same disk has them as links, and they take up room once.
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

    def flush(self) -> None:
        """Return when all that was logged is on this machine's disk."""

    def wait(self) -> None:
        """Return when all that was logged is in the store; raise TrackingError where it can't be."""


class Run(NullRun):
    """Run in a store; see NullRun for the methods' arguments.

    Args:
        root: the repository, or DVC's copy of it.
        name: of the spool, see spool.py.
        once: leave out points of a name and step that the spool has already.
    """

    def __init__(self, settings: Settings, *, root: Path, name: str, once: bool):
        self._store = None if settings.backend == "offline" else locate(settings, root=root)
        self._settings, self._once = settings, once
        self._spool = Spool(home(root) / spool.FOLDER / name)
        self.id, self.server = self._spool.run, self._store.address if self._store else ""
        self._sender: Asked | None = None
        self._started, self._ended = 0.0, False
        self._open, self._sampled = ExitStack(), ExitStack()
        self._hold()
        try:
            self._is_new = not self._spool.exists()
            self._writer = Writer(self._spool)
            self._open.callback(self._writer.close)
            self._writer.add("open", experiment=settings.experiment, backend=settings.backend, server=self.server)
            if settings.system_metrics and once:
                self._sampled.enter_context(system.sampled(self._writer))
            self._start_sender()
        except BaseException:
            self._close_spool()
            raise

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._add("log_params", params=text(params))

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        self._writer.add_metrics(metrics, step=step, once=self._once)
        self._look_after_sender()

    def log_image(self, key: str, path: Path, *, step: int = 0) -> None:
        self._add("log_image", key=key, file=self._writer.keep(path), step=step)

    def log_artifact(self, path: Path, *, folder: str = "") -> None:
        if path.is_dir():
            files = {name.partition("/")[2]: digest for name, digest in self._writer.keep_all(path).items()}
        else:
            files = {path.name: self._writer.keep(path)}
        self._add("log_artifact", files=files, folder=folder)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self._add("set_tags", tags=text(tags))

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: Mapping[str, Any]) -> None:
        self._add("log_dataset", name=name, digest=digest, source=source, context=context, profile=dict(profile))

    def log_model(
        self,
        folder: Path,
        *,
        digests: Mapping[str, str],
        loader: str,
        code: Mapping[str, bytes],
        example: "np.ndarray",
        output: "np.ndarray",
        requirements: list[str],
        metadata: Mapping[str, Any] | None = None,
        linked: bool = False,
    ) -> None:
        files = {f"{folder.name}/{name}": self._writer.keep(folder / name, linked=linked) for name in digests}
        for name, digest in digests.items():
            if (found := files[f"{folder.name}/{name}"]) != digest:
                raise TrackingError(
                    f"run {self.id} has trained the {name} with the SHA-256 {digest}, but {folder} has one with {found}: "
                    "another training, or program, has written to it"
                )
        sources = {name: self._writer.keep_bytes(content) for name, content in code.items()}
        arrays = {"example": self._writer.keep_array(example), "output": self._writer.keep_array(output)}
        self._add(
            "log_model",
            files=files,
            digests=dict(digests),
            loader=loader,
            code=sources,
            requirements=requirements,
            metadata=dict(metadata or {}),
            **arrays,
        )

    def log_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        rows = [[none_of_nan(cell) for cell in row] for row in zip(*columns.values(), strict=True)]
        self._add("log_table", name=name, columns=list(columns), data=rows)

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
        identity = uuid.uuid4().hex
        self._add("log_child", name=name, identity=identity, params=text(params), points=points, tags=text(tags))

    def flush(self) -> None:
        self._writer.flush()

    def wait(self) -> None:
        if self._store is not None:
            assert self._sender is not None
            self.id, self.experiment, _ = self._sender.ask("once")

    def _wait_or_forget(self) -> None:
        """What `wait` does; where the store can't be reached, nothing of a new run is kept."""
        try:
            self.wait()
        except TrackingError:
            self._ended = True
            self._close()
            if self._is_new:
                self._spool.remove()
            raise

    @contextmanager
    def _only_if_new(self) -> Iterator[None]:
        """What is logged in the block is sent where the store did not know the run."""
        self._writer.if_new = True
        try:
            yield
        finally:
            self._writer.if_new = False

    def _add(self, method: str, **arguments: Any) -> None:
        self._writer.add(method, **arguments)
        self._look_after_sender()

    def _hold(self) -> None:
        """Be the spool's only writer. A sender that another process left behind may be, for a moment."""
        last = time.monotonic() + AGAIN
        with files.blaming(self._spool.folder, verb="write"):
            self._spool.folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                return self._open.enter_context(self._spool.held("writer"))
            except spool.BusyError:
                if time.monotonic() > last:
                    raise
                time.sleep(0.1)

    def _start_sender(self) -> None:
        if self._store is not None:
            self._sender, self._started = Asked(self._store, self._settings, spool=self._spool.folder), time.monotonic()

    def _look_after_sender(self) -> None:
        """A sender that was killed is started again, and begins where that one left off."""
        if self._sender and self._sender.has_died() and time.monotonic() - self._started > AGAIN:
            self._sender.close()
            self._start_sender()

    def _is_known(self, *, seconds: float) -> bool:
        """Whether the store had the run that is added to, or has it before what is added. False where it can't be asked."""
        if Spool(self._spool.folder.with_name(self._spool.run)).exists():  # it waits, and is sent first
            return True
        if self._sender is None:
            return False
        with suppress(TrackingError):
            self.id, self.experiment, new = self._sender.ask("once", seconds=seconds)
            return not new
        return False

    def _break_off(self, status: str) -> None:
        """Of a run that is added to: only one that would have been made anew ends by it."""
        with self._only_if_new():
            self._end(status, seconds=min(HURRY, self._settings.patience), hurry=True)

    def _end(self, status: str, *, seconds: float, hurry: bool = False) -> None:
        """The run's last record; then the sender has that many seconds. What is left is said, and stays in the spool.

        hurry: the process is to end: the sender to a store on this machine goes on by itself.
        """
        if self._ended:
            return
        self._sampled.close()  # a sample after the end, and the run would pass for one that was killed
        self._writer.add("end", status=status)
        self._writer.flush()
        self._ended = True
        self._close_spool()
        asked: tuple[str, float] | None = ("deliver", seconds)
        last, sent = time.monotonic() + seconds, self._spool.sent()
        while self._sender:
            # MLflow takes its time to make a store, and a busy one on this machine goes on: it is waited for as long as it does.
            if not (self._sender.remote or hurry):
                last = time.monotonic() + (seconds if sent.run else max(seconds, MAKING))
            try:
                self.id, self.experiment, _ = self._sender.ask(asked, seconds=max(0.0, last - time.monotonic()))
                return
            except LateError:
                before, sent, asked = sent, self._spool.sent(), None
                if hurry and not self._sender.remote:  # nothing holds it up for long: it goes on by itself
                    return self._say_what_is_left(going_on=True)
                if self._sender.remote or sent == before:
                    return self._say_what_is_left()
            except TrackingError:
                if not self._sender.has_died() or time.monotonic() > last:
                    return self._say_what_is_left()
                self._sender.close()
                self._start_sender()
                asked = ("deliver", seconds)

    def _say_what_is_left(self, *, going_on: bool = False) -> None:
        assert self._sender
        if not going_on:
            self._sender.kill()  # it may wait for a server that never answers, or for a database that is locked
        if self._spool.exists() and (left := self._spool.lines_left(str(self._store))):
            by = (
                "they are being sent still; what is left then, `filterlab sync` sends"
                if going_on
                else "`filterlab sync` sends them"
            )
            print(
                f"filterlab: the MLflow store {self._store} has not got {left} record{'s' * (left > 1)} of this run: "
                f"kept in {self._spool.folder}, and {by}",
                file=sys.stderr,
                flush=True,
            )

    def _close_spool(self) -> None:
        self._sampled.close()
        self._open.close()

    def _close(self) -> None:
        self._close_spool()
        if self._sender:
            self._sender.close()


@contextmanager
def start(
    settings: Settings, *, root: Path, name: str, tags: Mapping[str, Any], identity: str = "", parent: str = ""
) -> Iterator[NullRun]:
    """Context of a run: a new one or, where the store has one of that `identity`, that one resumed.

    It ends as FINISHED, as FAILED where an exception ends the block, and as KILLED where the block is interrupted
    (Ctrl-C, SIGTERM, SIGKILL). The store is waited for at the end alone, for `settings.patience` seconds; with
    `settings.require` at the start too.

    Args:
        identity: the run's own id, which it gets as its tag filterlab.id (MLflow gives ids of its own, and one that was killed
            may not have heard of it), or that id of MLflow's; empty: one is made.
        parent: identity of the run that this one is shown below.

    Raises:
        TrackingError: no server is named; with `settings.require`, the store can't be reached or refuses.
        DataError: the spool can't be written, or is damaged.
    """
    if settings.backend == "off":
        yield NullRun()
        return
    run = Run(settings, root=root, name=identity or uuid.uuid4().hex, once=True)
    try:
        run._add("create", name=name, tags=text(tags), identity=run.id, parent=parent)
        if settings.require:
            run._wait_or_forget()
        yield run
        run._end("FINISHED", seconds=settings.patience)
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
        try:
            if not interrupted and not run._ended:
                run.set_tags({ERROR: f"{type(error).__name__}: {error}"[:500]})
            if interrupted:
                run._end("KILLED", seconds=min(HURRY, settings.patience), hurry=True)
            else:
                run._end("FAILED", seconds=settings.patience)
        except UserError as lost:
            error.add_note(f"and the run's end could not be recorded: {lost}")
        raise
    finally:
        run._close()


@contextmanager
def resume(settings: Settings, *, root: Path, run_id: str, restore: Callable[[NullRun], None]) -> Iterator[NullRun]:
    """Context of the finished run `run_id`, to add to.

    Args:
        run_id: its id, its identity, or the MD5 of the models/ that it trained: of several, the last.
        restore: where the store has never seen `run_id` (results that came from DVC's cache), a new run is made, tagged
            filterlab.restored_from, and filled by `restore` at the end of the block. Where the store can't be asked, what
            `restore` logs is kept for it.

    Raises:
        TrackingError: no server is named; with `settings.require`, the store can't be reached or refuses.
        DataError: the spool can't be written.
    """
    if settings.backend == "off" or not run_id:
        yield NullRun()
        return
    run = Run(settings, root=root, name=f"{run_id}.{uuid.uuid4().hex[:8]}", once=False)
    try:
        run._add("attach", run_id=run_id)
        if settings.require:
            run._wait_or_forget()
        yield run
        last = time.monotonic() + settings.patience
        if not run._is_known(seconds=settings.patience):
            with run._only_if_new():
                restore(run)
        run._end("", seconds=max(0.0, last - time.monotonic()))
    except BaseException as error:
        try:
            run._break_off("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")
        except UserError as lost:
            error.add_note(f"and the run's end could not be recorded: {lost}")
        raise
    finally:
        run._close()


def text(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(given) for name, given in values.items()}


def none_of_nan(cell: Any) -> Any:
    """JSON has no such numbers."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
