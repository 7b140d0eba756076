"""What broke off: trainings, downloads, files that were being written."""

import contextlib
import functools
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from filterlab import files
from filterlab.config import document, resolved
from filterlab.config.document import Unreadable
from filterlab.doctor import locks
from filterlab.doctor.finding import Finding
from filterlab.errors import UserError

SHOWN = 5  # that are named one by one
OLD = 600.0  # seconds without a change, after which nobody on another machine is writing a file any longer
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}|.+\.unfinished")  # of files.replacing, of a store that is being made
WRITTEN = ["checkpoints", "data", "lecture", "models", "results", "runs"]  # folders that we write to
# In the folder of a training that ended before its results: none of it is needed to go on, or to know what the training was.
UNUSED = {"train.log", "results", "results/.lock", "results/config.yaml"}
BUSY = "somebody is at work there now"


def check_trainings(root: Path) -> Iterator[Finding]:
    """Those that broke off: their checkpoints wait for the same command."""
    left = [path for path in (root / "checkpoints").glob("*") if path.is_dir() and path.suffix != ".finished"]
    left = [path for path in left if not locks.holder(path.with_suffix(".lock"))]
    sizes = {path: size(path) for path in left}
    newest = sorted(left, key=changed, reverse=True)
    for path in newest[:SHOWN]:
        what, away = training(path)
        number = len([*path.glob("*.ckpt")])
        kept = f"in {away}" if away else f"{number} checkpoint{'' if number == 1 else 's'}, {amount(sizes[path])}"
        yield Finding(
            f"{what} broke off {ago(changed(path))} ago: checkpoints/{path.name}, {kept}",
            f"the same command goes on with it; or rm -r checkpoints/{path.name}",
        )
    if more := newest[SHOWN:]:
        yield Finding(
            f"{len(more)} more broke off, the oldest {ago(changed(more[-1]))} ago: {amount(sum(sizes[path] for path in more))}",
            "the same commands go on with them; or remove their folders below checkpoints/",
        )
    if not left:
        yield Finding("none has broken off")


def training(folder: Path) -> tuple[str, str]:
    """Which training it is, as far as its resolved config can be read, and trainer.checkpoints."""
    try:
        config = resolved.from_text(document.text(folder / resolved.RESOLVED.name))
    except (UserError, Unreadable, OSError):
        return "a training", ""
    return f"{config.model.name} on {config.data.name}, seed {config.seed},", config.trainer.checkpoints


def check_downloads(root: Path) -> Iterator[Finding]:
    """Those that broke off: the next one asks for the rest alone."""
    partial = root / "data/partial"
    left = sorted(path for path in partial.rglob("*") if path.is_file())
    busy = locks.opened_by(left) if left else {}
    waiting = [path for path in left if path not in busy]
    if waiting:
        total, oldest = sum(map(size, waiting)), min(map(changed, waiting))
        names = ", ".join(path.name.rpartition(".")[0] or path.name for path in waiting[:SHOWN])
        yield Finding(
            f"broke off, {ago(oldest)} ago: {names} ({amount(total)} in data/partial)",
            "`dvc repro download` brings the rest; or rm -r data/partial",
        )
    elif busy:
        yield Finding(f"{', '.join(path.name for path in busy)} is being downloaded")
    else:
        yield Finding("none has broken off")


