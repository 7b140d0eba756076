from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from filterlab.data import idx
from filterlab.data.arrays import digest
from filterlab.data.prepare import pixel_statistics, prepare
from filterlab.data.split import split, subset
from filterlab.errors import DataError


def stored(raw: Path, name: str) -> np.ndarray:
    return idx.read(raw / "Noise" / "raw" / name)


def test_parts_are_the_files_rows(raw: Path, make_data) -> None:
    prepared = prepare(make_data(), raw=raw)
    images, labels = stored(raw, "train-images-idx3-ubyte"), stored(raw, "train-labels-idx1-ubyte")
    train, validation = split(labels, validation=0.1, how="stratified", seed=0)
    for part, rows in [(prepared.train, train), (prepared.validation, validation)]:
        np.testing.assert_array_equal(part.images, images[rows][:, None], strict=True)
        np.testing.assert_array_equal(part.labels, labels[rows], strict=True)
    np.testing.assert_array_equal(prepared.test.images, stored(raw, "t10k-images-idx3-ubyte")[:, None], strict=True)
    np.testing.assert_array_equal(prepared.test.labels, stored(raw, "t10k-labels-idx1-ubyte"), strict=True)


def test_a_subset_is_split(raw: Path, make_data) -> None:
    data = make_data(take="per_class", take_n=4, validation=0.5, seed=7)
    prepared = prepare(data, raw=raw)
    images, labels = stored(raw, "train-images-idx3-ubyte"), stored(raw, "train-labels-idx1-ubyte")
    rows = subset(labels, take="per_class", take_n=4, seed=7)
    found = np.concatenate([prepared.train.images, prepared.validation.images])[:, 0].reshape(40, -1)
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(images[rows].reshape(40, -1), axis=0))
    assert np.bincount(prepared.train.labels).tolist() == np.bincount(prepared.validation.labels).tolist() == [2] * 10
    assert len(prepared.test) == 50


def test_the_lectures_choice(raw: Path, make_data) -> None:
    prepared = prepare(make_data(take="first", take_n=50, split="last"), raw=raw)
    images = stored(raw, "train-images-idx3-ubyte")
    np.testing.assert_array_equal(prepared.train.images[:, 0], images[:45])
    np.testing.assert_array_equal(prepared.validation.images[:, 0], images[45:50])


def test_cards(raw: Path, make_data) -> None:
    prepared = prepare(make_data(), raw=raw)
    card, test_card = prepared.train_card, prepared.test_card
    assert card.counts == {"train": 180, "validation": 20} and test_card.counts == {"test": 50}
    pixels = prepared.train.images / 255
    assert card.mean == pytest.approx(pixels.mean(), rel=1e-14) and card.std == pytest.approx(pixels.std(), rel=1e-14)
    assert (test_card.mean, test_card.std) == (card.mean, card.std)
    assert card.digest == digest({"train": prepared.train, "validation": prepared.validation})
    assert test_card.digest == digest({"test": prepared.test})
    assert (card.name, card.classes, card.channels, card.height, card.width) == ("noise", [*"0123456789"], 1, 8, 8)


def test_statistics_do_not_see_validation_or_test(raw: Path, make_data, put) -> None:
    before = prepare(make_data(), raw=raw)
    images, labels = stored(raw, "train-images-idx3-ubyte").copy(), stored(raw, "train-labels-idx1-ubyte")
    images[split(labels, validation=0.1, how="stratified", seed=0)[1]] = 255
    white = np.full((50, 8, 8), 255, np.uint8)
    put({"train-images-idx3-ubyte": idx.encode(images), "t10k-images-idx3-ubyte": idx.encode(white)})
    after = prepare(make_data(), raw=raw)
    assert after.validation.images.min() == after.test.images.min() == 255
    assert (after.train_card.mean, after.train_card.std) == (before.train_card.mean, before.train_card.std)
    assert after.train_card.digest != before.train_card.digest


@given(images=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5)))
@settings(deadline=None, max_examples=50)
def test_statistics_are_numpys(images: np.ndarray) -> None:
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((images / 255).mean(), abs=1e-14) and std == pytest.approx((images / 255).std(), abs=1e-14)


@given(value=st.integers(0, 255))
@settings(deadline=None, max_examples=20)
def test_statistics_of_one_value_are_exact(value: int) -> None:
    assert pixel_statistics(np.full((1000, 1, 28, 28), value, np.uint8)) == (value / 255, 0.0)


def test_color(make_data, put) -> None:
    images = np.arange(20 * 3 * 8 * 8, dtype=np.uint64).astype(np.uint8).reshape(20, 3, 8, 8)
    raw = put(
        {f"{prefix}-images-idx3-ubyte": idx.encode(images) for prefix in ("train", "t10k")}
        | {f"{prefix}-labels-idx1-ubyte": idx.encode(np.arange(20, dtype=np.uint8) % 2) for prefix in ("train", "t10k")}
    )
    np.testing.assert_array_equal(prepare(make_data(channels=3), raw=raw).test.images, images)


def test_missing_files_are_downloads(raw: Path, make_data) -> None:
    (raw / "Noise/raw/train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"Noise/raw/train-images-idx3-ubyte is missing: `dvc repro download` brings it"):
        prepare(make_data(), raw=raw)
    (raw / "Noise/digests.json").unlink()
    with pytest.raises(DataError, match=r"Noise/digests\.json is missing: `dvc repro download` brings it"):
        prepare(make_data(), raw=raw)


def test_another_data_sets_files_are_not_taken(raw: Path, make_data) -> None:
    """Two data sets of one folder: what lies there is the other one's."""
    other = make_data(files=dict.fromkeys(make_data().files, "0" * 32))
    with pytest.raises(DataError, match=r"raw/Noise holds the files of another data set than noise: `dvc repro download`"):
        prepare(other, raw=raw)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"height": 28}, r"train-images-idx3-ubyte: images of 8x8, expected 28x8 as data noise says"),
        ({"channels": 3}, r"train-images-idx3-ubyte: images of 8x8, expected 3x8x8 as data noise says"),
        (
            {"classes": ["a", "b", "c"]},
            r"train-labels-idx1-ubyte: label 3 at index 3, expected 0 to 2 .*\(140 such labels",
        ),
    ],
)
def test_data_that_are_not_as_said(raw: Path, make_data, changes: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        prepare(make_data(**changes), raw=raw)


def test_a_label_short(raw: Path, make_data, put) -> None:
    put({"t10k-labels-idx1-ubyte": idx.encode(stored(raw, "t10k-labels-idx1-ubyte")[:-1])})
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte has 50 images, t10k-labels-.* has labels of shape \(49,\)"):
        prepare(make_data(), raw=raw)


def test_damage_is_named(raw: Path, make_data, put) -> None:
    whole = (raw / "Noise/raw/t10k-labels-idx1-ubyte").read_bytes()
    for damaged in (whole[:-5], whole[:-1] + b"\0"):  # the second is a file as sound as the first one
        (raw / "Noise/raw/t10k-labels-idx1-ubyte").write_bytes(damaged)
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte is damaged, .*; `dvc repro download` brings it anew"):
            prepare(make_data(), raw=raw)
    put({"t10k-labels-idx1-ubyte": whole[:-5]})
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: 45 bytes after the header, expected 50"):
        prepare(make_data(), raw=raw)
