"""A training that broke off: its checkpoints and its run's id, kept until the same training is finished."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

from filterlab.config import schema

TRAINS_ON = ["model", "optimizer", "schedule", "augment", "trainer", "seed"]


class Unfinished:
    """The folder of one experiment's checkpoints: same configuration, data, code and sweep, same folder.

    A checkpoint names its folder, so a repository that has moved starts anew: its place is part of the key.
    """

    def __init__(self, root: Path, config: schema.Config, *, data: str, code: str, sweep: str = ""):
        sections = dataclasses.asdict(config)
        key = json.dumps([str(root.resolve()), data, code, sweep, *(sections[section] for section in TRAINS_ON)], sort_keys=True)
        self.folder = root / "checkpoints" / hashlib.sha256(key.encode()).hexdigest()[:16]

    @property
    def run_id(self) -> str:
        """Of the run that broke off; empty where there is none."""
        record = self.folder / "run_id"
        return record.read_text() if record.exists() else ""

    def begin(self, run_id: str) -> Path:
        """The folder, ready to take checkpoints of that run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run_id").write_text(run_id)
        return self.folder

    def finish(self) -> None:
        shutil.rmtree(self.folder)
