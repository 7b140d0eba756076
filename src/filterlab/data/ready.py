"""What a training asks for: where it lies prepared, or else fetched and prepared in data/sets/ (see `aside`)."""

import sys
from pathlib import Path

from filterlab.config import schema
from filterlab.data import aside, origin, prepare, progress, published, sources
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.own import state
from filterlab.data.own.write import write


def load(data: schema.Data, root: Path) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images. Raises DataError as `find` does."""
    return prepare.load(find(data, root))


def find(data: schema.Data, root: Path) -> Path:
    """The folder whose train/ and test/ hold what `data` asks for: data/processed, or one in data/sets/, made if need be.

    Raises DataError: it can't be fetched or prepared, or is damaged.
    """
    if is_current(data, root / "data/processed", root):
        return root / "data/processed"
    folder = shelf(data, root)
    with aside.alone(folder):
        if not is_current(data, folder, root):
            make(data, folder, root)
    return folder


def make(data: schema.Data, folder: Path, root: Path) -> None:
    """Write folder/train/ and folder/test/. Raises DataError."""
    if isinstance(data, schema.Own):
        fetched = find_raw(data, root) / data.folder / "raw" / data.path if data.files else None
        with progress.on(sys.stderr, counting="images") as watched:
            write(
                data, place=fetched or origin.place(data, root), processed=folder, scratch=root / "data/partial", progress=watched
            )
        if not data.files:
            state.record(data, folder, root)
    else:
        prepare.save(prepare.prepare(data, raw=find_raw(data, root)), folder)


def find_raw(data: schema.Data, root: Path) -> Path:
    """The one of data/raw and data/sets/raw that has the files of this data set, which are fetched to the latter if need be."""
    for raw in (root / "data/raw", aside.place(root) / "raw"):
        if published.holds(raw, data):
            published.check(raw, data)
            return raw
    raw = aside.place(root) / "raw"
    with aside.alone(raw / data.folder), progress.on(sys.stderr) as watched:
        sources.download(data, raw=raw, partial=root / "data/partial", progress=watched)
    return raw


def shelf(data: schema.Data, root: Path) -> Path:
    return aside.place(root) / f"{data.name}-{prepare.made_from(data)[:12]}"


def is_current(data: schema.Data, folder: Path, root: Path) -> bool:
    """Whether `folder` holds what `data` asks for and, of a user's own images, how they lie now. Raises DataError."""
    return prepare.is_prepared(data, folder) and (
        not isinstance(data, schema.Own) or bool(data.files) or state.is_recorded(data, folder, root)
    )
