"""Sender processes for the runs of this process: one each, forked from a preloaded worker."""

import atexit
import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filterlab.errors import TrackingError
from filterlab.tracking.store import Settings, Store

PATIENCE = 30.0  # seconds until it is said that a store is waited for

DATABASE, SERVER = b"d", b"s"  # what a sender writes to
UNLESS_SET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what is an error to MLflow is raised as well; it would print a traceback
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# Of another project in the same shell: by these MLflow would choose a run, a model, an experiment, or trip over its own warnings.
OTHERS = {
    "MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_CONTEXT",
    "MLFLOW_RUN_ID",
    "PYTHONWARNINGS",
}

_worker: "PreloadedWorker | None" = None  # started with the first run, ended with this process


class PreloadedWorker:
    """The process that has imported mlflow (2 s of processor) and forks a sender for each connection it is sent."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            # -P, here and wherever a module is run: Python would look for it in the working directory first, which is a user's.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "filterlab.tracking.preloaded", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(),
                # Ctrl-C in the terminal is the stage's to handle: the sender hears of it from the stage.
                start_new_session=True,
            )
        atexit.register(self.end)

    def end(self) -> None:
        self.control.close()
        self.process.wait()

    def fork(self, *, database: bool) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            socket.send_fds(self.control, [DATABASE if database else SERVER], [theirs.fileno()])
        return ours


def environment() -> dict[str, str]:
    """Environment of a sender: this process's variables without those of other MLflow projects, and our defaults."""
    # MLFLOW_SQLALCHEMYSTORE_...: how a server reaches its database.
    ours = {name: text for name, text in os.environ.items() if not (name in OTHERS or name.startswith("MLFLOW_SQLALCHEMYSTORE_"))}
    return UNLESS_SET | ours


def connect(*, database: bool) -> Connection:
    """Connection to a new sender, which can be written to at once: it reads when it has started, and first says its process id.

    database: whether it will write to one, and not to a server.
    """
    global _worker
    if _worker is None or _worker.process.poll() is not None:
        _worker = PreloadedWorker()
    return _worker.fork(database=database)


class LateError(TrackingError):
    """There was no answer in time."""


class Asked:
    """A process with MLflow's client of a store, which answers what it is asked.

    Args:
        spool: the folder that it sends from, as session.py says; None: it reads, as client.py says.
    """

    def __init__(self, store: Store, settings: Settings, *, spool: Path | None = None):
        self.place, self.remote, self.pid = str(store), store.folder is None, 0
        self.connection = connect(database=store.folder is not None)
        opened = {"place": self.place, "uri": store.uri, "folder": str(store.folder or ""), "experiment": settings.experiment}
        self.connection.send(opened | {"writing": spool is not None, "spool": str(spool or ""), "environment": environment()})

    def ask(self, question: object, *, seconds: float = math.inf) -> Any:
        """The answer; to None, that to the question before, which came too late.

        Raises TrackingError: there is none, or the process has died; LateError: none in so many seconds.
        """
        last = time.monotonic() + seconds
        try:
            if question is not None:
                self.connection.send(question)
            while (message := self.receive(last)) is None:
                pass
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise TrackingError(f"the process that knows the MLflow store {self.place} ended unexpectedly") from None
        outcome, found = message
        if outcome == "error":
            raise TrackingError(found)
        return found

    def receive(self, last: float) -> Any:
        """The answer that comes next, until then by the monotonic clock; None: what came was none.

        After a while it is said what is waited for. Raises LateError.
        """
        if not self.connection.poll(min(PATIENCE, max(0.0, last - time.monotonic()))):
            if last == math.inf:
                print(f"waiting for the MLflow store {self.place}, which has not answered yet", file=sys.stderr, flush=True)
            elif time.monotonic() >= last or not self.connection.poll(max(0.0, last - time.monotonic())):
                raise LateError(f"the MLflow store {self.place} has not answered in time")
        message = self.connection.recv()
        if isinstance(message, int):
            self.pid = message
        elif message[0] == "say":
            print(message[1], file=sys.stderr, flush=True)
        else:
            return message
        return None

    def has_died(self) -> bool:
        """The process's end of the connection is closed. Ask when no answer is due."""
        try:
            while self.connection.poll():
                self.receive(math.inf)
        except (EOFError, ConnectionResetError):
            return True
        return False

    def kill(self) -> None:
        """End the process, and see it gone; it may wait for a server."""
        if self.has_died() or not self.pid:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            for _ in range(100):
                os.kill(self.pid, 0)
                time.sleep(0.02)

    def close(self) -> None:
        self.connection.close()
