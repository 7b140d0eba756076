"""A training that broke off: its checkpoints and its id, kept until the same training is finished."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filterlab import files, seal
from filterlab.config import resolved, schema
from filterlab.errors import DataError, UserError
from filterlab.training import bucket

RECORD = "id.json"


class Unfinished:
    """The folder of one training's checkpoints: same configuration, data, code and sweep, same folder."""

    def __init__(self, root: Path, config: schema.Config, *, data: str, code: str, sweep: str = ""):
        key = json.dumps([data, code, sweep, *resolved.deciding(config)], sort_keys=True)
        self.folder = root / "checkpoints" / hashlib.sha256(key.encode()).hexdigest()[:16]
        away = bucket.kept(self.folder, config.trainer.checkpoints)
        self.away = away if isinstance(away, bucket.S3Path) else None  # where the checkpoints are, and the id too

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A lock on this training: no other process continues its checkpoints or its run. Where it ends well, the folder goes.

        Raises UserError: another process runs this training. A process that is killed gives it free.
        """
        lock = self.folder.with_suffix(".lock")  # beside the folder, which goes while the lock is held
        busy = UserError(
            f"this very training is being run by another process, which keeps its checkpoints in {self.folder} "
            f"and holds {lock}: wait for its end, or change something, e.g. the seed"
        )
        with files.held(lock, otherwise=busy):
            removed = self.folder.with_suffix(".finished")
            shutil.rmtree(removed, ignore_errors=True)  # what a kill left of it
            yield
            if self.folder.exists():
                self.folder.rename(removed)  # at once: of a folder that is removed piece by piece, a kill would leave a part
                shutil.rmtree(removed)
            if self.away:
                self._remove_away(self.away)

    @staticmethod
    def _remove_away(away: bucket.S3Path) -> None:
        """The id last: what a kill leaves is the same run's still. A finished training fails of nothing that happens here."""
        try:
            for path in sorted(away.glob("*"), key=lambda path: path.name == RECORD):
                path.unlink()
        except OSError as error:
            print(f"NOTE: what is left in {away} could not be removed, and is of no use any longer: {error.strerror}", flush=True)

    def begin(self, text: str) -> str:
        """The training's id, 32 hex digits: made now, or when it broke off. `text` is its resolved config, for its run.

        A copy of the folder gets an id of its own: the original may go on too, and a run belongs to one training. (Known by path
        and inode together: a folder that is moved keeps its inode, and one that stays keeps its path.)

        Of checkpoints in a bucket the id is there too: on whichever machine the training goes on, it is the same run.

        Raises DataError where the folder, or the bucket, can't be written, or the id is damaged.
        """
        record, remedy = self.folder / RECORD, f"remove {self.folder} to train from the start"
        with files.blaming(self.folder, verb="write"):
            self.folder.mkdir(parents=True, exist_ok=True)
            place = {"path": str(self.folder.resolve()), "inode": self.folder.stat().st_ino}
        kept = seal.read(record, remedy=remedy) if record.exists() else {}
        if kept and kept["training"] != self.folder.name:
            raise DataError(f"{record} is another training's: {remedy}")
        if not kept or all(kept.get(key, here) != here for key, here in place.items()):
            kept = {"id": uuid.uuid4().hex, "training": self.folder.name} | place
            seal.write(record, kept)
        if self.away:
            kept["id"] = self._shared(self.away / RECORD, str(kept["id"]))
            seal.write(record, kept)
        files.write(self.folder / resolved.RESOLVED.name, text)
        return str(kept["id"])

    def _shared(self, record: bucket.S3Path, identity: str) -> str:
        """The id that the bucket has for this training; where it has none, `identity`, which it has then."""
        remedy = f"remove {self.away} to train from the start"
        with files.blaming(record, verb="read or write"):
            try:
                content = record.read_bytes()
            except FileNotFoundError:
                record.write_bytes(seal.text({"id": identity, "training": self.folder.name}).encode())
                return identity
        try:
            found = seal.parse(content)
        except ValueError as error:
            raise DataError(f"{record} is damaged: {error}; {remedy}") from error
        if found["training"] != self.folder.name:
            raise DataError(f"{record} is another training's: {remedy}")
        return str(found["id"])
