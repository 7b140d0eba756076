"""A folder of pictures by class becomes arrays; what can't be trained on is one sentence."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import herbs
from filterlab.config import schema
from filterlab.data import arrays
from filterlab.data.own import collection
from filterlab.data.own.write import write
from filterlab.data.prepare import pixel_statistics
from filterlab.data.progress import Progress
from filterlab.errors import DataError

Parts = dict[str, arrays.LabelledImages]


class Told(Progress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., tuple[arrays.Card, Parts]]:
    """prepare(data) -> train's card and all parts, as the stages after preprocess read them."""

    def run(data: schema.Own, *, progress: Progress | None = None) -> tuple[arrays.Card, Parts]:
        processed = tmp_path / "processed"
        scratch = tmp_path / "partial"
        write(data, place=Path(data.path), processed=processed, scratch=scratch, progress=progress or Progress())
        assert not scratch.exists(), "nothing is left behind"
        card, learned = arrays.load(processed / "train")
        tested_card, tested = arrays.load(processed / "test")
        assert (card.mean, card.std, card.notes) == (tested_card.mean, tested_card.std, tested_card.notes)
        return card, learned | tested

    return run


def test_a_folder_by_class(tmp_path: Path, prepare: Any) -> None:
    """Every picture is on one side, with its label and its own pixels; the classes are spread in proportion."""
    folder = herbs.grow(tmp_path / "herbs")
    card, parts = prepare(herbs.option(folder))
    assert card.counts == {"train": 22, "validation": 2} and len(parts["test"]) == 6
    assert np.bincount(parts["test"].labels).tolist() == [2, 2, 2]
    found = {image.tobytes(): label for part in parts.values() for image, label in zip(part.images, part.labels, strict=True)}
    assert len(found) == 30
    for path in folder.glob("*/*.png"):
        pixels = np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes()
        assert card.classes[found[pixels]] == path.parent.name
    pixels = parts["train"].images / 255
    assert card.mean == pytest.approx(pixels.mean(axis=(0, 2, 3))) and card.std == pytest.approx(pixels.std(axis=(0, 2, 3)))
    assert card.notes == {}
    gray, parts = prepare(herbs.option(folder, channels=1))
    assert gray.mean == pytest.approx((parts["train"].images / 255).mean()), "a number, where there is one channel"
    assert (gray.mean, gray.std) == pixel_statistics(parts["train"].images)


def test_the_same_pictures_give_the_same_bytes_wherever_they_lie(tmp_path: Path, prepare: Any) -> None:
    herbs.grow(tmp_path / "herbs")
    (tmp_path / "herbs").rename(tmp_path / "elsewhere")
    herbs.grow(tmp_path / "herbs")
    first, parts = prepare(herbs.option(tmp_path / "herbs"))
    again, moved = prepare(herbs.option(tmp_path / "elsewhere"))
    assert again.digest == first.digest
    for name, part in parts.items():
        np.testing.assert_array_equal(part.images, moved[name].images)
    _, drawn_anew = prepare(herbs.option(tmp_path / "herbs", seed=1))
    assert not np.array_equal(drawn_anew["test"].images, parts["test"].images)


def test_all_that_can_not_be_read_is_named_at_once(tmp_path: Path, prepare: Any) -> None:
    folder = herbs.grow(tmp_path / "herbs")
    (folder / "mint/000.png").write_bytes((folder / "mint/000.png").read_bytes()[:60])
    (folder / "basil/empty.jpg").write_bytes(b"")
    (folder / "thyme/text.png").write_text("no picture")
    (folder / "thyme/notes.txt").write_text("of no concern")
    (folder / ".DS_Store").write_bytes(b"of no concern")
    with pytest.raises(DataError) as raised:
        prepare(herbs.option(folder))
    said = str(raised.value).splitlines()
    assert said[0] == "3 images of herbs can't be read:"
    assert said[1:3] == ["  - basil/empty.jpg: is empty", "  - mint/000.png: is damaged (image file is truncated)"]
    assert said[3:] == [
        "  - thyme/text.png: is no picture of a known format",
        "Mend or remove them, or leave them out by `on_broken: skip` in the data set's option",
    ]
    assert not (tmp_path / "processed").exists() and not list(tmp_path.glob("partial/*"))
    told = Told()
    card, parts = prepare(herbs.option(folder, on_broken="skip"), progress=told)
    assert card.notes == {"broken": 3} and told.messages == ["herbs: broken: 3"]
    assert sum(map(len, parts.values())) == 29