def check_files(root: Path) -> Iterator[Finding]:
    """Files and folders that were half made, or half removed, when a process was killed."""
    old = time.time() - OLD
    single = [path for path in temporary(root) if changed(path) < old]
    opened = locks.opened_by(single) if single else {}
    single = [path for path in single if path not in opened]
    if single:
        names = ", ".join(str(path.relative_to(root)) for path in single[:SHOWN])
        more = f", and {len(single) - SHOWN} more" * (len(single) > SHOWN)
        yield Finding(
            f"half made: {names}{more} ({amount(sum(map(size, single)))})",
            "remove them",
            functools.partial(remove_files, single),
        )
    whole = [(folder, lock) for folder, lock in half_folders(root) if not locks.holder(lock)]
    for folder, lock in whole:
        yield Finding(
            f"half made, or half removed: {folder.relative_to(root)} ({amount(size(folder))})",
            f"rm -r {folder.relative_to(root)}",
            functools.partial(remove_folder, folder, lock),
        )
    empty = [folder for folder in without_results(root) if not locks.holder(folder / "results/.lock")]
    if empty:
        names = ", ".join(folder.name for folder in empty[:SHOWN]) + f", and {len(empty) - SHOWN} more" * (len(empty) > SHOWN)
        yield Finding(
            f"of trainings that ended before their results: runs/ {names}",
            "remove them; a training goes on from checkpoints/",
            functools.partial(remove_empty, empty),
        )
    if not single and not whole and not empty:
        yield Finding("none is half made")


def temporary(root: Path) -> Iterator[Path]:
    """Files that are not yet what they are to be."""
    yield from (path for path in root.iterdir() if path.is_file() and TEMPORARY.fullmatch(path.name))
    for name in WRITTEN:
        for folder, folders, names in os.walk(root / name):
            if Path(folder).parent.parent == root / "runs" and "frozen" in folders:
                folders.remove("frozen")  # copies of code and data, put in place whole: see below
            yield from (Path(folder) / each for each in names if TEMPORARY.fullmatch(each))


def half_folders(root: Path) -> Iterator[tuple[Path, Path]]:
    """Each such folder, and the lock of whoever works on it."""
    for folder in sorted((root / "checkpoints").glob("*.finished")):
        yield folder, folder.with_suffix(".lock")
    for sweep in sorted((root / "runs").glob("*")):
        for pattern in ("frozen.partial", "frozen.earlier", "frozen/data/*/*.partial"):
            yield from ((folder, sweep / "driver.lock") for folder in sorted(sweep.glob(pattern)))
    for folder in sorted((root / "data/sets/raw").glob("*.partial")):
        yield folder, folder.with_name(f".{folder.stem}.lock")


def without_results(root: Path) -> Iterator[Path]:
    """Folders of trainings with nothing but a configuration and a log in them, and for a while nobody at work."""
    old = time.time() - OLD
    for folder in sorted((root / "runs").glob("*")):
        inside = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")} if folder.is_dir() else None
        if inside is not None and inside.keys() <= UNUSED and all(changed(path) < old for path in [folder, *inside.values()]):
            yield folder


def remove_empty(folders: list[Path]) -> str:
    removed = [folder for folder in folders if folder.exists()]
    for folder in removed:
        remove_folder(folder, folder / "results/.lock")
    return f"removed {len(removed)} folder{'' if len(removed) == 1 else 's'}"


def remove_files(paths: list[Path]) -> str:
    for path in paths:
        path.unlink(missing_ok=True)
    return f"removed {len(paths)} file{'' if len(paths) == 1 else 's'}"


def remove_folder(folder: Path, lock: Path) -> str:
    with files.held(lock, otherwise=UserError(BUSY)):
        shutil.rmtree(folder)
    return f"removed {folder.name}"


def changed(path: Path) -> float:
    """When it, or what is in it, was last changed, in seconds since 1970; 0 where it is gone by now."""
    try:
        return max(each.stat().st_mtime for each in (path, *(path.iterdir() if path.is_dir() else ())))
    except FileNotFoundError:
        return 0.0


def size(path: Path) -> int:
    """In bytes, of all below it."""
    total = 0
    for each in [path] if path.is_file() else path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # gone by now
            total += each.stat().st_size if each.is_file() else 0
    return total


def ago(when: float) -> str:
    """How long ago that is, e.g. "3 days"."""
    seconds = max(0.0, time.time() - when)
    for unit, length in [("day", 86_400), ("hour", 3_600), ("minute", 60)]:
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{int(seconds)} s"


def amount(count: float) -> str:
    """Bytes in words, e.g. "1.2 MB"."""
    for unit, length in [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]:
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} bytes"
