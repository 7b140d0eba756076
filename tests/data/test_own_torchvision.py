"""torchvision's data sets by name, from small files in their formats: its own code reads them."""

import gzip
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

import herbs
from filterlab.config import compose, schema
from filterlab.data import arrays, idx, origin
from filterlab.data.own.write import write
from filterlab.data.progress import Progress
from filterlab.errors import ConfigError, UnreachableError

CONF = Path(__file__).parents[2] / "conf"
DRAW = np.random.default_rng(0)
GRAY, COLORED = DRAW.integers(0, 256, (30, 28, 28), np.uint8), DRAW.integers(0, 256, (30, 32, 32, 3), np.uint8)
LABELS = (np.arange(30) % 10).astype(np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def option(path: Path, name: str, **changes: Any) -> schema.Own:
    fields = {
        "source": "torchvision",
        "set": name,
        "classes": [str(label) for label in range(10)],
        "test": 0.0,
        "validation": 0.3,
    }
    return herbs.option(path, **(fields | changes))


def prepare(tmp_path: Path, data: schema.Own) -> dict[str, arrays.LabelledImages]:
    write(data, place=Path(data.path), processed=tmp_path / "p", scratch=tmp_path / "s", progress=Progress())
    return arrays.load(tmp_path / "p/train")[1] | arrays.load(tmp_path / "p/test")[1]


def pairs(parts: dict[str, arrays.LabelledImages]) -> set[tuple[bytes, int]]:
    return {pair for part in parts.values() for pair in paired(part.images, part.labels)}


def paired(images: np.ndarray, labels: np.ndarray) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}


def put_mnist(folder: Path, prefix: str = "") -> None:
    folder.mkdir(parents=True)
    for part, place in [("train", slice(20)), ("t10k" if not prefix else "test", slice(20, 30))]:
        for kind, array in [("images-idx3", GRAY), ("labels-idx1", LABELS)]:
            (folder / f"{prefix}{part}-{kind}-ubyte").write_bytes(idx.encode(array[place]))
            (folder / f"{prefix}{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx.encode(array[place])))


def test_kmnist(tmp_path: Path) -> None:
    put_mnist(tmp_path / "t/KMNIST/raw")
    data = option(tmp_path / "t", "KMNIST", classes=datasets.KMNIST.classes, channels=1, height=28, width=28)
    parts = prepare(tmp_path, data)
    assert len(parts["test"]) == 10
    assert pairs(parts) == paired(GRAY, LABELS)


def test_emnist_is_turned_and_has_a_variant(tmp_path: Path) -> None:
    put_mnist(tmp_path / "t/EMNIST/raw", "emnist-digits-")
    data = option(tmp_path / "t", "EMNIST", variant="digits", channels=1, height=28, width=28, transpose=True)
    expected = paired(GRAY.swapaxes(1, 2), LABELS)
    assert pairs(prepare(tmp_path, data)) == expected


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").mkdir()
    held = {}
    for part, place in [("train", slice(20)), ("test", slice(20, 30))]:
        path = tmp_path / f"t/{part}_32x32.mat"
        labels = np.where(LABELS == 0, 10, LABELS)[place, None]  # 0 is 10 in its files
        scipy.io.savemat(path, {"X": COLORED[place].transpose(1, 2, 3, 0), "y": labels})
        held[part] = ["nowhere", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", held)
    parts = prepare(tmp_path, option(tmp_path / "t", "SVHN", height=32, width=32))
    expected = paired(COLORED.transpose(0, 3, 1, 2), LABELS)
    assert pairs(parts) == expected and len(parts["test"]) == 10


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "t/cifar-10-batches-py"
    folder.mkdir(parents=True)
    rows = COLORED.transpose(0, 3, 1, 2).reshape(30, -1)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {label}" for label in range(10)]}))
    for name, place in [("data_batch_1", slice(20)), ("test_batch", slice(20, 30))]:
        (folder / name).write_bytes(pickle.dumps({"data": rows[place], "labels": LABELS[place].tolist()}))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", md5(folder / "data_batch_1")]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    meta = {**datasets.CIFAR10.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    data = option(tmp_path / "t", "CIFAR10", classes=[f"class {label}" for label in range(10)], height=32, width=32)
    parts = prepare(tmp_path, data)
    expected = paired(COLORED.transpose(0, 3, 1, 2), LABELS)
    assert pairs(parts) == expected and len(parts["test"]) == 10
    (folder / "test_batch").write_bytes(b"damaged")
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar")
    with pytest.raises(UnreachableError, match=r"torchvision's CIFAR10 can't be fetched to .*: put its files there"):
        prepare(tmp_path, data)


def test_pictures_of_several_sizes_without_parts(tmp_path: Path) -> None:
    """EuroSAT's layout: a folder by class, and no split."""
    for place, label in enumerate(["Forest", "River"]):
        for number in range(8):
            image = herbs.noise(10 * place + number, width=20 + number, height=24)
            herbs.save(image, tmp_path / f"t/eurosat/2750/{label}/{number}.jpg")
    data = option(tmp_path / "t", "EuroSAT", classes=["Forest", "River"], test=0.25, height=24, width=24)
    parts = prepare(tmp_path, data)
    assert {name: len(part) for name, part in parts.items()} == {"train": 8, "validation": 4, "test": 4}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "data.source is torchvision and data.set is none: a set is torchvision's, which needs one"),
        (["data.set=SVNH"], "data.set is 'SVNH', expected one of none, CIFAR10"),
        (
            ["data.set=EMNIST"],
            "data.set is EMNIST and data.variant is none: EMNIST alone has variants, and",
        ),
    ],
)
def test_what_the_configuration_says_of_it(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compose.compose(CONF, ["experiment=none", "data=cifar10", "data.source=torchvision", *words])
    assert expected in str(raised.value)
    for name in schema.TORCHVISION:
        assert hasattr(datasets, name)


def test_its_folder_is_made(tmp_path: Path) -> None:
    data = option(tmp_path / "t/v", "SVHN")
    origin.lay_out(data, tmp_path / "root")
    assert (tmp_path / "root/data/source/files").resolve() == tmp_path / "t/v" and (tmp_path / "t/v").is_dir()