def groups(parts: Parts) -> dict[str, set[bytes]]:
    return {name: {image.tobytes() for image in part.images} for name, part in parts.items()}


def test_folders_say_which_part(tmp_path: Path, prepare: Any) -> None:
    for part, first in [("train", 0), ("valid", 100), ("test", 200)]:
        herbs.grow(tmp_path / "herbs" / part, each=3, first=first)
    card, parts = prepare(herbs.option(tmp_path / "herbs", test=0, validation=0))
    assert {name: len(part) for name, part in parts.items()} == {"train": 9, "validation": 9, "test": 9}
    for name, folder in [("train", "train"), ("validation", "valid"), ("test", "test")]:
        files = [*(tmp_path / "herbs" / folder).glob("*/*")]
        assert groups(parts)[name] == {np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in files}
    herbs.grow(tmp_path / "two/train", each=5)
    herbs.grow(tmp_path / "two/test", each=2, first=200)
    card, parts = prepare(herbs.option(tmp_path / "two", test=0, validation=0.2))
    assert card.counts == {"train": 12, "validation": 3} and len(parts["test"]) == 6


@pytest.mark.parametrize(
    ("folders", "shares", "expected"),
    [
        (["train", "test"], {"test": 0.2}, "data.test is 0.2, but {path} has a folder test/ that says which: write `test: 0`"),
        (["train", "val"], {"test": 0.2}, "data.validation is 0.1, but {path} has a folder val/ that says which"),
        (["train"], {"test": 0}, "data.test is 0, but {path} has no folder test/: write the share"),
        (["train"], {"validation": 0}, "data.validation is 0, but {path} has no folder val/"),
    ],
)
def test_a_part_is_said_once(tmp_path: Path, prepare: Any, folders: list[str], shares: dict, expected: str) -> None:
    path = tmp_path / "herbs"
    for place, part in enumerate(folders):
        herbs.grow(path / part, each=2, first=100 * place)
    with pytest.raises(DataError) as raised:
        prepare(herbs.option(path, **shares))
    assert str(raised.value).startswith(expected.format(path=path))


def test_copies_stay_on_one_side(tmp_path: Path, prepare: Any) -> None:
    """Each picture three times, under other names: by any seed they are together."""
    folder = herbs.grow(tmp_path / "herbs", each=5)
    for path in [*folder.glob("*/*.png")]:
        for again in ("a", "b"):
            path.with_name(f"{again}{path.name}").write_bytes(path.read_bytes())
    for seed in range(5):
        card, parts = prepare(herbs.option(folder, seed=seed, test=0.3, validation=0.3))
        sides = groups(parts)
        assert sum(map(len, parts.values())) == 45 and card.notes == {"copies of images on the same side": 30}
        assert len(set.union(*sides.values())) == sum(map(len, sides.values())) == 15


def test_a_copy_on_another_side_is_left_out_of_training(tmp_path: Path, prepare: Any) -> None:
    for part, first in [("train", 0), ("val", 100), ("test", 200)]:
        herbs.grow(tmp_path / "herbs" / part, each=3, first=first)
    for source, targets in [
        ("test/mint/000", ["train/mint/x", "train/mint/y", "val/mint/x"]),
        ("val/basil/001", ["train/mint/z"]),
    ]:
        for target in targets:
            whole = (tmp_path / f"herbs/{source}.png").read_bytes()
            (tmp_path / f"herbs/{target}.png").write_bytes(whole)
    told = Told()
    card, parts = prepare(herbs.option(tmp_path / "herbs", test=0, validation=0), progress=told)
    assert {name: len(part) for name, part in parts.items()} == {"train": 9, "validation": 9, "test": 9}
    assert card.notes == {"copies of images on another side, left out": 4}
    assert told.messages == ["herbs: copies of images on another side, left out: 4"]


