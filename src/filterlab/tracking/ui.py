"""MLflow UI on the local store."""

import json
import os
import socket
import sqlite3
import sys
import time
import webbrowser
from contextlib import closing, suppress
from pathlib import Path

from filterlab.errors import TrackingError, UserError
from filterlab.tracking import database, server
from filterlab.tracking.store import ARTIFACTS, DATABASE

# Columns of the runs' table, and their width in pixels: of a metric or a parameter that no run has, none is shown.
COLUMNS = {
    "attributes.`Run Name`": 360,
    "metrics.`best/validation/accuracy`": 190,
    "metrics.`test/accuracy`": 150,
    "metrics.`training/seconds`": 150,
    "params.`data.name`": 120,
    "params.`model.name`": 120,
    "params.`optimizer.lr`": 120,
}
VIEW = "results"  # by which the pages' address names this choice of columns
NEWEST = "select experiment_id from runs where lifecycle_stage = 'active' order by start_time desc limit 1"
SHARE = "insert or replace into experiment_tags (experiment_id, key, value) values (?, ?, ?)"
PATIENCE = 120.0  # seconds that the server may take to answer


def serve(root: Path, *, host: str, port: int) -> None:
    """Become `mlflow server` on the store at `root`; never returns. On a desktop, the browser opens once it answers.

    Raises:
        UserError: `host` is no loopback address (nobody is asked for a password here), or the port can't be listened on.
        TrackingError: there is no store yet.
    """
    if not server.is_loopback(host):
        raise UserError(
            f"`filterlab ui` asks nobody for a password, so it listens on this machine's own addresses (127.0.0.1, ::1) "
            f"alone, not on {host}: `filterlab server --host {host} --allowed-hosts NAME` lets others in with a name and a "
            "password (docs/server.md)"
        )
    if not (root / DATABASE).exists():
        raise TrackingError(f"{root / DATABASE} does not exist yet: `make pipeline` or `filterlab train` makes it")
    server.check_address(host, port)
    database.relocate(root)
    os.environ.update(server.ENVIRONMENT)
    pages = server.address(host, port) + table(root / DATABASE)
    print(f"MLflow on {DATABASE}: {pages}  (Ctrl-C ends it)", flush=True)
    if on_desktop():
        open_when_up(pages, host=host, port=port)
    os.chdir(root)  # which the database's address starts from: see store.Store.uri
    store, artifacts = f"sqlite:///{DATABASE}", (root / ARTIFACTS).as_uri()
    command = ["-m", "mlflow", "server", "--backend-store-uri", store, "--registry-store-uri", store]
    command += ["--default-artifact-root", artifacts, "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]  # a line for each request hides the address above
    os.execv(sys.executable, [sys.executable, *command])


def table(path: Path) -> str:
    """Path of the page with the runs of the newest run's experiment, in the columns above.

    MLflow's pages keep the choice of columns in the browser. One that is shared by its name is a tag of the experiment.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(NEWEST).fetchone()
    except sqlite3.Error:  # no tables, no database: the server says what is wrong
        found = None
    if found is None:
        return "/#/experiments?workflowType=machine_learning"
    view = {"selectedColumns": list(COLUMNS), "columnOrder": list(COLUMNS), "columnWidths": COLUMNS}
    address = f"/#/experiments/{found[0]}/runs?workflowType=machine_learning"
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(SHARE, (found[0], f"mlflow.sharedViewState.{VIEW}", json.dumps(view)))
    except sqlite3.Error:  # of another, who lets us read: MLflow's own columns are shown
        return address
    return f"{address}&viewStateShareKey={VIEW}"


def on_desktop() -> bool:
    """Whether somebody sits at a terminal of a machine with windows, where a browser can open."""
    windows = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(windows)


def open_when_up(pages: str, *, host: str, port: int) -> None:
    """Open the pages in the browser as soon as the server answers: by a child, for this process is about to become the server."""
    parent = os.getpid()
    if os.fork():
        return
    try:
        os.setsid()  # Ctrl-C ends the server, not a browser that was not running before
        deadline = time.monotonic() + PATIENCE
        while os.getppid() == parent and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((host, port), timeout=1):
                webbrowser.open(pages)
                break
            time.sleep(0.3)
    finally:
        os._exit(0)
