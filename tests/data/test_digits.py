from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from filterlab.data import digits, idx
from filterlab.data.digits import enlarge


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write(folder)
    return folder


def write(folder: Path) -> None:
    for name, content in digits.files(height=28, width=28).items():
        (folder / name).write_bytes(content)


def test_the_last_fifth_is_the_test_set(folder: Path) -> None:
    labels = [idx.read(folder / f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")]
    images = [idx.read(folder / f"{part}-images-idx3-ubyte") for part in ("train", "t10k")]
    assert [array.shape for array in images] == [(1437, 28, 28), (360, 28, 28)]
    np.testing.assert_array_equal(np.concatenate(labels), load_digits().target)
    np.testing.assert_array_equal(np.concatenate(images), enlarge(load_digits().images, height=28, width=28))
    assert len(list(folder.iterdir())) == 4


def test_twice_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_the_same_size_only_scales() -> None:
    images = load_digits().images[:50]
    np.testing.assert_array_equal(enlarge(images, height=8, width=8), np.rint(images * 255 / 16))


@pytest.mark.parametrize("value", [0, 7, 16])
def test_a_flat_image_stays_flat(value: int) -> None:
    assert np.unique(enlarge(np.full((1, 8, 8), value), height=28, width=30)).tolist() == [round(value * 255 / 16)]
