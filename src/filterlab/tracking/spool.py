"""Spool: what a run logs, first on the local disk: a folder a run, from which a sender brings it to the store.

spool/<name>/records   a line a record: CRC-32 of it and its place (8 hexadecimal digits), a space, JSON; lines are only added
spool/<name>/files/    what records name: contents by their SHA-256
spool/<name>/sent      how far a store has it; see Sent
spool/<name>/*.lock    held by the one process that writes, and by the one that sends

The name is the run's identity; of what is added to a finished run its id, a dot and a number of its own. No absolute path is in
it: a copy elsewhere can be sent from there.
"""

import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import files, seal
from filterlab.errors import DataError, UserError

if TYPE_CHECKING:
    pass

FOLDER = Path("spool")
LAST = 4096  # bytes in which the last record is looked for: a run's end takes some 80
BEGIN = ("create", "attach")  # the records that say which run the ones after them are of


@dataclass(frozen=True)
class Record:
    """What was logged, in one record.

    Attributes:
        method: of Sender; `arguments` are its own.
        at: milliseconds since 1970, UTC, when it was logged.
        end: bytes of the file up to its end.
        if_new: of a restored run alone: left out where the store has the run already.
    """

    method: str
    arguments: dict[str, Any]
    at: int
    end: int
    if_new: bool = False


@dataclass
class Sent:
    """How far one store has the records: up to byte `offset`, as MLflow's run `run` of `experiment` at `to`, which was `new`."""

    to: str = ""
    experiment: str = ""
    run: str = ""
    new: bool = False
    offset: int = 0


@dataclass(frozen=True)
class Spool:
    """The folder of one run's records."""

    folder: Path

    @property
    def records(self) -> Path:
        return self.folder / "records"

    @property
    def run(self) -> str:
        """The run's identity, or id."""
        return self.folder.name.partition(".")[0]

    @property
    def adds(self) -> bool:
        """To a run that is not its own, and may have a spool itself."""
        return "." in self.folder.name

    def exists(self) -> bool:
        return self.records.exists()

    def file(self, digest: str) -> Path:
        return self.folder / "files" / digest

    def copy(self, digest: str, place: Path) -> None:
        """Copy the file of that SHA-256. Raises DataError: it is missing or damaged."""
        content = seal.read_bytes(self.file(digest), sha256=digest, remedy="bring it back from a copy of the spool")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def read(self, start: int = 0) -> Iterator[Record]:
        """The whole records after byte `start`; one that is being written, or broke off, is none yet.

        Raises DataError: a record is damaged.
        """
        if not self.exists():
            return
        with self.records.open("rb") as lines:
            lines.seek(start)
            end = start
            for line in lines:
                end += len(line)
                if not line.endswith(b"\n"):
                    return
                try:
                    yield Record(**_parse(line, start=end - len(line)), end=end)
                except (ValueError, TypeError) as error:
                    raise DataError(
                        f"{self.records} is damaged at byte {end - len(line)} ({error}): bring it back from a copy, or take out "
                        "the line that begins there, and what it held is lost"
                    ) from error

    def sent(self) -> Sent:
        """Nothing, where it is not there or damaged: what is sent again is not there twice."""
        try:
            return Sent(**seal.parse((self.folder / "sent").read_bytes()))
        except (OSError, ValueError, TypeError):
            return Sent()

    def save_sent(self, sent: Sent) -> None:
        """Not where the records have gone: their folder would be made anew."""
        if self.exists():
            files.write(self.folder / "sent", seal.text(asdict(sent)))

    def left(self, to: str = "") -> int:
        """How many records the store at `to` has not got; of any store, by default."""
        sent = self.sent()
        return sum(1 for _ in self.read(sent.offset if to in ("", sent.to) else 0))

    def lines_left(self, to: str) -> int:
        """As `left`, for a moment that leaves no time: unread, of a million records, in less than a second."""
        sent = self.sent()
        with self.records.open("rb") as file:
            file.seek(sent.offset if to == sent.to else 0)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def meant_for(self) -> tuple[str, str, str]:
        """The experiment, tracking.backend and the server's address that its run began with."""
        first = next(self.read(), None)
        if first is None or first.method != "open":
            raise DataError(f"{self.records} does not begin as a spool does: it is none, or its beginning is missing")
        return first.arguments["experiment"], first.arguments["backend"], first.arguments["server"]

    def ended(self) -> str:
        """The status by which the run has ended; empty while it has not. Of all records only the last one is looked at."""
        if not self.exists():
            return ""
        with self.records.open("rb") as file:
            first = max(0, file.seek(0, os.SEEK_END) - LAST)
            file.seek(first)
            whole = file.read().rpartition(b"\n")[0]
        start = whole.rfind(b"\n") + 1
        try:
            last = Record(**_parse(whole[start:], start=first + start), end=0)
        except (ValueError, TypeError):  # longer than an end is, or damaged, which is said where it is sent
            return ""
        return str(last.arguments["status"] or "FINISHED") if last.method == "end" else ""

    @contextmanager
    def held(self, by: str) -> Iterator[None]:
        """For the time of the block this process is the only `writer`, or `sender`.

        Raises BusyError where another one is, GoneError where the repository is not there any longer.
        """
        if not self.folder.parent.parent.is_dir():  # it would be made anew, for the lock
            raise GoneError(f"{self.folder} is not there any longer: the repository was moved or deleted")
        lock = self.folder / f"{by}.lock"
        try:
            with files.held(lock, otherwise=BusyError(f"another process holds {lock}: wait for its end")):
                yield
        finally:
            self._tidy()

    def remove(self) -> None:
        """Call it as the only sender, when all has been sent."""
        gone = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        self.folder.rename(gone)
        shutil.rmtree(gone)
        self._tidy()

    def _tidy(self) -> None:
        """Remove folders in which there is nothing any longer."""
        if not self.exists():
            with suppress(OSError):  # there is
                self.folder.rmdir()
            if self.folder.parent.name == FOLDER.name:  # and not a folder of the user's, with a copy in it
                with suppress(OSError):
                    self.folder.parent.rmdir()


class BusyError(UserError):
    """Another process writes to a spool, or sends it."""


class GoneError(UserError):
    """The repository that a spool was in is not there."""


def find(home: Path) -> list[Spool]:
    """Those of a repository, the oldest first."""
    return find_below(home / FOLDER)


def find_below(folder: Path) -> list[Spool]:
    """Those in a folder; the folder may be one itself."""
    if (folder / "records").exists():
        return [Spool(folder)]
    found = [path.parent for path in folder.glob("[!.]*/records")]
    return [Spool(each) for each in sorted(found, key=lambda each: (each / "records").stat().st_ctime_ns)]


def _parse(line: bytes, *, start: int) -> dict[str, Any]:
    found, _, content = line.rstrip(b"\n").partition(b" ")
    if found != b"%08x" % zlib.crc32(content, start & 0xFFFFFFFF):
        raise ValueError("its checksum is another one")
    return seal.parse_object(content)
