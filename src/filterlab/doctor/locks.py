"""Locks: who holds them, and what dead processes have left of DVC's."""

import contextlib
import fcntl
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from filterlab import files
from filterlab.doctor.finding import Finding

TABLE = Path("/proc/locks")
NOBODY = "somebody on another machine, or in another container"


def check_ours(root: Path) -> Iterator[Finding]:
    """Those that somebody holds. A file that nobody holds does no harm: a lock is the system's, and goes with its process."""
    held = {path: who for path in sorted(find(root)) if (who := holder(path))}
    for path, who in held.items():
        yield Finding(f"{path.relative_to(root)} is held by {who}")
    if not held:
        yield Finding("none is held")


def find(root: Path) -> Iterator[Path]:
    for pattern in ("checkpoints/*.lock", "data/sets/.*.lock", "data/sets/raw/.*.lock"):
        yield from root.glob(pattern)
    for folder in (root / "runs").glob("*"):
        yield from [*folder.glob("driver.lock"), *folder.glob("results/.lock"), *folder.glob("trials/*/results/.lock")]
    yield from [path for name in ("results/.lock", "mlflow.db.lock") if (path := root / name).exists()]


def holder(path: Path) -> str:
    """Who holds the lock on this file (flock), in words; empty where nobody does."""
    if not path.exists():
        return ""
    if (number := locked_by().get(path.stat().st_ino)) is not None and opened_by([path], only=number):
        return described(number)
    # The system's table has no holder on another machine. To ask is to hold it for a moment, shared.
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return NOBODY if number is None else described(number)
    return ""


def locked_by() -> dict[int, int]:
    """Process by inode, for each flock of this machine."""
    found = re.findall(r"FLOCK +\w+ +\w+ +(\d+) \S+:(\d+) ", TABLE.read_text()) if TABLE.exists() else []
    return {int(inode): int(number) for number, inode in found}


def opened_by(paths: Iterable[Path], only: int | None = None) -> dict[Path, int]:
    """Of the files that a process has open, one such process each; of all processes that we may look into, or `only` one."""
    wanted = {os.path.realpath(path): path for path in paths}
    found: dict[Path, int] = {}
    for folder in Path("/proc").glob("[0-9]*/fd" if only is None else f"{only}/fd"):
        with contextlib.suppress(OSError):  # another's, or it has just ended
            for each in folder.iterdir():
                with contextlib.suppress(OSError):  # closed by now
                    if (target := str(each.readlink())) in wanted:
                        found[wanted[target]] = int(folder.parent.name)
    return found


def described(number: int) -> str:
    """A process of this machine, in words."""
    try:
        words = psutil.Process(number).cmdline()
    except psutil.Error:
        return f"process {number}"
    command = " ".join(words)
    return f"process {number} ({command if len(command) <= 60 else command[:59] + '…'})"


def check_dvc(root: Path) -> Iterator[Finding]:
    """DVC's lock on the repository, and its table of who reads and writes what."""
    folder = root / ".dvc/tmp"
    table = folder / "rwlock"
    held = {path: who for path in (folder / "lock", folder / "rwlock.lock") if (who := holder(path))}
    for path, who in held.items():
        yield Finding(f"{path.relative_to(root)} is held by {who}: another `dvc` waits for it")
    shown, mend = table.relative_to(root), None if held else functools.partial(empty, table)
    try:
        numbers = {int(entry["pid"]) for entry in entries(table)} if table.exists() else set()
    except ValueError as error:
        yield Finding(f"{shown} is damaged ({error}), and every dvc command ends there", f"rm {shown}", mend)
        return
    alive = {number for number in numbers if runs_dvc(number)}
    if dead := sorted(numbers - alive):
        names = ", ".join(map(str, dead))
        yield Finding(f"{shown} names processes that are gone: {names}", f"rm {shown}", None if alive else mend)
    elif not held:
        yield Finding("none is held")


def entries(table: Path) -> list[dict[str, Any]]:
    """The processes that DVC's table names. Raises ValueError where it is none."""
    listed = json.loads(table.read_bytes())
    try:
        held = [each for mode in ("read", "write") for each in listed.get(mode, {}).values()]
        found = [entry for each in held for entry in (each if isinstance(each, list) else [each])]
        for entry in found:
            int(entry["pid"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it is not what DVC writes") from error
    return found


def runs_dvc(number: int) -> bool:
    """Whether there is such a process, and not one that has got a dead one's number."""
    try:
        return any("dvc" in word for word in psutil.Process(number).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def empty(table: Path) -> str:
    files.write(table, "{}")
    return f"{table.name} is empty now"
