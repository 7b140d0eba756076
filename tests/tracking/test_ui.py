"""`make ui`: MLflow's pages on the local store."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from filterlab import tracking
from filterlab.config import schema
from filterlab.errors import TrackingError
from filterlab.tracking import ui


def test_without_a_store_it_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"mlflow\.db does not exist yet: `make pipeline`"):
        ui.serve(tmp_path, host="127.0.0.1", port=5000)


def test_it_listens_on_loopback_and_knows_the_runs_wherever_they_have_moved(tmp_path: Path) -> None:
    settings = schema.Tracking(backend="local", uri="", experiment="shown", system_metrics=False)
    first, root = tmp_path / "first", tmp_path / "feature%2Fx #1?"
    (first / "conf").mkdir(parents=True)
    (first / "dvc.yaml").write_text("stages: {}")
    with tracking.start(settings, root=first, name="a run", tags={}) as run:
        run.log_artifact(first / "dvc.yaml")
        run.wait()
    first.rename(root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "filterlab.cli", "ui", "--port", str(port)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            assert answer(f"{address}/health") == b"OK"
            assert b'"shown"' in answer(f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=shown")
            assert answer(f"{address}/get-artifact?path=dvc.yaml&run_uuid={run.id}") == b"stages: {}"
        finally:
            server.terminate()


def answer(address: str) -> bytes:
    """What the server answers, once it is up."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return bytes(response.read())
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{address} did not answer in 60 s")
