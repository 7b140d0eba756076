"""Atomic writes and locks: files that are either whole or not there."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filterlab.errors import DataError, UserError


@contextmanager
def blaming(path: object, *, verb: str) -> Iterator[None]:
    """Turn an OSError (disk full, no permission, ...) into a DataError that says what could not be done to `path`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot {verb} {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write into; it becomes `path` once all of it is on the disk, and vanishes if anything fails before.

    Folders are made as needed. Raises DataError naming `path` and the reason.
    """
    # Not the process's number: on a shared file system another machine has processes of the same numbers.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with blaming(path, verb="write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> str:
    """The whole content, text in UTF-8. Gives its SHA-256 (hex). Raises DataError as `replacing` does."""
    whole = content.encode() if isinstance(content, str) else content
    with replacing(path) as file:
        file.write(whole)
    return hashlib.sha256(whole).hexdigest()


TRIES = 100  # to make a folder that others may tidy up while it is empty


@contextmanager
def held(lock: Path, *, otherwise: UserError) -> Iterator[None]:
    """For the time of the block, `lock` is this process's alone; raises `otherwise` where another one holds it.

    Folders are made as needed, and the file is gone afterwards. A process that is killed gives it free.
    """
    from filelock import FileLock, Timeout

    holder = FileLock(lock)
    with blaming(lock, verb="write"):
        for left in reversed(range(TRIES)):
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                holder.acquire(timeout=0)
                break
            except Timeout:
                raise otherwise from None
            except FileNotFoundError:  # another process has tidied the empty folder up in between
                if not left:
                    raise
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: a lock on a file without a name is none, as filelock sees
        holder.release()
