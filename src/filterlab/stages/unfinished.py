"""A training that broke off: its checkpoints and its run's id, kept until the same training is finished."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from filterlab import files
from filterlab.config import schema
from filterlab.errors import UserError

TRAINS_ON = ["model", "optimizer", "schedule", "augment", "trainer", "seed"]


class Unfinished:
    """The folder of one experiment's checkpoints: same configuration, data, code and sweep, same folder.

    A checkpoint names its folder, so a repository that has moved starts anew: its place is part of the key.
    """

    def __init__(self, root: Path, config: schema.Config, *, data: str, code: str, sweep: str = ""):
        sections = dataclasses.asdict(config)
        key = json.dumps([str(root.resolve()), data, code, sweep, *(sections[section] for section in TRAINS_ON)], sort_keys=True)
        self.folder = root / "checkpoints" / hashlib.sha256(key.encode()).hexdigest()[:16]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For the time of the training: no other process goes on with its checkpoints or its run. What ends well leaves nothing.

        Raises UserError: another process runs this training. A process that is killed gives it free.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        path = self.folder.with_suffix(".lock")  # beside the folder, which is removed while the lock is held
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"this very training is being run by another process, which keeps its checkpoints in {self.folder} "
                f"and holds {path}: wait for its end, or change something, e.g. the seed"
            ) from None
        try:
            yield
            shutil.rmtree(self.folder)
        finally:
            path.unlink(missing_ok=True)  # while it is held: a lock on a file without a name is none, as filelock sees
            lock.release()

    @property
    def run_id(self) -> str:
        """Of the run that broke off; empty where there is none."""
        record = self.folder / "run_id"
        return record.read_text() if record.exists() else ""

    def begin(self, run_id: str) -> Path:
        """The folder, ready to take checkpoints of that run. Raises DataError where it can't be written."""
        files.write(self.folder / "run_id", run_id)
        return self.folder
