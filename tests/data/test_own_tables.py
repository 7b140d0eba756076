"""Images in CSV, npz and IDX files: told by content, the same pixels, and one sentence for each that is wrong."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import herbs
from filterlab.config import schema
from filterlab.data import arrays, idx, proposal
from filterlab.data.own.sources import tell
from filterlab.data.own.write import write
from filterlab.data.progress import Progress
from filterlab.errors import DataError

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (30, 8, 8), np.uint8)
IMAGES[0, 0, 0], IMAGES[0, 0, 1] = 0, 255
LABELS = (np.arange(30) % 3).astype(np.uint8)


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., tuple[schema.Own, dict[str, arrays.LabelledImages]]]:
    """add(path) -> what `filterlab data add` proposes, and the parts that it gives."""

    def run(path: Path, **changes: Any) -> tuple[schema.Own, dict[str, arrays.LabelledImages]]:
        data = proposal.propose(path, name="mine", root=tmp_path, progress=Progress()).data
        data = schema.Own(**{**vars(data), "height": 8, "width": 8, **changes})
        assert not list(data.disagreements())
        write(data, place=Path(data.path), processed=tmp_path / "p", scratch=tmp_path / "s", progress=Progress())
        return data, arrays.load(tmp_path / "p/train")[1] | arrays.load(tmp_path / "p/test")[1]

    return run


def pairs(parts: dict[str, arrays.LabelledImages]) -> set[tuple[bytes, int]]:
    return {pair for part in parts.values() for pair in paired(part.images, part.labels)}


def paired(images: np.ndarray, labels: np.ndarray) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}


EXPECTED = paired(IMAGES, LABELS)


def kaggle(path: Path, *, head: bool = True, labelled: bool = True, images: np.ndarray = IMAGES) -> None:
    count = images[0].size
    names = [*(["label"] if labelled else []), *(f"pixel{place}" for place in range(count))]
    rows = [[*([label] if labelled else []), *image.ravel()] for label, image in zip(LABELS, images, strict=True)]
    lines = [",".join(map(str, row)) for row in ([names] if head else []) + rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("head", [True, False])
def test_labels_and_pixels(tmp_path: Path, add: Any, head: bool) -> None:
    kaggle(tmp_path / "digits/train.csv", head=head)
    if head:
        kaggle(tmp_path / "digits/test.csv", labelled=False)  # Kaggle's, to be predicted
    data, parts = add(tmp_path / "digits")
    assert (data.source, data.path, data.classes, data.channels) == ("csv", str(tmp_path / "digits"), ["0", "1", "2"], 1)
    assert pairs(parts) == EXPECTED and {name: len(part) for name, part in parts.items()} == {
        "train": 22,
        "validation": 2,
        "test": 6,
    }


def test_labels_and_pixels_of_parts_in_colour_and_floats(tmp_path: Path, add: Any) -> None:
    colored = np.stack([IMAGES, 255 - IMAGES, IMAGES[:, ::-1]], axis=3)
    kaggle(tmp_path / "d/mine_train.csv", images=colored / 255)
    kaggle(tmp_path / "d/mine_test.csv", images=(255 - colored) / 255)
    data, parts = add(tmp_path / "d")
    assert data.channels == 3 and data.test == 0 and data.validation == 0.1
    assert {image.tobytes() for image in parts["test"].images} == {image.transpose(2, 0, 1).tobytes() for image in 255 - colored}
    assert len(parts["train"]) + len(parts["validation"]) == 30


def named(folder: Path, head: str = "file,label", *, more: str = "") -> None:
    herbs.grow(folder, each=8)
    rows = [f"{path.relative_to(folder).as_posix()},{path.parent.name}" for path in sorted(folder.glob("*/*.png"))]
    (folder / "labels.csv").write_text("\n".join([head, *rows]) + "\n" + more)


def test_file_names_and_labels(tmp_path: Path, add: Any) -> None:
    named(tmp_path / "d")
    data, parts = add(tmp_path / "d/labels.csv", height=10, width=12)
    assert (data.source, data.path, data.classes) == ("csv", str(tmp_path / "d"), [*herbs.GROUNDS]), (
        "the folder, so that DVC sees the pictures"
    )
    files = {
        np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes(): path.parent.name for path in (tmp_path / "d").glob("*/*.png")
    }
    assert {(pixels, data.classes[label]) for pixels, label in pairs(parts)} == {*files.items()}


def test_file_names_without_ending_and_a_column_of_parts(tmp_path: Path, add: Any) -> None:
    rows = []
    for number, label in enumerate(["no", "01", "no", "01", "no", "01"]):
        herbs.save(herbs.noise(number), tmp_path / f"d/pictures/{number}.jpg")
        rows.append(f"pictures/{number},{label},{['train', 'val', 'test'][number // 2]}")
    (tmp_path / "d/list.csv").write_text("\n".join(["Image,Class,Split", *rows]))
    data, parts = add(tmp_path / "d", height=10, width=12)
    assert data.classes == ["01", "no"] and (data.test, data.validation) == (0, 0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 2, "validation": 2, "test": 2}


MEDMNIST = ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")
KERAS = ("x_train", "y_train", "x_test", "y_test")


@pytest.mark.parametrize("names", [MEDMNIST, KERAS])
def test_npz(tmp_path: Path, add: Any, names: tuple[str, ...]) -> None:
    cuts = np.split(np.arange(30), [18, 24] if len(names) == 6 else [24])
    held = {}
    for name, rows in zip(names, np.repeat(np.arange(len(cuts)), 2), strict=True):
        held[name] = IMAGES[cuts[rows]] if "images" in name or name.startswith("x") else LABELS[cuts[rows]][:, None]
    np.savez_compressed(tmp_path / "data.bin", **held)
    (tmp_path / "data.bin.npz").rename(tmp_path / "data.bin")
    data, parts = add(tmp_path / "data.bin")
    assert data.source == "npz" and data.roles["test_images"] == names[-2] and data.test == 0
    assert pairs(parts) == EXPECTED and len(parts["test"]) == 6
    assert [*map(len, parts.values())] == ([18, 6, 6] if len(names) == 6 else [22, 2, 6])


@pytest.mark.parametrize(
    "how",
    [
        lambda images: images[:, None],
        lambda images: images[..., None],
        lambda images: images.astype(np.float32) / 255,
        lambda images: images.astype(np.float64),
        lambda images: images.astype(np.uint16) * 257,
        lambda images: images.astype(np.int64),
    ],
    ids=["channel first", "channel last", "floats to 1", "floats to 255", "16 bits", "64 bits"],
)
def test_elements_of_npz(tmp_path: Path, add: Any, how: Callable[[np.ndarray], np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", x_train=how(IMAGES), y_train=np.eye(3)[LABELS])
    assert pairs(add(tmp_path / "a.npz")[1]) == EXPECTED


def test_labels_from_one_and_binary_images(tmp_path: Path, add: Any) -> None:
    np.savez(tmp_path / "a.npz", x_train=IMAGES > 127, y_train=LABELS + 1)
    _, parts = add(tmp_path / "a.npz", classes=["one", "two", "three"])
    assert pairs(parts) == paired((IMAGES > 127) * np.uint8(255), LABELS)
    found = proposal.propose(tmp_path / "a.npz", name="mine", root=tmp_path, progress=Progress())
    assert found.data.classes == ["1", "2", "3"] and found.facts["labels"] == "they count from 1: the first class is the label 1"


def put_idx(folder: Path, *, transpose: bool = False, kind: int = 8, gz: bool = True) -> None:
    folder.mkdir()
    element = np.dtype(idx.ELEMENTS[kind])
    images = (IMAGES // 2 if kind == 9 else IMAGES).swapaxes(1, 2) if transpose else IMAGES // 2 if kind == 9 else IMAGES
    for part, rows in [("train", slice(24)), ("test", slice(24, 30))]:
        for what, array in [("images-idx3", images[rows]), ("labels-idx1", LABELS[rows])]:
            of = kind if what.startswith("images") else 8
            content = struct.pack(f">HBB{array.ndim}I", 0, of, array.ndim, *array.shape)
            content += array.astype(element if what.startswith("images") else "u1").tobytes()
            name = f"emnist-letters-{part}-{what}-ubyte"
            (folder / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(content) if gz else content)


@pytest.mark.parametrize("kind", idx.ELEMENTS)
def test_idx_of_every_element_type(tmp_path: Path, add: Any, kind: int) -> None:
    put_idx(tmp_path / "e", kind=kind, gz=kind % 2 == 0)
    data, parts = add(tmp_path / "e")
    assert data.source == "idx" and data.roles["test_labels"].startswith("emnist-letters-test-labels-idx1-ubyte")
    expected = {((image // 2 if kind == 9 else image).tobytes(), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)}
    assert pairs(parts) == expected and len(parts["test"]) == 6


def test_idx_transposed_as_emnist_is(tmp_path: Path, add: Any) -> None:
    put_idx(tmp_path / "e", transpose=True)
    assert pairs(add(tmp_path / "e", transpose=True)[1]) == EXPECTED


def write_npz(**held: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path / "a.npz", **held)


def write_csv(text: str) -> Callable[[Path], Any]:
    return lambda path: (path / "a.csv").write_text(text)


WRONG: list[tuple[Callable[[Path], Any], str]] = [
    (
        write_npz(pictures=IMAGES),
        "a.npz has the arrays pictures: expected train_images and train_labels (and val_, test_), or x_train",
    ),
    (write_npz(x_train=IMAGES, y_train=LABELS[:-1]), "has 30 train_images and 29 train_labels, expected one for each"),
    (write_npz(x_train=IMAGES[0], y_train=LABELS), "train_images has shape (8, 8), expected (N, H, W), (N, H, W, C) or"),
    (write_npz(x_train=IMAGES, y_train=LABELS / 2), "train_labels is of float64, expected whole numbers"),
    (write_npz(x_train=IMAGES, y_train=np.ones((30, 3))), "train_labels has shape (30, 3): several labels for an image"),
    (write_npz(x_train=IMAGES - 5.5, y_train=LABELS), "train_images has values from -5.5 to 249.5, expected 0 to 1, or 0 to 255"),
    (write_npz(x_train=IMAGES * np.nan, y_train=LABELS), "train_images has values from nan to nan"),
    (write_npz(x_train=IMAGES, y_train=LABELS * 0), "has images of one class alone (0), expected two classes or more"),
    (write_npz(x_train=IMAGES, y_train=LABELS, x_test=IMAGES), "has test_images and no test_labels, expected both"),
    (
        write_npz(x_train=np.array([object()] * 30), y_train=LABELS),
        "is no sound .npz of plain arrays (Object arrays",
    ),
    (
        lambda path: [write_npz(x_train=IMAGES)(path), kaggle(path / "b.csv")],
        "has csv (b.csv) and npz (a.npz): expected one source",
    ),
    (
        lambda path: [kaggle(path / "b.csv"), (path / "cat").mkdir()],
        "has a table of pixels (b.csv) and folders: expected one source",
    ),
    (write_csv("label,a,b\n1,2,3\n"), "has 2 pixels in a row, which are no square"),
    (write_csv("label,a,b,c,d\n1,2,3,4,5\n\n1,2,3,4\n"), "line 4 has 4 cells, expected 5, as in the first line"),
    (write_csv("label,a,b,c,d\n1,2,3,4\n"), "line 2 has 4 cells, expected 5, as in the first line"),
    (write_csv("label,a,b,c,d\n1,2,3,4,5\n1,2,x,4,5\n"), "line 3 has 'x', expected numbers alone"),
    (write_csv("label,a,b,c,d\n"), "has no rows, expected a label and 4 pixels in each"),
    (write_csv("a,b,c,d\nx,2,3,4\n"), "has no column of labels: expected one called category, class, label"),
    (write_csv("file,label\n1.png,\n"), "has no label in line 2"),
    (write_csv("file,label\n,cat\n"), "has no file name in line 2"),
    (write_csv("file,label\n1.png,cat\n1.png,dog\n"), "names 1.png twice, again in line 3"),
    (write_csv("file,label\n../1.png,cat\n"), "names ../1.png in line 2: expected files in its own folder or below"),
    (write_csv("file,label\n1.png,cat,more\n"), "has 3 cells in line 2, expected 2, as in its first"),
    (write_csv("file,label,split\n1.png,cat,never\n"), "has 'never' in line 2 as part, expected train, val or test"),
    (
        write_csv("file,label\n1.png,cat\n2.png,dog\n"),
        "has no image that can be read, expected some of each class",
    ),
    (
        lambda path: [kaggle(path / "x.csv"), kaggle(path / "y.csv")],
        "has x.csv, y.csv",
    ),
    (
        lambda path: (path / "a-idx").write_bytes(idx.encode(LABELS)),
        "has the IDX file a-idx, whose name says neither",
    ),
    (lambda path: (path / "images").write_bytes(idx.encode(IMAGES)), "has IDX files, but none of train_labels by their names"),
    (
        lambda path: [(path / name).write_bytes(idx.encode(IMAGES)) for name in ("a-images", "b-images")],
        "has a-images and b-images, both images for train: expected one in a folder",
    ),
]


@pytest.mark.parametrize(("make", "expected"), WRONG, ids=[expected[:40] for _, expected in WRONG])
def test_what_is_wrong_is_one_sentence(tmp_path: Path, make: Callable[[Path], Any], expected: str) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    make(folder)
    with pytest.raises(DataError) as raised:
        proposal.propose(folder, name="mine", root=tmp_path, progress=Progress())
    assert expected in str(raised.value)


def test_a_cut_idx_file_and_one_alone(tmp_path: Path, add: Any) -> None:
    put_idx(tmp_path / "e", gz=False)
    path = tmp_path / "e/emnist-letters-train-images-idx3-ubyte"
    with pytest.raises(DataError, match="is one IDX file: name the folder that holds images and labels"):
        tell(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"emnist-letters-train-images-idx3-ubyte: .*: cut short by 5 bytes"):
        add(tmp_path / "e")


def test_names_that_do_not_go_with_the_labels(tmp_path: Path, add: Any) -> None:
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS * 7)
    assert pairs(add(tmp_path / "a.npz", classes=["a", "b", "c"])[1]) == EXPECTED, "in their order"
    with pytest.raises(DataError, match=r"a\.npz has 3 labels, 0, 7, 14, and data\.classes names 4: expected"):
        add(tmp_path / "a.npz", classes=["a", "b", "c", "d"])


def test_a_folder_of_pictures_with_a_csv_of_something_else_is_pictures(tmp_path: Path) -> None:
    herbs.grow(tmp_path / "d", each=2)
    (tmp_path / "d/README.txt").write_text("basil, mint and thyme")
    (tmp_path / "d/prices.csv").write_text("herb,price\nbasil,1\n")
    assert tell(tmp_path / "d") == ("pictures", tmp_path / "d", {})


def test_a_table_without_training_images(tmp_path: Path, add: Any) -> None:
    for number in range(2):
        herbs.save(herbs.noise(number), tmp_path / f"d/{number}.png")
    (tmp_path / "d/list.csv").write_text("file,label,split\n0.png,cat,test\n1.png,dog,test\n")
    with pytest.raises(DataError, match="has no training image that can be read, but of: test"):
        add(tmp_path / "d")
