"""Recorder processes for the runs of this process: one each, forked from a preloaded worker."""

import atexit
import os
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

DATABASE, SERVER = b"d", b"s"  # what a recorder writes to
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
    """The process that has imported mlflow (2 s of processor) and forks a recorder for each connection it is sent."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            # -P, here and wherever a module is run: Python would look for it in the working directory first, which is a user's.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "filterlab.tracking.preloaded", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(),
                # Ctrl-C in the terminal is the stage's to handle: the recorder hears of it from the stage.
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
    """Environment of a recorder: this process's variables without those of other MLflow projects, and our defaults."""
    # MLFLOW_SQLALCHEMYSTORE_...: how a server reaches its database.
    ours = {name: text for name, text in os.environ.items() if not (name in OTHERS or name.startswith("MLFLOW_SQLALCHEMYSTORE_"))}
    return UNLESS_SET | ours


def connect(*, database: bool) -> Connection:
    """Connection to a new recorder, which can be written to at once: the recorder reads when it has started.

    database: whether it will write to one, and not to a server.
    """
    global _worker
    if _worker is None or _worker.process.poll() is not None:
        _worker = PreloadedWorker()
    return _worker.fork(database=database)


def close(connection: Connection) -> None:
    """Close the connection, and wait until the recorder has written everything."""
    with connection, suppress(EOFError, ConnectionResetError):
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_WR)
        while True:
            connection.recv()
