"""A user's own images become arrays on disk, with their cards."""

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from filterlab.config import schema
from filterlab.data import arrays, origin
from filterlab.data.arrays import Card, LabelledImages, digest
from filterlab.data.own.collection import read_all
from filterlab.data.own.division import divide
from filterlab.data.own.picture import Shape
from filterlab.data.own.sources import SOURCES
from filterlab.data.prepare import made_from, pixel_statistics
from filterlab.data.progress import Progress
from filterlab.files import blaming


def write(data: schema.Own, *, root: Path, processed: Path, scratch: Path, progress: Progress) -> None:
    """Write processed/train/ and processed/test/, in pieces: memory holds little of the images at a time.

    scratch: a folder on a disk with room for all images as arrays; what is in it is gone afterwards.

    Raises DataError as the source, `divide` and `arrays.save_rows` do.
    """
    place = origin.place(data, root)
    with blaming(scratch, verb="write"):
        scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=scratch)
    with folder as name:
        pool = Path(name) / "pool.npy"
        found = SOURCES[data.source](place, Path(name), data)
        shape = Shape(data.channels, data.height, data.width, data.fit)
        with blaming(pool, verb="write"):
            seen = read_all(found, shape, pool, progress=progress)
        division = divide(found, seen, data)
        for note, count in division.notes.items():
            progress.message(f"{data.name}: {note}: {count:,}")
        images = np.load(pool, mmap_mode="r")
        labels = division.labels.astype(np.uint8 if len(data.classes) <= 256 else np.uint16)

        def save(folder: str, part: str) -> LabelledImages:
            return arrays.save_rows(processed / folder, part, images, labels, division.rows[part])

        learned = {part: save("train", part) for part in ("train", "validation")}
        tested = {"test": save("test", "test")}
    with suppress(OSError):  # it may hold what a download has left
        scratch.rmdir()
    mean, std = pixel_statistics(learned["train"].images)
    for target, parts in [("train", learned), ("test", tested)]:
        card = Card(
            name=data.name,
            classes=list(data.classes),
            channels=data.channels,
            height=data.height,
            width=data.width,
            counts={part: len(images) for part, images in parts.items()},
            mean=mean,
            std=std,
            digest=digest(parts),
            made_from=made_from(data),
            notes=division.notes,
        )
        card.save(processed / target / arrays.CARD)
