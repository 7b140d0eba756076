"""A sweep's folder, runs/<name>: what its jobs run is frozen there when it begins.

sweep.json          the parent run, the swept keys, the commands given, the points asked for, the revision of the code
frozen/conf, src    the menu and the packages as they were; every job composes from the one and imports the other
points/<key>/       what a training leaves, by the key of its configuration
submitted.jsonl     jobs handed to a scheduler
report/             tables and figures, written by `collect`
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from filterlab import files
from filterlab.config import schema
from filterlab.errors import ConfigError, UserError
from filterlab.tracking import provenance

FOLDER = Path("runs")
VARIABLE = "FILTERLAB_SWEEP"  # names the folder to a sweep's own processes, and to its jobs
SUBMITTED = "submitted.jsonl"
PACKAGES = ["filterlab", "hydra_plugins"]
POINT = ["data", "model", "optimizer", "schedule", "augment", "trainer", "seed"]


class BusyError(UserError):
    """The sweep is being run by another process."""


@dataclass
class Sweep:
    """What sweep.json holds.

    Attributes:
        folder: runs/<name>, absolute.
        parent: id of the MLflow run whose children the trainings are; empty before it exists.
        swept: keys with several values, in the order given.
        commands: what was given at each start, as lists of words.
        points: the overrides of each point that a command asked for, by its key; a search asks for none beforehand.
        tags: provenance of the frozen code, as each of its runs gets it.
        tracking: how to reach the store: the section of the configuration.
        metric, direction: what points are compared by; "max" or "min".
        pruner, warmup: which of a search's trainings are stopped early, and after how many epochs at the earliest; see
            `search.prune`.
    """

    folder: Path
    parent: str = ""
    swept: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    points: dict[str, list[str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    tracking: dict[str, Any] = field(default_factory=dict)
    metric: str = "best/validation/accuracy"
    direction: str = "max"
    pruner: str = "none"
    warmup: int = 0

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def conf(self) -> Path:
        return self.folder / "frozen/conf"

    @property
    def code(self) -> Path:
        """To stand first in PYTHONPATH."""
        return self.folder / "frozen/src"

    def settings(self) -> schema.Tracking:
        return schema.Tracking(**self.tracking)

    def point(self, key: str) -> Path:
        return self.folder / "points" / key

    def save(self) -> None:
        values = {name: given for name, given in asdict(self).items() if name != "folder"}
        files.write(self.folder / "sweep.json", json.dumps(values, indent=2) + "\n")


def load(folder: Path) -> Sweep:
    return Sweep(folder=folder, **json.loads((folder / "sweep.json").read_text(encoding="utf-8")))


def current() -> Sweep | None:
    """The sweep that this process works for; None outside of one. Raises UserError where the variable names none."""
    if not (named := os.environ.get(VARIABLE)):
        return None
    if not (Path(named) / "sweep.json").exists():
        raise UserError(
            f"{VARIABLE} names {named}, where there is no sweep; filterlab sets it for a sweep's own jobs: unset {VARIABLE}"
        )
    return load(Path(named))


def find(root: Path, name: str) -> Sweep:
    """Raises UserError: there is no sweep of that name; says which there are."""
    folder = root / FOLDER / name
    if not (folder / "sweep.json").exists():
        raise UserError(f"there is no sweep {name!r} below {FOLDER}/; there are: {', '.join(names(root)) or 'none'}")
    return load(folder)


def names(root: Path) -> list[str]:
    """Of all sweeps, the latest first."""
    found = (root / FOLDER).glob("*/sweep.json")
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def has_begun(root: Path, name: str) -> bool:
    """Whether a sweep of that name has reached its store."""
    folder = root / FOLDER / name
    return (folder / "sweep.json").exists() and bool(load(folder).parent)


def begin(root: Path, name: str) -> Sweep:
    """The sweep of that name: frozen now, or as it was when it began. Raises BusyError."""
    folder = root / FOLDER / name
    if has_begun(root, name):
        return load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep = Sweep(folder=folder, tags=provenance.tags(root))
    with alone(sweep):
        # Put in place whole: a driver that the same command has just started may be about to import it.
        partial, earlier = folder / "frozen.partial", folder / "frozen.earlier"
        for left in (partial, earlier):
            shutil.rmtree(left, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(root / "conf", partial / "conf", ignore=ignored)
        source = Path(__file__).parents[2]
        for package in PACKAGES:
            shutil.copytree(source / package, partial / "src" / package, ignore=ignored)
        if (folder / "frozen").exists():
            (folder / "frozen").rename(earlier)
        partial.rename(folder / "frozen")
        shutil.rmtree(earlier, ignore_errors=True)
        sweep.save()
    return sweep


@contextmanager
def alone(sweep: Sweep) -> Iterator[None]:
    """Keeps other drivers of the sweep away for the time of the block. Raises BusyError where there is one."""
    lock = FileLock(sweep.folder / "driver.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"sweep {sweep.name} is being run by another process: `filterlab sweep status {sweep.name}` shows how far it is, "
            "--sweep NAME begins another one"
        ) from None
    try:
        yield
    finally:
        lock.release()


def title(words: Sequence[str], *, swept: Sequence[str]) -> str:
    """The name of a sweep that was given none: what is swept, and a digest of all that was said; the same words, the same name.

    How the jobs are launched is no part of it: a sweep that began on one machine may go on on a cluster; nor is how many
    trials a search makes, at once or in all: it may be given more.
    """
    other = r"[+~]*(hydra[./](launcher|job|verbose)|hydra\.sweeper\.n_(trials|jobs)|tracking)\b"
    said = sorted(word for word in words if not re.match(other, word))
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()[:6]
    chosen = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    parts = chosen if chosen and chosen != ["none"] else [key.rpartition(".")[2] for key in swept]
    return "-".join([*(re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_") for part in parts[:4]), digest])


def check_name(name: str) -> str:
    """Raises ConfigError where a folder can't be called that."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError([f"--sweep {name!r}: expected up to 100 letters, digits, '.', '_' and '-', a letter or digit first"])
    return name


def key(config: schema.Config) -> str:
    """16 hex digits that stand for everything that decides a training's outcome, but for the code."""
    sections = asdict(config)
    return hashlib.sha256(json.dumps([sections[name] for name in POINT], sort_keys=True).encode()).hexdigest()[:16]


def swept(overrides: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """The swept keys' values, as text, of one point's overrides."""
    values = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    return {name: values[name].strip("'") for name in keys if name in values}


def submitted(sweep: Sweep) -> Iterator[tuple[list[str], str]]:
    """(overrides, job id) of each job that a scheduler was given."""
    record = sweep.folder / SUBMITTED
    if record.exists():
        for line in record.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            yield entry["overrides"], str(entry["job"])
