"""A real PostgreSQL, S3, and filterlab's server, all on loopback and in temporary folders."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

PASSWORD = "50% of a @/secret"  # must be encoded in a URL, and doubly so in an ini file
SERVE = """
import json, sys
from pathlib import Path
from filterlab.tracking import server
sys.executable = sys.argv[3]
server.serve(Path(sys.argv[1]), **json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def found() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return found


class Postgres:
    """PostgreSQL with a cluster of its own; run by `nobody` where the tests are root's, whom it refuses."""

    def __init__(self, binaries: Path, folder: Path, port: int):
        self.binaries, self.folder, self.port = binaries, folder, port
        self.user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        if self.user:
            for path in (self.folder, secret):
                shutil.chown(path, self.user["user"], self.user["group"])
        cluster = ["--pgdata", "data", "--username", "team", "--pwfile", "secret", "--auth", "scram-sha-256"]
        initdb = [self.binaries / "initdb", *cluster, "--encoding", "UTF8", "--no-locale", "--no-sync"]
        made = subprocess.run(initdb, cwd=self.folder, capture_output=True, text=True, check=False, **self.user)
        assert made.returncode == 0, made.stderr
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-c", "fsync=off"]
        with (self.folder / "log").open("wb") as log:
            command = [self.binaries / "postgres", "-D", "data", *options]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self.user)
        ask = [self.binaries / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(self.port)]
        for _ in range(300):
            if subprocess.run(ask, check=False).returncode == 0:
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)
        pytest.fail("PostgreSQL does not answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(2)  # the fast way to shut down: connections are closed, not waited for
            self.process.wait(60)

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        return f"postgresql://team:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        import psycopg

        given = {"host": "127.0.0.1", "port": self.port, "user": "team", "password": PASSWORD, "dbname": database}
        with psycopg.connect(**given, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres(free_port: Callable[[], int]) -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL: /usr/lib/postgresql/*/bin has no initdb (Debian's package `postgresql`)")
    folder = Path(tempfile.mkdtemp(prefix="filterlab-postgres-"))  # pytest's own folders are closed to other users
    made = Postgres(found[-1].parent, folder, free_port())
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bucket(free_port: Callable[[], int]) -> Iterator[dict[str, str]]:
    """The variables that lead S3's clients to a server on loopback, which has a bucket `team`."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/team", method="PUT")
        for _ in range(300):
            try:
                urllib.request.urlopen(request).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("moto's S3 server did not start in 30 s")
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        yield {"MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"} | keys
    finally:
        server.terminate()
        server.wait()


class Served:
    """filterlab's server, in a process of its own; `printed` is all it has said."""

    def __init__(self, root: Path, port: int):
        self.root, self.uri = root, f"http://127.0.0.1:{port}"
        self.log = root / "server.log"

    @property
    def printed(self) -> str:
        return self.log.read_text()


Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory, programs: Path, free_port: Callable[[], int]) -> Serve:
    """A context with a server, as `filterlab.tracking.server.serve` starts it."""

    @contextmanager
    def started(variables: dict[str, str], **arguments: Any) -> Iterator[Served]:
        port = free_port()
        made = Served(tmp_path_factory.mktemp("team"), port)
        given = {
            "store": "",
            "artifacts": "kept",
            "host": "127.0.0.1",
            "port": port,
            "auth": False,
            "allowed_hosts": "",
        } | arguments
        command = [sys.executable, "-c", SERVE, str(made.root), json.dumps(given), str(programs / "python")]
        environment = os.environ | {"NO_PROXY": "127.0.0.1"} | variables
        with made.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=made.root, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(450):
                try:
                    with urllib.request.urlopen(f"{made.uri}/health", timeout=2):
                        break
                except OSError:
                    assert process.poll() is None, made.printed
                    time.sleep(0.2)
            else:
                pytest.fail(f"the server does not answer: {made.printed}")
            yield made
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)

    return started
