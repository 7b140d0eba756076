"""Which images of a user's own source are for training, which for validation, which for the test."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from filterlab.config import schema
from filterlab.config.faults import short
from filterlab.data.own.collection import Collection
from filterlab.data.own.layout import has_ending, some
from filterlab.data.own.picture import Seen
from filterlab.data.split import hold_out, subset
from filterlab.errors import DataError

NAMED = 50  # broken images in a message
STRADDLING = "copies of images on another side, left out"
FOLDERS = {"test": "test/", "validation": "val/"}


@dataclass(frozen=True)
class Division:
    """Rows of the source, sorted, by part: train, validation, test.

    Attributes:
        labels: (N,) of all rows: the class's place in data.classes, -1 where the row is in no part.
        notes: what was left out, or kept together, and how many images that are.
    """

    rows: dict[str, np.ndarray]
    labels: np.ndarray
    notes: dict[str, int] = field(default_factory=dict)


def divide(found: Collection, seen: Sequence[Seen], data: schema.Own) -> Division:
    """Raises DataError: images that can't be read, classes that aren't those of `data`, a part that is empty or said twice."""
    entries = found.entries
    sound, broken = readable(found, seen)
    if broken and data.on_broken == "stop":
        lines = [f"  - {name}: {fault}\n" for name, fault in broken[:NAMED]]
        more = f"  - and {len(broken) - NAMED:,} more\n" if len(broken) > NAMED else ""
        count = "1 image" if len(broken) == 1 else f"{len(broken):,} images"
        raise DataError(
            f"{count} of {data.name} can't be read:\n{''.join(lines)}{more}"
            "Mend or remove them, or leave them out by `on_broken: skip` in the data set's option"
        )
    labels = number(found, sound, data)
    groups = np.array([place.digest for place in seen], dtype="S32")
    parts = {entries[row].part for row in sound}
    by_part = {part: np.array([row for row in sound if entries[row].part == part], np.int64) for part in parts}
    rows: dict[str, np.ndarray] = {}
    training = by_part.get("train", by_part.get("", np.empty(0, np.int64)))
    if not len(training):
        raise DataError(f"{data.path} has no training image that can be read, but of: {', '.join(sorted(parts)) or 'nothing'}")
    for part, share in [("test", data.test), ("validation", data.validation)]:
        check_share(part, share, said=part in by_part, data=data)
        if part in by_part:
            rows[part] = by_part[part]
    notes = {"broken": len(broken)} if broken else {}
    if "test" not in rows:
        training, rows["test"] = held(training, labels, groups, share=data.test, seed=data.seed, key="data.test")
    # never the same bytes on two sides: the test's copy stays, then validation's
    straddling = 0
    for part, others in [("validation", ["test"]), ("train", ["test", "validation"])]:
        mine = training if part == "train" else rows.get(part)
        if mine is None:
            continue
        twice = np.isin(groups[mine], groups[np.concatenate([rows[other] for other in others if other in rows])])
        straddling += int(twice.sum())
        mine = mine[~twice]
        if part == "train":
            training = mine
        else:
            rows[part] = mine
    if straddling:
        notes[STRADDLING] = straddling
    training = training[subset(labels[training], take=data.take, take_n=data.take_n, seed=data.seed)]
    if "validation" not in rows:
        training, rows["validation"] = held(
            training, labels, groups, share=data.validation, seed=data.seed, key="data.validation"
        )
    rows = {"train": training, **rows}
    if copies := sum(len(part) - len(np.unique(groups[part])) for part in rows.values()):
        notes["copies of images on the same side"] = copies
    if empty := [part for part in rows if not len(rows[part])]:
        raise DataError(f"{data.name} has no image for {', '.join(empty)}: expected at least one, of {len(sound):,} in all")
    if without := np.setdiff1d(np.arange(len(data.classes)), labels[training]).tolist():
        names = [short(data.classes[label]) for label in without]
        why = f" ({straddling:,} that are copies of test or validation images were left out)" if straddling else ""
        raise DataError(
            f"{data.name} has no training image of {some(names)}{why}: expected at least one of each class. Add images, or "
            "take the class out of data.classes and away from the source"
        )
    return Division(rows, labels, notes)


def readable(found: Collection, seen: Sequence[Seen]) -> tuple[list[int], list[tuple[str, str]]]:
    """The rows that can be read, and the names and faults of the others, but for files that don't even claim to be pictures."""
    sound = [row for row, about in enumerate(seen) if not about.fault]
    broken = [
        (entry.name, about.fault)
        for entry, about in zip(found.entries, seen, strict=True)
        if about.fault and (found.listed or not about.unknown or has_ending(entry.name))
    ]
    return sound, broken


def number(found: Collection, sound: Iterable[int], data: schema.Own) -> np.ndarray:
    """(N,) int64: each row's label, -1 for those that aren't sound. Raises DataError: a class that is none of data.classes."""
    entries, named = found.entries, data.classes
    if found.numbered:
        named = numbers(found.classes, data)
    place = {name: label for label, name in enumerate(named)}
    labels = np.full(len(entries), -1)
    unknown: dict[str, int] = defaultdict(int)
    for row in sound:
        label = entries[row].label
        if label in place:
            labels[row] = place[label]
        else:
            unknown[label] += 1
    if unknown:
        said = [f"{short(name)} ({count:,} images)" for name, count in unknown.items()]
        raise DataError(
            f"{data.path} has classes that data.classes doesn't name: {some(said)}. Add them to the data set's option, "
            "or move them elsewhere"
        )
    return labels


def numbers(said: list[str], data: schema.Own) -> list[str]:
    """The labels of a source in the order of data.classes: from 0, or from 1, or as many as there are classes.

    Raises DataError: they are none of these.
    """
    count = len(data.classes)
    for first in (0, 1):
        if all(first <= int(label) < first + count for label in said):
            return [str(label) for label in range(first, first + count)]
    if len(said) == count:
        return said
    raise DataError(
        f"{data.path} has {len(said):,} labels, {some(said)}, and data.classes names {count:,}: expected a name for each, in "
        "the order of the labels"
    )


def check_share(part: str, share: float, *, said: bool, data: schema.Own) -> None:
    """Raises DataError: a part is given by the source and by a share, or by neither."""
    if said and share:
        raise DataError(
            f"data.{part} is {share}, but {data.path} has a folder {FOLDERS[part]} that says which: write `{part}: 0` in the "
            "data set's option, or move that folder elsewhere"
        )
    if not said and not share:
        raise DataError(
            f"data.{part} is 0, but {data.path} has no folder {FOLDERS[part]}: write the share of the images to be kept for it, "
            f"e.g. `{part}: 0.1`"
        )


def held(
    rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, share: float, seed: int, key: str
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay, and those that are held out."""
    stay, out = hold_out(labels[rows], groups[rows], share=share, seed=seed, key=key)
    return rows[stay], rows[out]
