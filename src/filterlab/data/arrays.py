"""What preprocess leaves for the stages after it: arrays, and a card that describes them."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from filterlab.errors import DataError
from filterlab.files import replacing

_MAKE_ANEW = "`dvc repro preprocess` makes it anew"


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """images: (N, C, H, W) uint8, the raw pixel values 0..255. labels: (N,) uint8."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        assert self.images.dtype == self.labels.dtype == np.uint8, (self.images.dtype, self.labels.dtype)
        assert self.images.ndim == 4 and self.labels.shape == self.images.shape[:1], (self.images.shape, self.labels.shape)

    def __len__(self) -> int:
        return len(self.labels)

    def save(self, folder: Path, name: str) -> None:
        """Write <name>_images.npy and <name>_labels.npy. Raises DataError if they cannot be written."""
        for kind, array in [("images", self.images), ("labels", self.labels)]:
            with replacing(folder / f"{name}_{kind}.npy") as file:
                np.save(file, array, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote. Raises DataError if a file is missing or damaged, or if the two do not belong together."""
        images, labels = _load(folder / f"{name}_images.npy", ndim=4), _load(folder / f"{name}_labels.npy", ndim=1)
        if len(images) != len(labels):
            raise DataError(
                f"{folder}: {name}_images.npy has {len(images):,} images, {name}_labels.npy {len(labels):,} labels, "
                f"expected one for each; {_MAKE_ANEW}"
            )
        return cls(images=images, labels=labels)


@dataclass(frozen=True)
class Card:
    """What the arrays in a folder are, without reading them.

    counts: images in each part. mean, std: of the pixels / 255 of the training part alone (validation and test left out), also
    on the test set's card. digest: see `digest`. made_from: stands for what was asked for, see `prepare.made_from`.
    """

    name: str
    classes: list[str]
    channels: int
    height: int
    width: int
    counts: dict[str, int]
    mean: float
    std: float
    digest: str
    made_from: str

    def save(self, path: Path) -> None:
        """Write JSON, the same bytes for equal cards. Raises DataError if it cannot be written."""
        with replacing(path) as file:
            file.write((json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises DataError if it is missing or not a card."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except OSError as error:
            raise _missing(path, error) from error
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: expected the card of a data set, found something else ({error}); {_MAKE_ANEW}") from error


def digest(parts: dict[str, LabelledImages]) -> str:
    """SHA-256 (hex) over the parts in their order: names, shapes and bytes."""
    whole = hashlib.sha256()
    for name, part in parts.items():
        for array in (part.images, part.labels):
            whole.update(f"{name} {array.shape}\n".encode())
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def _load(path: Path, *, ndim: int) -> np.ndarray:
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise _missing(path, error) from error
    except Exception as error:  # a header is Python source: besides ValueError, whatever its parser raises
        raise DataError(f"{path}: expected an array, found a damaged file ({error}); {_MAKE_ANEW}") from error
    if array.dtype != np.uint8 or array.ndim != ndim:
        found = f"one of {array.dtype} and shape {array.shape}"
        raise DataError(f"{path}: expected an array of uint8 with {ndim} dimensions, found {found}; {_MAKE_ANEW}")
    return array


def _missing(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read {path}: {error.strerror or error}; `dvc repro preprocess` makes it")
