import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from filterlab.data import idx
from filterlab.errors import DataError

ARRAYS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, max_side=6))
HEADERS = st.builds(
    lambda zeros, kind, shape, rest: struct.pack(f">HBB{len(shape)}I", zeros, kind, len(shape), *shape) + rest,
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([8, 8, 8, 9]),
    st.lists(st.one_of(st.integers(0, 3), st.sampled_from([2**31, 2**32 - 1])), max_size=6),
    st.binary(max_size=30),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx")


@given(array=ARRAYS, suffix=st.sampled_from(["", ".gz"]))
@settings(deadline=None, max_examples=50)
def test_round_trip(folder: Path, array: np.ndarray, suffix: str) -> None:
    idx.write(folder / f"array{suffix}", array)
    found = idx.read(folder / f"array{suffix}")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array, strict=True)


@given(content=st.one_of(st.binary(max_size=60), HEADERS))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_an_array_that_writes_back_to_them_or_a_fault(folder: Path, content: bytes) -> None:
    path = folder / "any"
    path.write_bytes(content)
    try:
        array = idx.read(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        idx.write(path, array)
        assert path.read_bytes() == content


@given(content=st.binary(max_size=60), cut=st.integers(0, 80), flip=st.integers(0, 79))
@settings(deadline=None, max_examples=100)
def test_any_gzip_bytes_are_an_array_or_a_fault(folder: Path, content: bytes, cut: int, flip: int) -> None:
    zipped = bytearray(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", len(content)) + content, mtime=0))
    zipped[flip % len(zipped)] ^= 1
    path = folder / "any.gz"
    path.write_bytes(bytes(zipped[:cut]))
    try:
        idx.read(path)
    except DataError as error:
        assert str(path) in str(error)


def test_gzip_has_no_date(folder: Path) -> None:
    idx.write(folder / "dated.gz", np.arange(9, dtype=np.uint8))
    assert (folder / "dated.gz").read_bytes()[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes, expected at least the 4"),
        (b"\0\0\x0d\x01\0\0\0\0", "magic number 0x00000d01, expected 0x00000801 to 0x00000804"),
        (b"\x1f\x8b\x08\x00", "magic number 0x1f8b0800"),
        (b"\0\0\x08\x00", "magic number 0x00000800"),
        (b"\0\0\x08\x03\0\0\0\1", "8 bytes, expected a header of 16 for 3 dimensions"),
        (b"\0\0\x08\x01\0\0\0\3ab", "2 bytes after the header, expected 3 (3): cut short by 1 bytes"),
        (b"\0\0\x08\x01\0\0\0\3abcde", "5 bytes after the header, expected 3 (3): 2 bytes too many"),
        (b"\0\0\x08\x02\0\0\0\0\0\0\0\2", "its header says 0 x 2 elements, expected at least one"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"ab", "2 bytes after the header, expected 79,228,162,458,924,105,385,300,197,375"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        idx.read(path)
    assert str(path) in str(caught.value) and says in str(caught.value)


def test_gzip_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    idx.write(path, np.random.Generator(np.random.PCG64(0)).integers(0, 256, 1000, np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(DataError, match=r"labels\.gz: the gzip stream ends early after 500 bytes"):
        idx.read(path)
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    with pytest.raises(DataError, match=r"labels\.gz: not a sound gzip file \(CRC check failed"):
        idx.read(path)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"labels\.gz: not a sound gzip file \(Not a gzipped file"):
        idx.read(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none: No such file or directory"):
        idx.read(tmp_path / "none")


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((), np.uint8), np.zeros((1,) * 5, np.uint8), np.zeros((2, 0), np.uint8)])
def test_only_what_can_be_read_is_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected uint8, 1 to 4 dimensions"):
        idx.write(tmp_path / "file", array)
    assert list(tmp_path.iterdir()) == []
