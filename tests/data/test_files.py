import resource
from pathlib import Path

import pytest

from filterlab.data.files import replacing
from filterlab.errors import DataError


def test_replaces_at_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    for content in (b"old", b"new"):
        with replacing(path) as file:
            file.write(content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_full_disk_keeps_the_old_file(tmp_path: Path, file_size_limit) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match=r"cannot write .*file: File too large"), file_size_limit(1000), replacing(path) as file:
        file.write(bytes(10_000))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_no_room_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot write .*file: No space left on device"), replacing(tmp_path / "file") as file:
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
        file.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot write .*data/raw/file: Not a directory"), replacing(tmp_path / "data/raw/file"):
        pass
