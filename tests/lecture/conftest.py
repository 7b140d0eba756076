"""A repository's root with conf/ and the real MNIST, as the download stage leaves it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def mnist_root(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lecture")
    for name in ("conf", "dvc.yaml", "params.yaml"):
        (root / name).symlink_to(ROOT / name)
    (root / "data").mkdir()
    (root / "data/raw").symlink_to(raw)
    return root
