"""A copy of the repository that a test may run, edit and throw away, with a small order on real data."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["src", "conf", "dvc.yaml", ".dvcignore", ".gitignore", "pyproject.toml", ".dvc/config"]
SMALL = """
data: mnist
model: conv_net
optimizer: adam
schedule: constant
augment: shift
trainer: cpu
tracking: local
experiment: none
seed: 0
override:
  data: {take: per_class, take_n: 60}
  model: {layers: [{filters: 8, kernel: 5, pool: 2}, {filters: 8, kernel: 3, pool: 2}], hidden: [16]}
  trainer: {max_epochs: 4, batch_size: 32}
"""


@dataclass(frozen=True)
class Project:
    """A repository in `root`, and the environment that its commands run in."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: str, code: int = 0) -> str:
        """What the command prints on both streams; fails unless it ends with `code`."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        assert done.returncode == code, f"{' '.join(command)} ended with {done.returncode}, not {code}:\n{done.stdout}"
        return done.stdout

    def ran(self, printed: str) -> list[str]:
        """The stages that `dvc repro` says it ran."""
        return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (self.root / path).write_text(text.replace(old, new))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "--quiet", "-m", message)


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Callable[[], Project]:
    def make() -> Project:
        root = tmp_path_factory.mktemp("project")
        for part in PARTS:
            (root / part).parent.mkdir(exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / part, root / part)
        (root / "params.yaml").write_text(SMALL)
        who = {f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")}
        who |= {f"GIT_{role}_EMAIL": "test@localhost" for role in ("AUTHOR", "COMMITTER")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | who | {"PATH": path, "FILTERLAB_MIRROR": str(mirror), "GIT_CONFIG_GLOBAL": os.devnull}
        environment.pop("DVC_ROOT", None)
        project = Project(root, environment)
        project.run("git", "init", "--quiet", "--initial-branch", "main")
        project.commit("a small order")
        return project

    return make


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("moto's S3 server did not start in 30 s")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
