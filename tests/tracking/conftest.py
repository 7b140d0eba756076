"""Stores to record into: a SQLite file, and a real MLflow server on loopback."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tracking_settings import Settings

import measuring
from filterlab.tracking import senders

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """`mlflow server` on loopback, started and stopped as a test says."""

    def __init__(self, folder: Path, python: Path):
        self.python = python
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | QUIET, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.3)

    def send(self, how: int) -> list[psutil.Process]:
        """A signal to the server, and to those that listen for it: forked from a preloaded process, they have another group."""
        assert self.process is not None
        found = [
            psutil.Process(each.pid)
            for each in psutil.net_connections("tcp4")
            if each.pid and each.status == psutil.CONN_LISTEN and each.laddr.port == self.port
        ]
        os.killpg(self.process.pid, how)
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(how)
        return found

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            found = self.send(how)
            self.process.wait(30)
            self.process = None
            _, alive = psutil.wait_procs(found, timeout=20)
            for process in alive:
                process.kill()
            psutil.wait_procs(alive, timeout=20)


@pytest.fixture(scope="session", autouse=True)
def measured_senders() -> Iterator[None]:
    if senders._worker is not None:
        senders._worker.end()
    with measuring.measured():
        senders._worker = senders.PreloadedWorker()
    yield
    senders._worker.end()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), programs / "python")
    os.environ["NO_PROXY"] = "127.0.0.1"
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose store has its tables already: making them takes seconds."""
    from filterlab import tracking

    root = tmp_path_factory.mktemp("local")
    with tracking.start(Settings(), root=root, name="first", tags={}) as run:
        run.wait()
    return root


@pytest.fixture(params=["local", "server"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Path, str]:
    """Settings, root and URI of either store."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root: Path = request.getfixturevalue("database")
    if request.param in ("local", "offline"):
        return Settings(backend=request.param), root, f"sqlite:///{root / 'mlflow.db'}"
    uri = request.getfixturevalue("server").uri
    return Settings(backend="server", uri=uri), root, uri


@pytest.fixture
def children() -> Callable[[], list[int]]:
    """Senders of this process that are still there a moment later, zombies among them."""

    def found() -> list[int]:
        deadline = time.monotonic() + 5
        while True:
            origins = [child for child in psutil.Process().children() if "filterlab.tracking.preloaded" in child.cmdline()]
            left = [sender.pid for origin in origins for sender in origin.children()]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.05)

    return found


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])
