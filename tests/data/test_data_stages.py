"""download and preprocess, one after the other, as DVC runs them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from filterlab.config import resolved
from filterlab.data import arrays
from filterlab.data.prepare import prepare
from filterlab.errors import DataError
from filterlab.stages import download, preprocess


@pytest.fixture
def root(tmp_path: Path, make_data, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose resolved configuration asks for the small data set, which FILTERLAB_MIRROR offers."""

    class Resolved:
        data = make_data()

    monkeypatch.setattr(resolved, "load", lambda root: Resolved)
    monkeypatch.setenv("FILTERLAB_MIRROR", str(tmp_path / "made"))
    return tmp_path / "repository"


def test_stages_write_what_the_others_read(root: Path, make_data, capsys) -> None:
    download.run(root)
    assert capsys.readouterr().err.count("\n") == 4
    preprocess.run(root)
    processed = root / "data" / "processed"
    prepared = prepare(make_data(), raw=root / "data" / "raw")
    (card, parts), (test_card, test) = arrays.load(processed / "train"), arrays.load(processed / "test")
    for name, found in (parts | test).items():
        expected = getattr(prepared, name)
        np.testing.assert_array_equal(found.images, expected.images, strict=True)
        np.testing.assert_array_equal(found.labels, expected.labels, strict=True)
    assert list(parts | test) == ["train", "validation", "test"]
    assert (card, test_card) == (prepared.train_card, prepared.test_card)
    assert len(list((processed / "train").iterdir())) == 5 and len(list((processed / "test").iterdir())) == 3
    assert not (root / "data" / "partial").exists()


def test_again_the_same_bytes(root: Path) -> None:
    def outputs() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (root / "data").rglob("*") if path.is_file()}

    download.run(root)
    preprocess.run(root)
    first = outputs()
    assert len(first) == 17
    for path in first:
        path.unlink()
    download.run(root)
    preprocess.run(root)
    assert outputs() == first


def test_an_output_folder_that_cannot_be_written_is_named(root: Path, file_size_limit) -> None:
    download.run(root)
    with file_size_limit(4096), pytest.raises(DataError, match=r"cannot write .*processed/train/train_images\.npy: "):
        preprocess.run(root)
    (root / "data" / "processed" / "train").rmdir()
    (root / "data" / "processed").rmdir()
    (root / "data" / "processed").write_bytes(b"a file, where a folder should be")
    with pytest.raises(DataError, match=r"cannot write .*processed/train/train_images\.npy: Not a directory"):
        preprocess.run(root)


def test_neither_stage_imports_what_takes_seconds() -> None:
    heavy = ["torch", "torchvision", "pytorch_lightning", "mlflow", "dvc", "sklearn", "matplotlib"]
    code = (
        "import json, sys, filterlab.stages.download, filterlab.stages.preprocess\n"
        f"print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []
