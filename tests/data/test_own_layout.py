"""What folders say: classes and parts; each that says nothing sure is one sentence."""

import unicodedata
from pathlib import Path

import pytest

from filterlab.data.own.layout import Entry, arrange
from filterlab.errors import DataError

PATH = Path("herbs")


def test_classes() -> None:
    names = ["basil/1.jpg", "basil/deep/er/2.JPG", "mint/no_ending", "mint/3.png", "README.md", "other/notes.txt"]
    expected = [("basil/1.jpg", "basil"), ("basil/deep/er/2.JPG", "basil"), ("mint/no_ending", "mint"), ("mint/3.png", "mint")]
    assert arrange(names, PATH) == [Entry(name, "", label) for name, label in expected]


@pytest.mark.parametrize("around", ["", "herbs/", "data/herbs-1.0/"])
def test_parts_and_folders_around_all(around: str) -> None:
    files = ["Train/basil/1.jpg", "Train/mint/2.jpg", "val/mint/3.jpg", "test/basil/4.jpg"]
    entries = arrange([f"{around}{name}" for name in files] + ["LICENSE"], PATH)
    assert [(entry.part, entry.label) for entry in entries] == [
        ("train", "basil"),
        ("train", "mint"),
        ("validation", "mint"),
        ("test", "basil"),
    ]


def test_a_class_may_be_called_test() -> None:
    """Without train beside it, it is a class."""
    assert {entry.label for entry in arrange(["test/1.png", "control/2.png"], PATH)} == {"test", "control"}


@pytest.mark.parametrize("label", ["no", "01", "12:30", "null", "1e3", "ü", "Ärzte & Co.", "薄荷", "نعناع", "🌿", "a" * 255])
def test_names_of_classes_are_text(label: str) -> None:
    assert arrange([f"{label}/1.png", "other/2.png"], PATH)[0].label == label


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "herbs holds no files: expected pictures in a folder for each class, e.g. herbs/cat/1.jpg"),
        (["1.jpg", "2.jpg"], "herbs: in no class's folder: 1.jpg, 2.jpg. Move them into the folders of their classes"),
        (
            ["a/1.jpg", *(f"{n}.jpg" for n in range(9))],
            "herbs: in no class's folder: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 4 more.",
        ),
        (["train/a/1.jpg", "train/2.jpg"], "herbs: in no class's folder: train/2.jpg."),
        (
            ["train/a/1.jpg", "test/a/2.jpg", "b/3.jpg"],
            "herbs has b beside test, train: expected either folders of parts (train, val",
        ),
        (
            ["train/a/1.jpg", "val/a/2.jpg", "valid/a/3.jpg"],
            "herbs has train, val, valid: expected one folder for each of train, val",
        ),
        (["a\n/1.jpg", "b/2.jpg"], "herbs: the folder 'a\\n' names no class, expected 1 to 255 bytes of visible text"),
        (["${a}/1.jpg", "b/2.jpg"], "herbs: the folder '${a}' names no class"),
        (
            [f"{unicodedata.normalize(form, 'ü')}/1.jpg" for form in ("NFC", "NFD")],
            "herbs has two folders named ü, in different bytes: rename one, or join them",
        ),
    ],
)
def test_what_is_unsure(names: list[str], expected: str) -> None:
    with pytest.raises(DataError) as raised:
        arrange(names, PATH)
    assert str(raised.value).startswith(expected)
