"""The folder of a sweep, runs/<name>, and its record.

sweep.json          the record: swept keys, commands given, trials asked for, revision of the code
frozen/conf, src    copies of the config groups and the packages; every job composes from the one and imports the other
frozen/data         the data that the jobs read; see `frozen`
trials/<key>/       what a training leaves, by the key of its configuration; its record, see `record`
driver.json         the process that runs the sweep, while it does
submitted.json      jobs handed to a scheduler
report/             tables and figures; see `report`
"""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filterlab import files, seal
from filterlab.config import schema
from filterlab.errors import ConfigError, DataError, UserError
from filterlab.repository import folder_md5
from filterlab.tracking import process, provenance

FOLDER = Path("runs")
VARIABLE = "FILTERLAB_SWEEP"  # names the folder to a sweep's own processes, and to its jobs
RECORD, SUBMITTED, DRIVER = "sweep.json", "submitted.json", "driver.json"
PACKAGES = ["filterlab", "hydra_plugins"]


class BusyError(UserError):
    """The sweep is being run by another process."""


@dataclass
class Sweep:
    """What sweep.json holds.

    Attributes:
        folder: runs/<name>, absolute.
        id: of the sweep, 32 hex digits, made when it begins: the identity of its MLflow run, below which the trainings' are.
        frozen: digest of frozen/conf and frozen/src.
        swept: keys with several values, in the order given.
        commands: the overrides given at each start; none before a driver has started.
        trials: the overrides of each trial that a command asked for, by its key; a search asks for none beforehand.
        tags: provenance of the frozen code, as each of its runs gets it.
        tracking: the section of the configuration.
        metric: what trials are compared by.
        pruner, warmup: which of a search's trainings are stopped early, and after how many epochs at the earliest; see `pruning`.
    """

    folder: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    frozen: str = ""
    swept: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    trials: dict[str, list[str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    tracking: dict[str, Any] = field(default_factory=dict)
    metric: str = "best/validation/accuracy"
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

    def tracking_settings(self) -> schema.Tracking:
        return schema.Tracking(**self.tracking)

    def trial_folder(self, key: str) -> Path:
        return self.folder / "trials" / key

    def save(self) -> None:
        values = asdict(self)
        del values["folder"]
        seal.write(self.folder / RECORD, {"name": self.name, **values})


def load(folder: Path) -> Sweep:
    """The sweep of a folder. Raises DataError: sweep.json is missing, damaged, of another version, or of another folder."""
    path, remedy = folder / RECORD, "bring it back from a copy, or begin another sweep: --sweep NAME"
    values = seal.read(path, remedy=remedy)
    name = values.pop("name", folder.name)
    if name != folder.name:
        raise DataError(
            f"{folder} is a copy of the folder of sweep {name}, or was renamed: the store knows its trainings as {name}'s. "
            f"Rename it back or remove it; --sweep NAME begins another sweep"
        )
    try:
        return Sweep(folder=folder, **values)
    except TypeError as error:
        raise DataError(f"{path} is of another version of filterlab ({error}); {remedy}") from error


def current() -> Sweep | None:
    """The sweep that this process works for; None outside of one. Raises UserError where the variable names none."""
    if not (named := os.environ.get(VARIABLE)):
        return None
    if not (Path(named) / "sweep.json").exists():
        raise UserError(
            f"{VARIABLE} names {named}, where there is no sweep; filterlab sets it for a sweep's own jobs: unset {VARIABLE}"
        )
    return load(Path(named))


def frozen_digest(sweep: Sweep) -> str:
    """Digest of conf/ and the code, as they are in the sweep's folder now."""
    return f"{folder_md5(sweep.conf)} {provenance.code_digest(sweep.code)}"


def check_frozen(sweep: Sweep) -> None:
    """Raises UserError where frozen/conf or frozen/src has been edited: other trainings would go by the same name."""
    if frozen_digest(sweep) != sweep.frozen:
        raise UserError(
            f"{sweep.conf.parent} has been edited since the sweep began: its trainings would be others under the same name. "
            "Put it back, or begin another sweep: --sweep NAME"
        )


def refuse_outside() -> None:
    """Raises UserError where the sweep's variable is set for a command that is no sweep's own: it was left behind."""
    if os.environ.get(VARIABLE):
        raise UserError(
            f"{VARIABLE} is set, by which a sweep's own processes know their sweep, and this is none: unset {VARIABLE}"
        )


def find(root: Path, name: str) -> Sweep:
    """The sweep of that name. Raises UserError: there is none; DataError as `load` does."""
    folder = root / FOLDER / check_name(name)
    if not (folder / RECORD).exists():
        raise UserError(f"there is no sweep {name!r} below {FOLDER}/; there are: {', '.join(list_names(root)) or 'none'}")
    return load(folder)


def list_names(root: Path) -> list[str]:
    """Names of all sweeps, the latest first."""
    found = (root / FOLDER).glob(f"*/{RECORD}")
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def has_begun(root: Path, name: str) -> bool:
    """Whether a driver has started with a sweep of that name."""
    folder = root / FOLDER / name
    return (folder / RECORD).exists() and bool(load(folder).commands)


def begin(root: Path, name: str) -> Sweep:
    """The sweep of that name: frozen now, or as it was when it began. Raises BusyError."""
    folder = root / FOLDER / name
    if has_begun(root, name):
        return load(folder)
    sweep = Sweep(folder=folder, tags=provenance.tags(root))
    with locked(sweep):
        if (folder / RECORD).exists():  # it may have a run, of which it has not heard
            sweep.id = load(folder).id
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
        sweep.frozen = frozen_digest(sweep)
        sweep.save()
    return sweep


@contextmanager
def locked(sweep: Sweep) -> Iterator[None]:
    """Hold the sweep's lock: one process runs a sweep at a time. Raises BusyError where another one holds it."""
    busy = BusyError(
        f"sweep {sweep.name} is being run by another process: `filterlab sweep status {sweep.name}` shows how far it is, "
        "--sweep NAME begins another one"
    )
    with files.held(sweep.folder / "driver.lock", otherwise=busy):
        yield


@contextmanager
def driven(sweep: Sweep) -> Iterator[None]:
    """The same, with a record of this process for who asks `driver`."""
    record = sweep.folder / DRIVER
    with locked(sweep):
        seal.write(record, process.tags())
        try:
            yield
        finally:
            record.unlink(missing_ok=True)


def driver(sweep: Sweep) -> dict[str, str]:
    """Tags (`process.tags`) of the process that runs the sweep; none where no process does, as far as can be known from here.

    Raises DataError: the record of it is damaged.
    """
    record = sweep.folder / DRIVER
    if not record.exists():
        return {}
    tags = {name: str(given) for name, given in seal.read(record, remedy="remove it").items()}
    return tags if process.alive([tags]) == [True] else {}


def default_name(overrides: Sequence[str], *, swept: Sequence[str]) -> str:
    """The name of a sweep that was given none: what is swept, and a digest of the overrides.

    How the jobs are launched is no part of it: a sweep that began on one machine may go on on a cluster; nor is how many
    trials a search makes, at once or in all: it may be given more.
    """
    other = r"[+~]*(hydra[./](launcher|job|verbose)|hydra\.sweeper\.n_(trials|jobs)|tracking)\b"
    kept = sorted(override for override in overrides if not re.match(other, override))
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:6]
    chosen = [override.partition("=")[2] for override in overrides if override.startswith("experiment=")]
    parts = chosen if chosen and chosen != ["none"] else [key.rpartition(".")[2] for key in swept]
    plain = filter(None, (re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_") for part in parts[:4]))
    return f"{'-'.join(plain)[:90]}-{digest}".lstrip("-")


def check_name(name: str) -> str:
    """Raises ConfigError where a folder can't be called that."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError([f"sweep {name!r}: expected up to 100 letters, digits, '.', '_' and '-', a letter or digit first"])
    return name


def swept_values(overrides: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """The swept keys' values, as text, of one trial's overrides."""
    values = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    return {name: values[name].strip("'") for name in keys if name in values}


def record_jobs(folder: Path, jobs: Iterable[tuple[Sequence[str], str]]) -> None:
    """Record (overrides, job id) of jobs that a scheduler was given, after those before. Raises DataError as `_jobs`."""
    seal.write(folder / SUBMITTED, {"jobs": [*_jobs(folder), *([list(overrides), job] for overrides, job in jobs)]})


def submitted_jobs(sweep: Sweep) -> list[tuple[list[str], str]]:
    """(overrides, job id) of each job that a scheduler was given. Raises DataError as `_jobs`."""
    return [(overrides, str(job)) for overrides, job in _jobs(sweep.folder)]


def _jobs(folder: Path) -> list[Any]:
    """What was recorded. Raises DataError: it is damaged."""
    path = folder / SUBMITTED
    remedy = "wait until `squeue` shows none of the sweep's jobs, then remove it"
    return list(seal.read(path, keys=["jobs"], remedy=remedy)["jobs"]) if path.exists() else []
