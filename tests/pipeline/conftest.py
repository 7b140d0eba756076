"""A copy of the repository that a test may run, edit and throw away, with small parameters on real data."""

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

# What a fresh clone's conf/ is changed to, so that what the pages print takes seconds.
QUICK = [
    ("conf/data/mnist.yaml", "take: all\ntake_n: 0", "take: per_class\ntake_n: 20"),
    ("conf/model/cnn.yaml", "filters: 32", "filters: 4"),
    ("conf/model/cnn.yaml", "filters: 48", "filters: 8"),
    ("conf/model/cnn.yaml", "filters: 64", "filters: 8"),
    ("conf/trainer/auto.yaml", "max_epochs: 8", "max_epochs: 1"),
    ("conf/tracking/local.yaml", "system_metrics: true", "system_metrics: false"),
]


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
def make_project(tmp_path_factory: pytest.TempPathFactory, mirror: Path, programs: Path) -> Callable[[], Project]:
    def make() -> Project:
        root = tmp_path_factory.mktemp("project")
        for part in PARTS:
            (root / part).parent.mkdir(exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / part, root / part)
        (root / "params.yaml").write_text(SMALL)
        environment = environment_of(root, mirror, programs)
        project = Project(root, environment)
        project.run("git", "init", "--quiet", "--initial-branch", "main")
        project.commit("small parameters")
        return project

    return make


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory: pytest.TempPathFactory, mirror: Path, programs: Path) -> Callable[[], Project]:
    """A fresh clone of the whole repository, with its remote; its conf/ trains for seconds, its commands are as a reader's.

    Its .venv is this one: `make` finds it installed.
    """

    def make() -> Project:
        place = tmp_path_factory.mktemp("clone")
        hub, root = place / "hub.git", place / "filterlab"
        known = Project(ROOT, environment_of(root, mirror, programs))
        written = known.run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        for name in written:
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        project = Project(root, known.environment)
        for path, old, new in QUICK:
            project.edit(path, old, new)
        (root / ".venv").mkdir()
        (root / ".venv/bin").symlink_to(programs)
        for part in ("lib", "pyvenv.cfg"):
            (root / ".venv" / part).symlink_to(Path(sys.prefix) / part)
        (root / ".venv/.place").write_text(f"{root.resolve()}\n")
        (root / ".venv/.installed").touch()
        project.run("git", "init", "--quiet", "--initial-branch", "main")
        project.commit("as it is published, with a conf/ for the impatient")
        project.run("git", "clone", "--quiet", "--bare", str(root), str(hub))
        project.run("git", "remote", "add", "origin", str(hub))
        project.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
        return project

    return make


def environment_of(root: Path, mirror: Path, programs: Path) -> dict[str, str]:
    """That of a reader who has activated the clone's .venv."""
    who = {f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{role}_EMAIL": "test@localhost" for role in ("AUTHOR", "COMMITTER")}
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": f"{root}/src", "FILTERLAB_MIRROR": str(mirror), "GIT_CONFIG_GLOBAL": os.devnull}
    kept = {name: text for name, text in os.environ.items() if name not in ("DVC_ROOT", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return kept | who | own | {"COLUMNS": "100"}


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
