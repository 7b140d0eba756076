"""The prepared data: arrays on disk, and a card that describes them."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from filterlab import seal
from filterlab.data import remedy
from filterlab.errors import DataError
from filterlab.files import replacing

CARD = "card.json"
Scale = float | list[float]  # of all channels, or one a channel
LABELS = [np.uint8, np.uint16]
PIECE = 1 << 26  # bytes of images that are held at a time
MAPPED = 1 << 28  # bytes of a file from which on it is mapped: batches are read from it, and the system keeps what memory allows


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """images: (N, C, H, W) uint8, the raw pixel values 0..255. labels: (N,) uint8, or uint16 where there are more classes."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8 and self.labels.dtype in LABELS, (self.images.dtype, self.labels.dtype)
        assert self.images.ndim == 4 and self.labels.shape == self.images.shape[:1], (self.images.shape, self.labels.shape)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Card:
    """What the arrays in a folder are, without reading them.

    counts: images in each part. mean, std: of the pixels / 255 of the training part alone (validation and test left out), also
    on the test set's card; a number a channel of a user's own images in colour. digest: see `digest`. made_from: stands for what
    was asked for, see `prepare.made_from`.
    notes: what was left out of a user's own images, or is there twice, and how many these are; not in the file if nothing was.
    """

    name: str
    classes: list[str]
    channels: int
    height: int
    width: int
    counts: dict[str, int]
    mean: Scale
    std: Scale
    digest: str
    made_from: str
    notes: dict[str, int] = dataclasses.field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write JSON, the same bytes for equal cards. Raises DataError if it cannot be written."""
        values = dataclasses.asdict(self)
        seal.write(path, values if self.notes else {name: value for name, value in values.items() if name != "notes"})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises DataError if it is missing, damaged or not a card."""
        values = seal.read(path, remedy=remedy.prepared(path.parent))
        try:
            return cls(**values)
        except TypeError as error:
            raise DataError(f"{path} is not the card of a data set ({error}); {remedy.prepared(path.parent)}") from error


def save(folder: Path, parts: Mapping[str, LabelledImages], card: Card) -> None:
    """Write <part>_images.npy and <part>_labels.npy of each part, then card.json. Raises DataError if one cannot be written."""
    for name, part in parts.items():
        for kind, array in [("images", part.images), ("labels", part.labels)]:
            with replacing(folder / f"{name}_{kind}.npy") as file:
                np.save(file, array, allow_pickle=False)
    card.save(folder / CARD)


def save_rows(folder: Path, name: str, images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> LabelledImages:
    """Write a part as `save` does, from rows of larger arrays, in pieces; gives it mapped. Raises DataError."""
    shape = (len(rows), *images.shape[1:])
    step = max(1, PIECE // math.prod(shape[1:]))
    with replacing(folder / f"{name}_images.npy") as file:
        header = {"descr": np.lib.format.dtype_to_descr(images.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, len(rows), step):
            file.write(images[rows[first : first + step]].tobytes())
    with replacing(folder / f"{name}_labels.npy") as file:
        np.save(file, labels[rows], allow_pickle=False)
    return LabelledImages(np.load(folder / f"{name}_images.npy", mmap_mode="r"), labels[rows])


def load(folder: Path) -> tuple[Card, dict[str, LabelledImages]]:
    """Read what `save` wrote: the card and its parts, checked against the card's digest (MNIST: 33 ms); large ones are mapped.

    Raises DataError if a file is missing or damaged, or if the arrays are not those that the card describes.
    """
    card = Card.load(folder / CARD)
    parts = {}
    for name in card.counts:
        images, labels = (_load(folder / f"{name}_{kind}.npy", ndim=ndim) for kind, ndim in [("images", 4), ("labels", 1)])
        if len(images) != len(labels):
            raise DataError(
                f"{folder}: {name}_images.npy has {len(images):,} images, {name}_labels.npy {len(labels):,} labels, "
                f"expected one for each; {remedy.prepared(folder)}"
            )
        parts[name] = LabelledImages(images=images, labels=labels)
    if (found := digest(parts)) != card.digest:
        raise DataError(
            f"{folder}: the arrays are damaged, or not those that {CARD} describes: their digest begins with {found[:12]}, "
            f"expected {card.digest[:12]}; {remedy.prepared(folder)}"
        )
    return card, parts


def digest(parts: Mapping[str, LabelledImages]) -> str:
    """SHA-256 (hex) over the parts in their order: names, shapes and bytes."""
    whole = hashlib.sha256()
    for name, part in parts.items():
        for array in (part.images, part.labels):
            whole.update(f"{name} {array.shape}\n".encode())
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def _load(path: Path, *, ndim: int) -> np.ndarray:
    try:
        if path.stat().st_size >= MAPPED:  # copied on writing, which nobody does: PyTorch takes no read-only memory
            array: np.ndarray = np.lib.format.open_memmap(path, mode="c")
        else:
            with path.open("rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {remedy.prepared(path.parent)}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; {remedy.prepared(path.parent)}") from error
    except Exception as error:  # a header is Python source: besides ValueError, whatever its parser raises
        raise DataError(f"{path}: expected an array, found a damaged file ({error}); {remedy.prepared(path.parent)}") from error
    if array.dtype not in (LABELS if ndim == 1 else [np.uint8]) or array.ndim != ndim:
        found = f"one of {array.dtype} and shape {array.shape}"
        raise DataError(
            f"{path}: expected an array of uint8 with {ndim} dimensions, found {found}; {remedy.prepared(path.parent)}"
        )
    return array