def test_each_class_has_an_image_to_train_on(tmp_path: Path, prepare: Any) -> None:
    """One alone is trained on, whatever the shares; where it can't be read, there is none."""
    folder = herbs.grow(tmp_path / "herbs", each=6)
    for path in [*(folder / "thyme").iterdir()][1:]:
        path.unlink()
    _, parts = prepare(herbs.option(folder, test=0.5, validation=0.9))
    assert np.bincount(parts["train"].labels, minlength=3).min() == 1 and 2 not in parts["test"].labels
    (only,) = (folder / "thyme").iterdir()
    only.write_bytes(b"")
    with pytest.raises(DataError, match=r"herbs has no training image of 'thyme': expected at least one of each class"):
        prepare(herbs.option(folder, on_broken="skip"))


def test_classes_that_the_option_does_not_name(tmp_path: Path, prepare: Any) -> None:
    folder = herbs.grow(tmp_path / "herbs", each=3)
    herbs.save(herbs.noise(7), folder / "no/1.png")
    with pytest.raises(DataError, match=r"has classes that data\.classes doesn't name: 'no' \(1 images\)\. Add them"):
        prepare(herbs.option(folder))


def test_shares_that_hold_out_nothing(tmp_path: Path, prepare: Any) -> None:
    folder = herbs.grow(tmp_path / "herbs", each=1)
    with pytest.raises(DataError, match=r"data\.test is 0\.2: of 3 images none could be held out, as one of each class stays"):
        prepare(herbs.option(folder))


def test_more_than_256_classes(tmp_path: Path, prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "ALONE", 1_000)
    labels = [f"{number:03d}" for number in range(300)]
    for number, label in enumerate(labels):
        for again in range(3):
            herbs.save(herbs.noise(3 * number + again, width=8, height=8), tmp_path / "many" / label / f"{again}.png")
    card, parts = prepare(herbs.option(tmp_path / "many", classes=labels, height=8, width=8, test=0.3, validation=0.4))
    assert all(part.labels.dtype == np.uint16 for part in parts.values())
    assert [*np.unique(parts["train"].labels)] == [*range(300)] and card.classes == labels
    found = {image.tobytes(): label for part in parts.values() for image, label in zip(part.images, part.labels, strict=True)}
    for number in range(300):
        pixels = np.asarray(herbs.noise(3 * number, width=8, height=8)).transpose(2, 0, 1).tobytes()
        assert found[pixels] == number


def test_a_subset_of_the_training_images(tmp_path: Path, prepare: Any) -> None:
    folder = herbs.grow(tmp_path / "herbs", each=10)
    card, parts = prepare(herbs.option(folder, take="per_class", take_n=4, validation=0.25))
    assert card.counts == {"train": 9, "validation": 3} and len(parts["test"]) == 6


def test_many_are_read_in_parallel_to_the_same_bytes(tmp_path: Path, prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = herbs.grow(tmp_path / "herbs", each=20)
    alone, _ = prepare(herbs.option(folder))
    monkeypatch.setattr(collection, "ALONE", 10)
    monkeypatch.setattr(collection, "PIECE", 7)
    monkeypatch.setattr(arrays, "PIECE", 1000)
    together, _ = prepare(herbs.option(folder))
    assert together == alone


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """Also the processes that read: none prints a traceback of its own, or runs the script, which is no module with a guard."""
    folder = herbs.grow(tmp_path / "herbs", each=180, width=40, height=40)
    code = (
        "import sys\nfrom pathlib import Path\nfrom filterlab.config import schema\nfrom filterlab.data.own import collection\n"
        "from filterlab.data.own.write import write\nfrom filterlab.data.progress import Progress\n"
        "class Watched(Progress):\n    def advanced(self, count): print('reading', flush=True)\n"
        f"collection.PIECE = 5\ndata = {herbs.option(folder)!r}\n"
        f"data = schema.Own(**vars(data))\nroot = Path({str(tmp_path)!r})\n"
        "write(data, place=Path(data.path), processed=root / 'p', scratch=root / 's', progress=Watched())\n"
    ).replace("data = Own(", "data = schema.Own(")
    script = tmp_path / "script.py"
    script.write_text(code)
    run = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stdout and run.stdout.readline() == "reading\n"
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert not [*tmp_path.glob("s/*")] and not (tmp_path / "p").exists()
