"""Whole or not there, whatever ends the writing."""

import csv
import errno
import os
import resource
from pathlib import Path
from typing import Any

import filelock
import pytest

from filterlab import files, tables
from filterlab.errors import DataError, UserError
from filterlab.files import replacing


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
        file.write(b"x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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


def test_text_bytes_and_tables(tmp_path: Path, file_size_limit) -> None:
    files.write(tmp_path / "text", "naïve\n")
    files.write(tmp_path / "bytes", b"\xff\r\n")
    assert (tmp_path / "text").read_bytes() == "naïve\n".encode() and (tmp_path / "bytes").read_bytes() == b"\xff\r\n"
    rows = [["a, b", 0.1], ['"c"\nd', ""]]
    tables.write(tmp_path / "table.csv", ["name", "number"], rows)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name", "number"], ["a, b", "0.1"], ['"c"\nd', ""]]
    with file_size_limit(10), pytest.raises(DataError, match=r"cannot write .*table\.csv: File too large"):
        tables.write(tmp_path / "table.csv", ["longer", "than before"], [])
    assert (tmp_path / "table.csv").read_bytes() == b'name,number\n"a, b",0.1\n"""c""\nd",\n'
    assert len(list(tmp_path.iterdir())) == 3


def test_a_lock_in_a_folder_that_another_process_tidies_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made, found empty by the other one, and gone before the lock is in it: it is made again."""
    lock, acquire, removed = tmp_path / "folder/run/writer.lock", filelock.FileLock.acquire, []

    def acquire_too_late(holder: filelock.FileLock, *given: Any, **named: Any) -> Any:
        if len(removed) < 3:
            lock.parent.rmdir()
            removed.append(lock.parent.parent.rmdir())
            os.close(os.open(lock, os.O_CREAT))  # as it does, once it has made the folder
        return acquire(holder, *given, **named)

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire_too_late)
    with files.held(lock, otherwise=UserError("busy")):
        assert lock.exists() and len(removed) == 3
    assert not lock.exists()
