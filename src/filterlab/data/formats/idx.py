"""IDX: MNIST's four files and their names."""

from pathlib import Path
from typing import TYPE_CHECKING

from filterlab.data.format import Format, Pair

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "train": Pair(images="train-images-idx3-ubyte", labels="train-labels-idx1-ubyte"),
    "test": Pair(images="t10k-images-idx3-ubyte", labels="t10k-labels-idx1-ubyte"),
}


def read(content: bytes, path: Path) -> "np.ndarray":
    from filterlab.data import idx  # brings numpy, which a configuration does without

    return idx.parse(content, path)


NAMES = {"idx": Format(FILES, images=read, labels=read, gzipped=True)}
