"""A user's own images become arrays on disk, with their cards."""

import math
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from filterlab.config import schema
from filterlab.data import arrays
from filterlab.data.arrays import LabelledImages, Scale
from filterlab.data.own.collection import read_all
from filterlab.data.own.division import divide
from filterlab.data.own.picture import Shape
from filterlab.data.own.sources import SOURCES
from filterlab.data.prepare import card_of
from filterlab.data.progress import Progress
from filterlab.files import blaming


def statistics(images: np.ndarray) -> tuple[Scale, Scale]:
    """Mean and standard deviation of (N, C, H, W) uint8 / 255, in pieces: of gray images a number each, else one a channel.

    As `prepare.pixel_statistics`, from sums that are exact whole numbers.
    """
    totals, squares = ([0] * images.shape[1] for _ in range(2))
    step = max(1, arrays.PIECE // images[0].size)
    for first in range(0, len(images), step):
        piece = np.asarray(images[first : first + step])
        totals = [total + int(more) for total, more in zip(totals, piece.sum(axis=(0, 2, 3), dtype=np.uint64), strict=True)]
        more_squares = np.einsum("nchw,nchw->c", piece, piece, dtype=np.uint64, casting="unsafe")
        squares = [square + int(more) for square, more in zip(squares, more_squares, strict=True)]
    n = images[:, 0].size
    means = [total / (255 * n) for total in totals]
    stds = [math.sqrt(square * n - total**2) / (255 * n) for square, total in zip(squares, totals, strict=True)]
    return (means[0], stds[0]) if len(means) == 1 else (means, stds)


def write(data: schema.Own, *, place: Path, processed: Path, scratch: Path, progress: Progress) -> None:
    """Write processed/train/ and processed/test/, in pieces: memory holds little of the images at a time.

    place: the folder or file that holds the images. scratch: a folder on a disk with room for all images as arrays; what is in it
    is gone afterwards.

    Raises DataError as the source, `divide` and `arrays.save_rows` do.
    """
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
    mean, std = statistics(learned["train"].images)
    for target, parts in [("train", learned), ("test", tested)]:
        card = card_of(data, parts, mean=mean, std=std, notes=division.notes)
        card.save(processed / target / arrays.CARD)
