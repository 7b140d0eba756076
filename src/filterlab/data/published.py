"""A data set's files on disk: data/raw/<folder>/raw/, laid out as torchvision does, and digests.json beside it.

digests.json holds what was asked for (`data.files`, empty for files made here) and the SHA-256 of each unpacked file as it was
written. Who reads the files checks both, so that neither damage nor another data set of the same folder goes unseen.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from filterlab import seal
from filterlab.config import schema
from filterlab.data import formats, remedy
from filterlab.errors import DataError

DIGESTS = "digests.json"


def place(raw: Path, data: schema.Data) -> Path:
    """The folder that holds the files."""
    return raw / data.folder / "raw"


def write_digests(raw: Path, data: schema.Data, digests: Mapping[str, str]) -> None:
    """Record the SHA-256 (hex) of each unpacked file by its name. Raises DataError if it cannot be written."""
    seal.write(raw / data.folder / DIGESTS, {"asked": data.files, "digests": dict(digests)})


def digests(raw: Path, data: schema.Data) -> dict[str, str]:
    """What `write_digests` recorded. Raises DataError: nothing did, the record is damaged, or it is another data set's."""
    path = raw / data.folder / DIGESTS
    found = seal.read(path, remedy=remedy.raw(path.parent))
    if found["asked"] != data.files:
        raise DataError(f"{path.parent} holds the files of another data set than {data.name}: {remedy.raw(path.parent)}")
    return dict(found["digests"])


def holds(raw: Path, data: schema.Data) -> bool:
    """Whether the files of this data set were written there. Raises DataError: the record is damaged."""
    path = raw / data.folder / DIGESTS
    return path.exists() and seal.read(path, keys=["asked"], remedy=remedy.raw(path.parent))["asked"] == data.files


def is_ours(folder: Path) -> bool:
    """Whether all files below a folder of data/raw are as they were written there (none is: an empty folder is)."""
    found = {path for path in folder.rglob("*") if not path.is_dir()}
    if folder.is_symlink() or not folder.is_dir():
        return False
    if not found:
        return True
    try:
        recorded = seal.read(folder / DIGESTS, keys=["asked", "digests"], remedy=remedy.raw(folder))
    except DataError:
        return False
    for path in found - {folder / DIGESTS}:
        content = path.read_bytes()
        known = path.parent == folder / "raw" and (
            recorded["digests"].get(path.name) == seal.sha256(content)
            or recorded["asked"].get(path.name) == hashlib.md5(content, usedforsecurity=False).hexdigest()
        )
        if not known:
            return False
    return True


def read(raw: Path, data: schema.Data, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a part, "train" or "test", as their files have them (MNIST: 25 ms for checking the digests).

    Raises DataError: a file is missing or damaged, or another data set's.
    """
    recorded, format = digests(raw, data), formats.nearest(data.files)

    def content(name: str) -> tuple[bytes, Path]:
        path = place(raw, data) / name
        return seal.read_bytes(path, sha256=recorded[name], remedy=remedy.raw(raw / data.folder)), path

    pair = format.files[part]
    return format.images(*content(pair.images)), format.labels(*content(pair.labels))


def check(raw: Path, data: schema.Data) -> None:
    """Check that each file is there, whole and readable. Raises DataError."""
    if isinstance(data, schema.Own):
        for name, digest in digests(raw, data).items():
            seal.read_bytes(place(raw, data) / name, sha256=digest, remedy=remedy.raw(raw / data.folder))
        return
    for part in ("train", "test"):
        read(raw, data, part)
