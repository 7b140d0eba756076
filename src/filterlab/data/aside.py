"""data/sets/: data sets beside the pipeline's, which has data/raw and data/processed for itself, as DVC owns them.

data/sets/raw/<folder>/         the files of data sets that the pipeline doesn't have just now
data/sets/<name>-<key>/         what preprocess would make, for each section of the configuration that was asked for
data/sets/<name>-<key>.json     of a user's own images: how they lay when that was made
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filterlab.config import schema
from filterlab.data import published
from filterlab.data.remedy import SETS
from filterlab.errors import DataError
from filterlab.files import blaming
from filterlab.repository import home


def place(root: Path) -> Path:
    """data/sets/ of the original repository, where `root` is a temporary copy of DVC's."""
    return home(root) / SETS


def put_aside(raw: Path, *, keep: str, root: Path) -> None:
    """Move data sets that were fetched to data/raw, but for `keep`, to data/sets/raw: DVC's data/raw is one data set.

    Raises DataError: something there is none of ours. It is neither moved nor removed.
    """
    others = sorted(path for path in raw.iterdir() if path.name != keep) if raw.is_dir() else []
    for path in others:
        if not published.is_ours(path):
            raise DataError(
                f"{path} was not written by filterlab, and data/raw holds the pipeline's data set alone: move it elsewhere. For "
                "images of your own: filterlab data add PATH"
            )
    for path in others:
        aside = place(root) / "raw" / path.name
        with blaming(path, verb="move"), alone(aside):
            if aside.exists() or not any(each.is_file() for each in path.rglob("*")):
                shutil.rmtree(path)
            else:
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.rename(aside)


def bring_back(data: schema.Data, raw: Path, root: Path) -> None:
    """Link or copy the files of this data set from data/sets/raw to data/raw, where they are in the one and not in the other."""
    aside = place(root) / "raw"
    if (raw / data.folder).exists() or not published.holds(aside, data):
        return
    published.check(aside, data)
    link_files(aside / data.folder, raw / data.folder)


def link_files(source: Path, target: Path, *, but: str = "") -> None:
    """Link or copy all files (but those whose names end so), whole or not at all. Raises DataError."""
    partial = target.with_name(f"{target.name}.partial")
    with blaming(target, verb="write"):
        shutil.rmtree(partial, ignore_errors=True)
        for path in sorted(path for path in source.rglob("*") if path.is_file() and (not but or path.suffix != but)):
            copy = partial / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path.resolve(), copy)  # resolved: DVC may keep the file elsewhere
            except OSError:  # another disk, or one without hard links
                shutil.copyfile(path, copy)
        partial.rename(target)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process makes this folder."""
    from filelock import FileLock

    lock = folder.with_name(f".{folder.name}.lock")
    with blaming(lock, verb="write"):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # while it is held: who has waited for it takes a new one, as filelock sees
