"""A repository in which all is well."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from filterlab import tracking
from filterlab.config import compose, resolved
from filterlab.data import arrays, prepare, sources
from filterlab.data.progress import Progress
from filterlab.models import folder

ROOT = Path(__file__).parents[2]
GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To copy: data, a model's files, a store with a run, one commit."""
    root = tmp_path_factory.mktemp("healthy")
    shutil.copytree(ROOT / "conf", root / "conf")
    for name in ("params.yaml", "dvc.yaml", "pyproject.toml", "requirements.lock", ".gitignore"):
        shutil.copyfile(ROOT / name, root / name)
    for name in ("results", "checkpoints", "runs", ".dvc"):
        (root / name).mkdir()
    config = compose.compose(root / "conf", ["data=digits", "model=mlp"])
    (root / resolved.RESOLVED).write_text(resolved.dump(config))
    sources.download(config.data, raw=root / "data/raw", partial=root / "data/partial", progress=Progress())
    made = prepare.prepare(config.data, raw=root / "data/raw")
    arrays.save(root / "data/processed/train", {"train": made.train, "validation": made.validation}, made.train_card)
    arrays.save(root / "data/processed/test", {"test": made.test}, made.test_card)
    folder.write(root / "models", {"model": {"name": "mlp"}}, {folder.WEIGHTS: b"weights"}, beside={})
    with tracking.start(config.tracking, root=root, name="first", tags={}) as run:
        Image.new("RGB", (2, 2)).save(tmp_path_factory.getbasetemp() / "picture.png")
        run.log_image("picture", tmp_path_factory.getbasetemp() / "picture.png")
        run.wait()
    for command in (["init", "--quiet", "-b", "main"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*GIT, *command], cwd=root, check=True)
    return root


@pytest.fixture
def root(healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, to break."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "DVC_ROOT", "MLFLOW_TRACKING_URI", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    assert not (os.environ.keys() & {"GIT_DIR", "GIT_INDEX_FILE"})
    shutil.copytree(healthy, tmp_path / "repository")
    return tmp_path / "repository"
