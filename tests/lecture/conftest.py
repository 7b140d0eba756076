"""A repository's root with conf/ and the real MNIST, as the download stage leaves it."""

import gzip
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def mnist_root(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lecture")
    for name in ("conf", "dvc.yaml", "params.yaml"):
        (root / name).symlink_to(ROOT / name)
    raw = root / "data/raw/MNIST/raw"
    raw.mkdir(parents=True)
    for packed in sorted(mirror.glob("*-ubyte.gz")):
        with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    return root
