"""Against torchvision's and torch's own: the one module here that pays for importing them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from filterlab.config import schema
from filterlab.data import idx, sources
from filterlab.data.digits import enlarge
from filterlab.data.prepare import prepare
from filterlab.data.progress import Progress

MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
MNIST = schema.Data(
    name="mnist",
    folder="MNIST",
    classes=[*"0123456789"],
    channels=1,
    height=28,
    width=28,
    mirrors=["http://127.0.0.1:1/"],
    files=MD5,
    take="all",
    take_n=0,
    validation=0.1,
    split="stratified",
    seed=0,
)


@pytest.fixture(scope="module")
def raw(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FILTERLAB_MIRROR", str(mirror))
        sources.download(MNIST, raw=folder / "raw", partial=folder / "partial", progress=Progress())
    return folder / "raw"


def test_torchvision_reads_what_was_downloaded(raw: Path) -> None:
    prepared = prepare(MNIST, raw=raw)
    train, test = (datasets.MNIST(raw, train=train, download=False) for train in (True, False))
    np.testing.assert_array_equal(prepared.test.images[:, 0], test.data.numpy())
    np.testing.assert_array_equal(prepared.test.labels, test.targets.numpy())
    folder = raw / "MNIST" / "raw"
    np.testing.assert_array_equal(idx.read(folder / "train-images-idx3-ubyte.gz"), train.data.numpy())
    np.testing.assert_array_equal(idx.read(folder / "train-labels-idx1-ubyte"), train.targets.numpy())
    assert prepared.train_card.counts == {"train": 54000, "validation": 6000}
    counts = np.bincount(prepared.train.labels) + np.bincount(prepared.validation.labels)
    np.testing.assert_array_equal(counts, np.bincount(train.targets.numpy()))
    # the values everyone uses for all 60,000 are .1307 and .3081
    assert prepared.train_card.mean == pytest.approx(0.1307, abs=3e-4)
    assert prepared.train_card.std == pytest.approx(0.3081, abs=3e-4)


def test_the_same_reader(tmp_path: Path) -> None:
    array = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (3, 4, 5), np.uint8)
    idx.write(tmp_path / "images", array)
    np.testing.assert_array_equal(datasets.mnist.read_image_file(str(tmp_path / "images")).numpy(), array)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (9, 32)])
def test_bilinear_interpolation_is_torchs(height: int, width: int) -> None:
    images = np.random.Generator(np.random.PCG64(0)).integers(0, 17, (30, 8, 8))
    scaled = torch.from_numpy(images * 255 / 16)[:, None]
    expected = torch.nn.functional.interpolate(scaled, size=(height, width), mode="bilinear", align_corners=False)[:, 0]
    found = enlarge(images, height=height, width=width)
    assert np.abs(found - expected.numpy()).max() <= 0.5 + 1e-9  # half a step of the rounding
