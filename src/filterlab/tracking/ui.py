"""MLflow's pages on the local store."""

import os
import sys
from pathlib import Path

from filterlab.errors import TrackingError
from filterlab.tracking import database
from filterlab.tracking.store import ARTIFACTS, DATABASE


def serve(root: Path, *, host: str, port: int) -> None:
    """Become `mlflow server` on the store at `root`; never returns.

    Raises:
        TrackingError: there is no store yet.
    """
    if not (root / DATABASE).exists():
        raise TrackingError(f"{root / DATABASE} does not exist yet: `make pipeline` or `filterlab train` makes it")
    database.settle(root)
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # its job workers take 240 MB each, and we have no jobs
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    print(f"MLflow on {DATABASE}: http://{host}:{port}  (Ctrl-C ends it)", flush=True)
    os.chdir(root)  # which the database's address starts from: see store.Store.uri
    store, artifacts = f"sqlite:///{DATABASE}", (root / ARTIFACTS).as_uri()
    command = ["-m", "mlflow", "server", "--backend-store-uri", store, "--default-artifact-root", artifacts]
    os.execv(sys.executable, [sys.executable, *command, "--host", host, "--port", str(port), "--workers", "1"])
