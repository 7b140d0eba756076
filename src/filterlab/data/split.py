"""Split into training and validation images, and subsets. All indices are sorted: the order of the file is kept."""

import numpy as np

from filterlab.errors import DataError


def subset(labels: np.ndarray, *, take: str, take_n: int, seed: int) -> np.ndarray:
    """Indices (sorted, int64) of the images to use.

    labels: (N,) whole numbers. take: "all", "first" (the first take_n) or "per_class" (take_n of each label that occurs, drawn
    with `seed`). Raises DataError if there are fewer than take_n, or take_n is 0 though a number is needed.
    """
    if take == "all":
        return np.arange(len(labels))
    if take_n < 1:
        raise DataError(f"data.take_n is {take_n}: with data.take={take} expected at least 1 image")
    if take == "first":
        if take_n > len(labels):
            raise DataError(f"data.take_n is {take_n:,}: expected at most {len(labels):,}, the number of training images")
        return np.arange(take_n)
    assert take == "per_class", take
    generator = np.random.Generator(np.random.PCG64(seed))
    classes, counts = np.unique(labels, return_counts=True)
    if take_n > counts.min():
        few = ", ".join(f"class {label} has {count:,}" for label, count in zip(classes, counts, strict=True) if count < take_n)
        raise DataError(f"data.take_n is {take_n:,} per class: expected no more than there are, but {few}")
    drawn = [generator.permutation(np.flatnonzero(labels == label))[:take_n] for label in classes]
    return np.sort(np.concatenate(drawn))


def split(labels: np.ndarray, *, validation: float, how: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices for training and for validation (both sorted, int64): disjoint, and together all of them.

    labels: (N,) whole numbers. round(validation * N) images are kept for validation; how is "last" (the last ones of the file)
    or "stratified": drawn with `seed`, each class in proportion, rounded by largest remainder (ties to the lower label).
    Raises DataError if validation would be empty, or a class have no image left to train on.
    """
    total = round(validation * len(labels))
    if total == 0:
        raise DataError(f"data.validation is {validation}: of {len(labels):,} images none would be kept for validation")
    if how == "last":
        kept = np.arange(len(labels) - total, len(labels))
    else:
        assert how == "stratified", how
        kept = _stratified(labels, total=total, generator=np.random.Generator(np.random.PCG64(seed)))
    trains = np.ones(len(labels), bool)
    trains[kept] = False
    without = np.setdiff1d(labels, labels[trains])
    if without.size:
        raise DataError(
            f"data.validation is {validation}: all {np.count_nonzero(labels == without[0]):,} images of class {without[0]} would "
            "be kept for validation, expected at least one to train on. Keep a smaller share, or take more images."
        )
    return np.flatnonzero(trains), kept


def hold_out(labels: np.ndarray, groups: np.ndarray, *, share: float, seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices that stay and that are held out (both sorted, int64); images of one group are on one side.

    labels: (N,) whole numbers; groups: (N,), equal for copies of one image. round(share * groups) groups are held out, drawn with
    `seed`, each class in proportion, but for one group at least of each class, which stays. (A group counts for the class of its
    first image.) Raises DataError if none would be held out; `key` names the share.
    """
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # in the order of the images, whatever their bytes are
    label = labels[first[order]]
    total = round(share * len(order))
    taken = np.zeros(len(order), bool)
    if total:
        taken[_stratified(label, total=total, generator=np.random.Generator(np.random.PCG64(seed)), leave=1)] = True
    if not taken.any():
        raise DataError(
            f"{key} is {share}: of {len(labels):,} images none could be held out, as one of each class stays to train on. "
            "Take a larger share, or more images"
        )
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    out = taken[place[member]]
    return np.flatnonzero(~out), np.flatnonzero(out)


def _stratified(labels: np.ndarray, *, total: int, generator: np.random.Generator, leave: int = 0) -> np.ndarray:
    classes, counts = np.unique(labels, return_counts=True)
    shares, remainders = np.divmod(total * counts, len(labels))
    missing = total - shares.sum()
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    shares = np.minimum(shares, counts - leave)
    drawn = [generator.permutation(np.flatnonzero(labels == label))[:share] for label, share in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(drawn))
