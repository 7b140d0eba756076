"""JSON files that carry the SHA-256 of their own content, so that damage is seen when they are read."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filterlab import files
from filterlab.errors import DataError

FIELD = "sha256"


def sha256(content: bytes) -> str:
    """In hex digits."""
    return hashlib.sha256(content).hexdigest()


def text(values: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """The object as JSON, its digest last; the same text for equal objects in the same order."""
    return json.dumps({**values, FIELD: _digest(values)}, indent=indent, ensure_ascii=False) + "\n"


def write(path: Path, values: Mapping[str, Any]) -> str:
    """Gives the SHA-256 (hex) of the file. Raises DataError if it cannot be written."""
    return files.write(path, text(values))


def read(path: Path, *, keys: Sequence[str] = (), remedy: str) -> dict[str, Any]:
    """What `write` wrote. Raises DataError, which ends with the remedy: it is missing, unreadable, damaged, or lacks a key."""
    content = read_bytes(path, remedy=remedy)
    try:
        return with_keys(parse(content), keys, path, remedy=remedy)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; {remedy}") from error


def with_keys(values: dict[str, Any], keys: Sequence[str], path: Path, *, remedy: str) -> dict[str, Any]:
    """`values`, which were read from `path`. Raises DataError where they lack one of the keys."""
    if missing := [key for key in keys if key not in values]:
        raise DataError(f"{path} lacks {', '.join(missing)}: another version wrote it; {remedy}")
    return values


def parse(content: bytes) -> dict[str, Any]:
    """The object that `text` made. Raises ValueError: it is none, or not what was written."""
    values = parse_object(content)
    if FIELD not in values:
        raise ValueError(f"it lacks {FIELD}, the digest of its content")
    if values.pop(FIELD) != _digest(values):
        raise ValueError(f"its content is not what {FIELD} says")
    return values


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object of any kind. Raises ValueError: it is none."""
    try:
        values = json.loads(content)  # ValueError: no JSON, or not even UTF-8
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError(f"it holds a {type(values).__name__}, expected an object")
    return values


def read_bytes(path: Path, *, sha256: str | None = None, remedy: str) -> bytes:
    """A file's content. Raises DataError, which ends with the remedy: it is missing, unreadable or of another digest."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {remedy}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; {remedy}") from error
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(
            f"{path} is damaged, or not the file that was written: its SHA-256 begins with {found[:12]}, expected {sha256[:12]}; "
            f"{remedy}"
        )
    return content


def _digest(values: Mapping[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode())
