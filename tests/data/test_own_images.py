"""A folder of pictures by class becomes arrays; what can't be trained on is one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import herbs
from filterlab.config import schema
from filterlab.data import arrays
from filterlab.data.own.write import write
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
        write(data, root=tmp_path, processed=processed, scratch=scratch, progress=progress or Progress())
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
    assert card.mean == pytest.approx((parts["train"].images / 255).mean()) and card.notes == {}


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
