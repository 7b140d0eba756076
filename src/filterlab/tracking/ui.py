"""MLflow's pages on the local store."""

import os
import sys
from pathlib import Path

from filterlab.errors import TrackingError


def serve(root: Path, *, host: str, port: int) -> None:
    """Become `mlflow server` on the store at `root`; never returns.

    Raises:
        TrackingError: there is no store yet.
    """
    database = root / "mlflow.db"
    if not database.exists():
        raise TrackingError(f"{database} does not exist yet: `make pipeline` or `filterlab train` makes it")
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # its job workers take 240 MB each, and we have no jobs
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    print(f"MLflow on {database.name}: http://{host}:{port}  (Ctrl-C ends it)", flush=True)
    store, artifacts = f"sqlite:///{database}", str(root / "mlartifacts")
    command = ["-m", "mlflow", "server", "--backend-store-uri", store, "--default-artifact-root", artifacts]
    os.execv(sys.executable, [sys.executable, *command, "--host", host, "--port", str(port), "--workers", "1"])
