"""Pictures by class: which class, and which part of the data set, the name of each file says."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from filterlab.config.section import TEXTS
from filterlab.data.own.picture import ENDINGS
from filterlab.errors import DataError

# a folder's name, in small letters -> the part that it holds
PARTS = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["val", "valid", "validation", "dev"], "validation"),
    **dict.fromkeys(["test", "testing"], "test"),
}
SHOWN = 5  # names in a message


class Entry(NamedTuple):
    """A file by its name, the part that its folder says ("" where there are none), and its class."""

    name: str
    part: str
    label: str


def arrange(names: Iterable[str], path: Path) -> list[Entry]:
    """The entries of files that lie as [folders around all/][train|val|test/]class/[any/]file; others are left out.

    Files without a picture's ending say nothing about the folders, but may be pictures within them.

    Raises DataError: pictures that are in no class, folders of parts beside others, a class whose name can't be one.
    """
    split = {name: name.split("/") for name in names}
    pictures = {name: parts for name, parts in split.items() if has_ending(name)} or split
    if not pictures:
        raise DataError(f"{path} holds no files: expected pictures in a folder for each class, e.g. {path.name}/cat/1.jpg")
    depth = 0  # of the folders that lie around everything, as archives have them
    while all(len(parts) > depth + 2 for parts in pictures.values()) and len({parts[depth] for parts in pictures.values()}) == 1:
        if next(iter(pictures.values()))[depth].lower() in PARTS:
            break
        depth += 1
    tops = {parts[depth] for parts in pictures.values() if len(parts) > depth + 1}
    by_part = {top: PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    divided = "train" in by_part.values()
    if divided and (others := sorted(tops - by_part.keys())):
        raise DataError(
            f"{path} has {some(others)} beside {', '.join(sorted(by_part))}: expected either folders of parts (train, val, test) "
            "or folders of classes; move the others elsewhere"
        )
    if len({*by_part.values()}) < len(by_part):
        raise DataError(f"{path} has {', '.join(sorted(by_part))}: expected one folder for each of train, val and test")
    level = depth + divided
    if loose := [name for name, parts in pictures.items() if len(parts) < level + 2]:
        raise DataError(f"{path}: in no class's folder: {some(loose)}. Move them into the folders of their classes, or elsewhere")
    classes = {(by_part[parts[depth]] if divided else "", parts[level]) for parts in pictures.values()}
    labels = {folder: class_name(folder, path) for _, folder in sorted(classes)}
    if twice := [label for label, count in Counter(labels.values()).items() if count > 1]:
        raise DataError(f"{path} has two folders named {twice[0]}, in different bytes: rename one, or join them")
    entries = []
    for name, parts in split.items():
        part = by_part.get(parts[depth], "") if divided and len(parts) > depth else ""
        if len(parts) > level + 1 and (part, parts[level]) in classes:
            entries.append(Entry(name, part, labels[parts[level]]))
    return entries


def has_ending(name: str) -> bool:
    """Whether a file's name ends as a picture's does."""
    return name.rpartition(".")[2].lower() in ENDINGS


def class_name(folder: str, path: Path) -> str:
    """A folder's name as a class's, its letters composed. Raises DataError: it can't be one."""
    name = unicodedata.normalize("NFC", folder)
    fits, expected = TEXTS["text"]
    if not fits(name):
        raise DataError(f"{path}: the folder {folder!r} names no class, expected {expected}: rename it")
    return name


def some(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else "")
