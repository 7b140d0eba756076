"""IDX, the format of MNIST's files (described at the end of LeCun's MNIST page).

A file is two zero bytes, the type of the elements (8: unsigned byte, the only one here), the number of dimensions, each
dimension as a big-endian 32-bit number, and the elements, last dimension fastest.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from filterlab.errors import DataError
from filterlab.files import blaming, replacing

UNSIGNED_BYTE = 8
MAX_DIMENSIONS = 4  # labels have 1, grey images 3, color images 4


def read(path: Path) -> np.ndarray:
    """The array in an IDX file, gzipped if its name ends with .gz: uint8, of 1 to 4 dimensions, none of them 0, read-only.

    Raises DataError as `parse` does, and where the file can't be read.
    """
    with blaming(path, verb="read"):
        content = path.read_bytes()
    return parse(unzip(content, path) if path.suffix == ".gz" else content, path)


# type of the elements -> NumPy's, big-endian
ELEMENTS = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def parse(content: bytes, path: Path, *, kinds: Collection[int] = (UNSIGNED_BYTE,)) -> np.ndarray:
    """The array in the content of the unpacked file `path`; see `read`. kinds: the types that its elements may have.

    The header is believed only where the file is as long as it says. Raises DataError otherwise, naming the file, what was
    found and what was expected.
    """
    if len(content) < 4:
        raise DataError(f"{path}: {len(content)} bytes, expected at least the 4 of the magic number of an IDX file")
    zeros, kind, dimensions = struct.unpack_from(">HBB", content)
    if zeros != 0 or kind not in kinds or not 1 <= dimensions <= MAX_DIMENSIONS:
        what = "unsigned bytes" if kinds == (UNSIGNED_BYTE,) else f"elements of one of the types {', '.join(map(hex, kinds))}"
        raise DataError(
            f"{path}: magic number 0x{content[:4].hex()}, expected 0x00000801 to 0x0000080{MAX_DIMENSIONS} "
            f"(IDX, {what}, 1 to {MAX_DIMENSIONS} dimensions)"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path}: {len(content)} bytes, expected a header of {header} for {dimensions} dimensions")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    size = " x ".join(str(length) for length in shape)
    if 0 in shape:
        raise DataError(f"{path}: its header says {size} elements, expected at least one")
    element = np.dtype(ELEMENTS[kind])
    expected, found = math.prod(shape) * element.itemsize, len(content) - header
    if found != expected:
        what = f"cut short by {expected - found:,} bytes" if found < expected else f"{found - expected:,} bytes too many"
        raise DataError(f"{path}: {found:,} bytes after the header, expected {expected:,} ({size}): {what}")
    return np.frombuffer(content, element, offset=header).reshape(shape)


def write(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array of 1 to 4 dimensions, gzipped if the name ends with .gz (without a date: same array, same bytes).

    Raises DataError for any other array and for a file that cannot be written.
    """
    try:
        content = encode(array)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    with replacing(path) as file:
        file.write(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def encode(array: np.ndarray) -> bytes:
    """The content of an unpacked file. Raises ValueError for anything but uint8 of 1 to 4 dimensions, none of them 0."""
    if array.dtype != np.uint8 or not 1 <= array.ndim <= MAX_DIMENSIONS or array.size == 0:
        raise ValueError(
            f"cannot hold an array of {array.dtype} and shape {array.shape}, "
            f"expected uint8, 1 to {MAX_DIMENSIONS} dimensions, at least one element"
        )
    return struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape) + array.tobytes()


def unzip(content: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise DataError(f"{path}: the gzip stream ends early after {len(content):,} bytes: the file is cut short") from error
    except (gzip.BadGzipFile, zlib.error, struct.error) as error:
        raise DataError(f"{path}: not a sound gzip file ({error}), expected one by its name") from error
