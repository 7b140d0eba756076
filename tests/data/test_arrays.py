import dataclasses
from pathlib import Path

import numpy as np
import pytest

from filterlab import seal
from filterlab.data import arrays
from filterlab.data.arrays import Card, LabelledImages, digest
from filterlab.errors import DataError

CARD = Card(
    name="nøise",
    classes=["a", "b"],
    channels=1,
    height=8,
    width=9,
    counts={"train": 5},
    mean=0.1,
    std=1 / 3,
    digest="00",
    made_from="11",
)

MAKES = "`dvc repro preprocess` makes it"
ANEW = f"{MAKES} anew"


@pytest.fixture
def part() -> LabelledImages:
    images = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (5, 1, 8, 9), np.uint8)
    return LabelledImages(images=images, labels=np.arange(5, dtype=np.uint8))


@pytest.fixture
def card(part: LabelledImages) -> Card:
    return dataclasses.replace(CARD, digest=digest({"train": part}))


def test_round_trip(tmp_path: Path, part: LabelledImages, card: Card) -> None:
    arrays.save(tmp_path / "train", {"train": part}, card)
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["card.json", "train_images.npy", "train_labels.npy"]
    found_card, parts = arrays.load(tmp_path / "train")
    found = parts["train"]
    assert found_card == card and list(parts) == ["train"]
    np.testing.assert_array_equal(found.images, part.images, strict=True)
    np.testing.assert_array_equal(found.labels, part.labels, strict=True)
    assert len(found) == 5 and found.images.flags.writeable


def test_a_card_says_the_digest_of_its_own_content(tmp_path: Path) -> None:
    CARD.save(tmp_path / "card.json")
    assert Card.load(tmp_path / "card.json") == CARD
    written = (tmp_path / "card.json").read_text()
    for said, other in [("0.1,", "0.2,"), ('"b"', '"c"'), ('"train": 5', '"train": 4'), ('"digest": "00"', '"digest": "01"')]:
        assert said in written
        (tmp_path / "card.json").write_text(written.replace(said, other))
        with pytest.raises(DataError, match=rf"card\.json is damaged: its content is not what sha256 says; {MAKES}"):
            Card.load(tmp_path / "card.json")


def test_arrays_that_the_card_does_not_describe(tmp_path: Path, part: LabelledImages, card: Card) -> None:
    """Sound files, and other numbers: one label, one pixel, another shape of as many pixels."""
    images = part.images.copy()
    images[4, 0, 7, 8] ^= 1
    others = [
        LabelledImages(images=images, labels=part.labels),
        LabelledImages(images=part.images, labels=part.labels[::-1].copy()),
        LabelledImages(images=part.images.reshape(5, 1, 9, 8), labels=part.labels),
    ]
    for other in others:
        arrays.save(tmp_path, {"train": other}, card)
        with pytest.raises(DataError, match=rf"the arrays are damaged, or not those that card\.json describes: .*; {ANEW}"):
            arrays.load(tmp_path)


def test_digest_sees_every_byte_shape_label_and_the_order(part: LabelledImages) -> None:
    images = part.images.copy()
    images[4, 0, 7, 8] ^= 1
    order = np.arange(5)[::-1]
    other = [
        {"train": part, "validation": part},
        {"test": part},
        {"train": LabelledImages(images=images, labels=part.labels)},
        {"train": LabelledImages(images=part.images, labels=part.labels[::-1])},
        {"train": LabelledImages(images=part.images.reshape(5, 1, 9, 8), labels=part.labels)},
        {"train": LabelledImages(images=part.images[order], labels=part.labels[order])},
    ]
    digests = {digest({"train": part}), *(digest(parts) for parts in other)}
    assert len(digests) == 7
    assert digest({"train": LabelledImages(images=part.images.copy(), labels=part.labels.copy())}) == digest({"train": part})


def test_damage_and_absence_are_named(tmp_path: Path, part: LabelledImages, card: Card) -> None:
    with pytest.raises(DataError, match=rf"card\.json is missing: {MAKES}"):
        arrays.load(tmp_path)
    card.save(tmp_path / "card.json")
    with pytest.raises(DataError, match=rf"train_images\.npy is missing: {MAKES}"):
        arrays.load(tmp_path)
    arrays.save(tmp_path, {"train": part}, card)
    path = tmp_path / "train_images.npy"
    whole = path.read_bytes()
    # the last three: a header cut short (numpy's parser raises TokenError), a pickle, a zip
    for damaged in (whole[:-1], whole[:20], b"", whole.replace(b"}", b"{"), b"\x80\x04N.", b"PK\x03\x04"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"train_images\.npy: expected an array, .*; {ANEW}"):
            arrays.load(tmp_path)
    for text in ("{", "[]", '{"name": "mnist"}', "[" * 100_000):
        (tmp_path / "card.json").write_text(text)
        with pytest.raises(DataError, match=rf"card\.json is damaged: .*; {MAKES}"):
            Card.load(tmp_path / "card.json")
    seal.write(tmp_path / "card.json", {"name": "mnist"})
    with pytest.raises(DataError, match=rf"card\.json is not the card of a data set \(.*\); {MAKES}"):
        Card.load(tmp_path / "card.json")


def test_arrays_of_another_kind_are_named(tmp_path: Path, part: LabelledImages, card: Card) -> None:
    arrays.save(tmp_path, {"train": part}, card)
    for kind, array, said in [
        ("images", part.images.astype(np.float32), r"uint8 with 4 dimensions, found one of float32 and shape \(5, 1, 8, 9\)"),
        ("images", part.images[:, 0], r"uint8 with 4 dimensions, found one of uint8 and shape \(5, 8, 9\)"),
        ("labels", part.labels.astype(np.int64), r"uint8 with 1 dimensions, found one of int64 and shape \(5,\)"),
        ("labels", np.uint8(3), r"uint8 with 1 dimensions, found one of uint8 and shape \(\)"),
    ]:
        path = tmp_path / f"train_{kind}.npy"
        whole = path.read_bytes()
        np.save(path, array)
        with pytest.raises(DataError, match=rf"train_{kind}\.npy: expected an array of {said}; {ANEW}"):
            arrays.load(tmp_path)
        path.write_bytes(whole)
    np.save(tmp_path / "train_labels.npy", part.labels[:-1])
    with pytest.raises(DataError, match=rf"train_images\.npy has 5 images, train_labels\.npy 4 labels, .*; {ANEW}"):
        arrays.load(tmp_path)


def test_full_disk_is_named(tmp_path: Path, file_size_limit) -> None:
    big = LabelledImages(images=np.zeros((500, 1, 8, 8), np.uint8), labels=np.zeros(500, np.uint8))
    with pytest.raises(DataError, match=r"cannot write .*train_images\.npy: "), file_size_limit(4096):
        arrays.save(tmp_path, {"train": big}, CARD)
    assert list(tmp_path.iterdir()) == []


def test_frozen(part: LabelledImages) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.labels = part.labels
    with pytest.raises(AssertionError):
        LabelledImages(images=part.images, labels=part.labels[:-1])
