"""CIFAR-10's archive: fetched and verified as any file, its pictures read from within; all 60,000 where the archive is here."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import herbs
from filterlab.config import compose
from filterlab.data import arrays, ready
from filterlab.data.own.collection import read_all
from filterlab.data.own.picture import Shape
from filterlab.data.own.sources import pictures
from filterlab.data.progress import Progress
from filterlab.errors import DataError, UnreachableError

CONF = Path(__file__).parents[2] / "conf"
DATA = compose.compose(CONF, ["experiment=none", "data=cifar10"]).data


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive of this layout: ten classes, six pictures each for training, two for the test."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "mirror").mkdir()
    with zipfile.ZipFile(tmp_path / "mirror/cifar10.zip", "w") as archive:
        for place, label in enumerate(DATA.classes):
            for number in range(8):
                path = tmp_path / "one.jpg"
                herbs.save(herbs.noise(100 * place + number, width=32, height=32), path, quality=90)
                archive.write(path, f"{'train' if number < 6 else 'test'}/{label}/{number:04d}.jpg")
    monkeypatch.setenv("FILTERLAB_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror/cifar10.zip"


def test_it_is_fetched_verified_and_read(small: Path, tmp_path: Path) -> None:
    md5 = hashlib.md5(small.read_bytes(), usedforsecurity=False).hexdigest()
    data = compose.compose(CONF, ["experiment=none", "data=cifar10", f"data.files={{cifar10.zip: {md5}}}"]).data
    folder = ready.find(data, tmp_path / "root")
    assert (tmp_path / "root/data/sets/raw/CIFAR10JPEG/raw/cifar10.zip").read_bytes() == small.read_bytes()
    card, parts = arrays.load(folder / "train")
    assert card.counts == {"train": 54, "validation": 6} and len(arrays.load(folder / "test")[1]["test"]) == 20
    with zipfile.ZipFile(small) as archive, archive.open("train/bird/0003.jpg") as file:
        pixels = np.asarray(Image.open(file)).transpose(2, 0, 1)
    labels = [part.labels[(part.images == pixels).all(axis=(1, 2, 3))] for part in parts.values()]
    assert [card.classes[label] for label in np.concatenate(labels)] == ["bird"]
    small.unlink()
    assert ready.find(data, tmp_path / "root") == folder, "it is there"


def test_another_archive_is_refused_and_none_is_said(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10\.zip of cifar10: no mirror has delivered it undamaged"):
        ready.find(DATA, tmp_path / "root")
    small.unlink()
    with pytest.raises(UnreachableError, match=r"(?s)no mirror has delivered it.*put cifar10\.zip into a folder and name it"):
        ready.find(DATA, tmp_path / "root")


def test_the_real_one(tmp_path: Path) -> None:
    """Every two-hundredth picture of the real archive, against Pillow alone."""
    named = os.environ.get("FILTERLAB_MIRROR", "")
    place = Path(named).resolve().parent / "cifar10/cifar10.zip" if named else Path()
    if not place.is_file():
        pytest.skip("CIFAR-10: beside FILTERLAB_MIRROR there is no cifar10/cifar10.zip")
    found = pictures(place, tmp_path, DATA)  # type: ignore[arg-type]
    assert len(found.entries) == 60_000 and found.classes == DATA.classes and found.parts == {"train", "test"}
    some = type(found)(found.entries[::200], found.places[::200])
    seen = read_all(some, Shape(3, 32, 32, "pad"), tmp_path / "pool.npy", progress=Progress())
    assert not any(about.fault for about in seen)
    made = np.load(tmp_path / "pool.npy")
    with zipfile.ZipFile(place) as archive:
        for entry, image in zip(some.entries[::20], made[::20], strict=True):
            with archive.open(entry.name) as file:
                np.testing.assert_array_equal(image, np.asarray(Image.open(file)).transpose(2, 0, 1))
