"""A format of data sets: the names of the files, and how images and labels are read from them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


PARTS = {"train", "test"}


class Pair(NamedTuple):
    """The names of the files that hold a part's images and its labels; it may be one file."""

    images: str
    labels: str


@dataclass(frozen=True)
class Format:
    """The files of a data set and how they are read.

    Attributes:
        files: of each of PARTS, unpacked.
        images: (N, H, W) or (N, C, H, W) uint8, from a file's content; its path is for messages. Raises DataError.
        labels: (N,) uint8, in the same way.
        gzipped: whether they are published with .gz after their names.
    """

    files: dict[str, Pair]
    images: "Callable[[bytes, Path], np.ndarray]"
    labels: "Callable[[bytes, Path], np.ndarray]"
    gzipped: bool = False

    @property
    def published(self) -> list[str]:
        """The names that `data.files` has, sorted."""
        return sorted({name + ".gz" * self.gzipped for pair in self.files.values() for name in pair})
