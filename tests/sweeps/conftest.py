"""A small repository whose data are prepared, and `filterlab` in it."""

import io
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from filterlab import cli
from filterlab.config import compose, resolved, schema
from filterlab.data import arrays
from filterlab.data.arrays import Card, LabelledImages, digest
from filterlab.data.prepare import made_from

ROOT = Path(__file__).parents[2]
PARAMETERS = """\
data: mnist            # noise here, under that name
model: mlp             # quick
optimizer: adam
schedule: constant
augment: none
trainer: cpu
tracking: local
experiment: none
seed: 0
override:
  model: {hidden: [8]}
  trainer: {max_epochs: 2, batch_size: 32, threads: 1, precision: "32"}
  tracking: {system_metrics: false}
"""


@dataclass(frozen=True)
class Project:
    """A repository of its own, and what its store says."""

    root: Path
    environment: dict[str, str]
    python: Path

    def start(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.python, "-m", "filterlab.cli", *words],
            cwd=self.root,
            env=self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, **more: str) -> str:
        """What it prints, stderr after stdout."""
        process = self.start(*words, **more)
        printed, errors = process.communicate(timeout=240)
        assert process.returncode == code, printed + errors
        return printed + errors

    def here(self, *words: str, code: int = 0) -> str:
        """What `run` would say, by this process: what it imports is imported once."""
        with chdir(self.root), redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed):
            try:
                cli.main(words)
                ended = 0
            except SystemExit as exit:
                ended = exit.code
        assert ended == code, printed.getvalue()
        return printed.getvalue()

    def ask(self, query: str, *values: str) -> list[tuple[str, ...]]:
        with sqlite3.connect(self.root / "mlflow.db") as store:
            return store.execute(query, values).fetchall()

    def children(self) -> dict[str, str]:
        """Run id -> status of all trainings."""
        return dict(
            self.ask("select r.run_uuid, status from runs r join tags t on t.run_uuid = r.run_uuid and key = 'filterlab.trial'")
        )

    def run_of(self, sweep: str) -> str:
        """MLflow's id of a sweep's own run."""
        (found,) = self.ask(
            "select t.run_uuid from tags t join tags k on k.run_uuid = t.run_uuid join runs r on r.run_uuid = t.run_uuid "
            "where t.key = 'filterlab.sweep' and t.value = ? and k.key = 'filterlab.kind' and k.value = 'sweep' "
            "and r.lifecycle_stage = 'active'",
            sweep,
        )
        return found[0]

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self.ask("select key, value from tags where run_uuid = ?", run_id))


def noise(root: Path, data: schema.Data) -> None:
    """preprocess's output: 400 images of noise, the brighter the higher the label."""
    draw = np.random.Generator(np.random.PCG64(0))
    labels = (np.arange(400) % 10).astype(np.uint8)
    images = (draw.integers(0, 100, (400, 1, 28, 28)) + 15 * labels[:, None, None, None]).astype(np.uint8)
    parts = {
        "train": LabelledImages(images=images[:300], labels=labels[:300]),
        "validation": LabelledImages(images=images[300:], labels=labels[300:]),
    }
    counts = {name: len(part) for name, part in parts.items()}
    card = Card("mnist", [str(label) for label in range(10)], 1, 28, 28, counts, 0.45, 0.2, digest(parts), made_from(data))
    arrays.save(root / "data/processed/train", parts, card)


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Callable[[], Project]:
    def make() -> Project:
        root = tmp_path_factory.mktemp("project")
        for part in ("conf", "src"):
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        (root / "dvc.yaml").write_text("stages: {}\n")
        (root / "params.yaml").write_text(PARAMETERS)
        (root / "results").mkdir()
        config = compose.compose(root / "conf", compose.to_overrides(compose.read_parameters(root / "params.yaml")))
        (root / resolved.RESOLVED).write_text(resolved.dump(config))
        noise(root, config.data)
        for command in (
            ["init", "--quiet"],
            ["add", "conf", "src", "params.yaml", "dvc.yaml"],
            ["commit", "--quiet", "-m", "project"],
        ):
            who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
            subprocess.run(["git", *who, *command], cwd=root, check=True)
        environment = os.environ | {"PYTHONPATH": str(root / "src"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        for name in ("DVC_ROOT", "FILTERLAB_SWEEP"):
            environment.pop(name, None)
        return Project(root, environment, programs / "python")

    return make
