"""Writer: the one process that adds records and files to a spool."""

import hashlib
import io
import json
import os
import shutil
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import files
from filterlab.errors import DataError
from filterlab.tracking.spool import Spool
from filterlab.tracking.steps import Steps

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Writer:
    """The one that adds records to a spool; open it in `spool.held("writer")`.

    Attributes:
        logged: what the spool has points of already: a training that goes on logs some again.
    """

    spool: Spool
    logged: Steps = field(default_factory=Steps)
    if_new: bool = False

    def __post_init__(self) -> None:
        """Reads what is there, and cuts off a record that broke off. Raises DataError: damaged, or it can't be written."""
        whole = 0
        for record in self.spool.read():
            whole = record.end
            if record.method == "log_metrics":
                self.logged.add((name, step) for name, _, step in record.arguments["points"])
        with files.blaming(self.spool.folder, verb="write"):
            (self.spool.folder / "files").mkdir(parents=True, exist_ok=True)
            self.file = self.spool.records.open("ab", buffering=0)
            if self.file.tell() > whole:
                self.file.truncate(whole)
        self.end = whole
        self.lock = threading.Lock()

    def add(self, method: str, /, **arguments: Any) -> None:
        """Add a record. Raises DataError: it can't be written."""
        self._check_place()
        record = {"method": method, "arguments": arguments, "at": time.time_ns() // 1_000_000}
        if self.if_new:
            record["if_new"] = True
        with self.lock, files.blaming(self.spool.records, verb="write"):
            line = _line(record, start=self.end)
            self.file.write(line)
            self.end += len(line)

    def flush(self) -> None:
        """All records are on the disk when this returns. Raises DataError: they can't be."""
        with files.blaming(self.spool.records, verb="write"):
            os.fsync(self.file.fileno())

    def add_metrics(self, metrics: Mapping[str, float], *, step: int, once: bool) -> None:
        """`once`: leave out what the spool has of this step already."""
        points = [(name, float(number), step) for name, number in metrics.items() if not once or (name, step) not in self.logged]
        if points:
            self.add("log_metrics", points=points)
            self.logged.add((name, step) for name, _, step in points)

    def keep(self, path: Path, *, linked: bool = False) -> str:
        """Keep a file's content; gives its SHA-256. Raises DataError: it can't be read or written.

        linked: the file itself, where it is on the same disk, as one that is never written to again.
        """
        self._check_place()
        with files.blaming(path, verb="read"), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = self.spool.file(digest)
        if linked and not kept.exists():
            with suppress(OSError):  # another disk, or one without links
                kept.hardlink_to(path)
        if not kept.exists():
            with files.replacing(kept) as new, path.open("rb") as old:
                shutil.copyfileobj(old, new)
        return digest

    def keep_all(self, path: Path) -> dict[str, str]:
        """A file, or those in a folder: their SHA-256 by the path from `path`'s own folder on."""
        found = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        return {each.relative_to(path.parent).as_posix(): self.keep(each) for each in found}

    def keep_array(self, array: "np.ndarray") -> str:
        """Keep a numpy array; gives the SHA-256 of its file in numpy's format."""
        import numpy as np

        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        return self.keep_bytes(content.getvalue())

    def keep_bytes(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        if not self.spool.file(digest).exists():
            files.write(self.spool.file(digest), content)
        return digest

    def _check_place(self) -> None:
        if not self.spool.records.exists():
            raise DataError(
                f"{self.spool.folder} is not there any longer: the repository was moved or deleted while the run was under way; "
                "give the command again where it is now"
            )

    def close(self) -> None:
        self.file.close()


def _line(record: Mapping[str, Any], *, start: int) -> bytes:
    """start: the byte of the file at which it will begin; a line that is moved, doubled or dropped is damage too."""
    content = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(content, start & 0xFFFFFFFF), content)
