import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from filterlab.data.split import split, subset
from filterlab.errors import DataError

LABELS = hnp.arrays(np.uint8, st.integers(1, 120), elements=st.integers(0, 5))
SEEDS = st.integers(0, 2**32)


@given(labels=LABELS, validation=st.floats(0.01, 0.9), how=st.sampled_from(["stratified", "last"]), seed=SEEDS)
@settings(deadline=None, max_examples=200)
def test_a_split_is_disjoint_covering_and_repeats(labels: np.ndarray, validation: float, how: str, seed: int) -> None:
    try:
        train, kept = split(labels, validation=validation, how=how, seed=seed)
    except DataError:
        total, (_, counts) = round(validation * len(labels)), np.unique(labels, return_counts=True)
        assert total == 0 or how == "last" or (counts * (1 - total / len(labels))).min() < 1
        return
    np.testing.assert_array_equal(np.sort(np.concatenate([train, kept])), np.arange(len(labels)))
    assert len(kept) == round(validation * len(labels)) > 0
    assert (np.diff(train) > 0).all() and (np.diff(kept) > 0).all()
    assert set(labels[train]) == set(labels)
    again = split(labels, validation=validation, how=how, seed=seed)
    np.testing.assert_array_equal(again[0], train)
    np.testing.assert_array_equal(again[1], kept)
    if how == "stratified":
        for label in np.unique(labels):
            quota = len(kept) * np.mean(labels == label)
            assert abs(np.count_nonzero(labels[kept] == label) - quota) < 1
    else:
        np.testing.assert_array_equal(kept, np.arange(len(train), len(labels)))


@given(labels=LABELS, take_n=st.integers(1, 30), seed=SEEDS)
@settings(deadline=None, max_examples=100)
def test_a_subset_has_as_many_of_each_class_and_repeats(labels: np.ndarray, take_n: int, seed: int) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    if take_n > counts.min():
        with pytest.raises(DataError, match=f"take_n is {take_n} per class.*class {classes[counts.argmin()]} has {counts.min()}"):
            subset(labels, take="per_class", take_n=take_n, seed=seed)
        return
    taken = subset(labels, take="per_class", take_n=take_n, seed=seed)
    assert (np.diff(taken) > 0).all()
    np.testing.assert_array_equal(np.unique(labels[taken], return_counts=True), [classes, [take_n] * len(classes)])
    np.testing.assert_array_equal(subset(labels, take="per_class", take_n=take_n, seed=seed), taken)


def test_largest_remainder() -> None:
    # quotas of 5: 2.5, 1.5, 1.0 -> 2, 1, 1, and the one left goes to the lower label of the two with .5
    labels = np.repeat([0, 1, 2], [10, 6, 4]).astype(np.uint8)
    kept = labels[split(labels, validation=0.25, how="stratified", seed=0)[1]]
    assert np.bincount(kept).tolist() == [3, 1, 1]


def test_seeds_draw_different_images_all_of_them_in_time() -> None:
    labels = np.repeat(np.arange(4, dtype=np.uint8), 5)
    kept = [tuple(split(labels, validation=0.2, how="stratified", seed=seed)[1]) for seed in range(40)]
    taken = [tuple(subset(labels, take="per_class", take_n=1, seed=seed)) for seed in range(40)]
    for draws in (kept, taken):
        assert len(set(draws)) > 30
        assert set(np.concatenate(draws)) == set(range(20))


def test_all_and_first() -> None:
    labels = np.arange(7, dtype=np.uint8)
    assert subset(labels, take="all", take_n=0, seed=0).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert subset(labels, take="first", take_n=3, seed=0).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("take", "take_n", "says"),
    [
        ("first", 0, "data.take_n is 0: with data.take=first expected at least 1"),
        ("per_class", 0, "data.take_n is 0: with data.take=per_class expected at least 1"),
        ("first", 11, "data.take_n is 11: expected at most 10"),
        ("per_class", 4, r"data.take_n is 4 per class: .*, but class 1 has 3, class 2 has 3"),
    ],
)
def test_more_than_there_are(take: str, take_n: int, says: str) -> None:
    with pytest.raises(DataError, match=says):
        subset(np.array([0, 1, 2] * 3 + [0], np.uint8), take=take, take_n=take_n, seed=0)


@pytest.mark.parametrize(
    ("labels", "validation", "how", "says"),
    [
        ([0, 1, 0, 1], 0.1, "stratified", "data.validation is 0.1: of 4 images none would be kept"),
        ([0, 1, 0, 1], 0.1, "last", "data.validation is 0.1: of 4 images none would be kept"),
        ([0, 0, 0, 1], 0.9, "stratified", "data.validation is 0.9: all 3 images of class 0 would be kept"),
        ([0, 0, 1, 1], 0.5, "last", "data.validation is 0.5: all 2 images of class 1 would be kept"),
    ],
)
def test_nothing_to_validate_or_to_train_on(labels: list[int], validation: float, how: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        split(np.array(labels, np.uint8), validation=validation, how=how, seed=0)
