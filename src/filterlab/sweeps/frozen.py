"""The data of a sweep, kept in its folder: `dvc repro` with another `data:` empties data/raw and data/processed.

frozen/data/raw/<folder>/        the data set's files, unpacked, and their digests: hard links to data/raw where the disk has them
frozen/data/processed/<digest>/  what preprocess made of it, where data/raw is not here

From the files comes every subset and split that a sweep asks for, now or later, in a fifth of a second for MNIST.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from filterlab.config import schema
from filterlab.data import arrays, published
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.prepare import is_prepared, made_from, training_data
from filterlab.errors import DataError
from filterlab.files import blaming
from filterlab.sweeps.sweep import Sweep


def unique_data(configs: Iterable[schema.Config]) -> list[schema.Data]:
    """The data sections of these configurations, each once."""
    return list({made_from(config.data): config.data for config in configs}.values())


def check_data(sections: Iterable[schema.Data], *, root: Path) -> None:
    """Raises DataError where one of these data sets is not here, or damaged."""
    for data in sections:
        find_source(data, root)


def freeze_data(sweep: Sweep, sections: Iterable[schema.Data], *, root: Path) -> None:
    """Copy the data sets that are not in the sweep's folder yet. Raises DataError: not here, damaged, or can't be written."""
    for data in sections:
        raw = raw_folder(sweep) / data.folder
        if not is_prepared(data, processed_folder(sweep, data)) and not raw.exists():
            source = find_source(data, root)
            prepared = source.parent == root / "data/processed"
            link_files(source, processed_folder(sweep, data) / "train" if prepared else raw)


def load_data(sweep: Sweep, data: schema.Data) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images, from the sweep's folder alone. Raises DataError: they are missing or damaged."""
    try:
        return training_data(data, raw=raw_folder(sweep), processed=processed_folder(sweep, data))
    except DataError as error:
        error.add_note(
            f"sweep {sweep.name} reads its own copy of the data: remove {sweep.folder / 'frozen/data'} once data/raw is sound, "
            "and the command that began the sweep copies it anew"
        )
        raise


def raw_folder(sweep: Sweep) -> Path:
    return sweep.folder / "frozen/data/raw"


def processed_folder(sweep: Sweep, data: schema.Data) -> Path:
    return sweep.folder / "frozen/data/processed" / made_from(data)[:16]


def find_source(data: schema.Data, root: Path) -> Path:
    """The folder to copy: the data set's files or, where they are not here, what preprocess made. Raises DataError."""
    raw, processed = root / "data/raw", root / "data/processed"
    if (raw / data.folder).exists():
        published.check(raw, data)
        return raw / data.folder
    if is_prepared(data, processed):
        arrays.load(processed / "train")
        return processed / "train"
    raise DataError(f"data/raw/{data.folder} is missing: `dvc repro preprocess` with data={data.name} in params.yaml brings it")


def link_files(source: Path, target: Path) -> None:
    """Link or copy all files but the gzipped ones, whole or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    with blaming(target, verb="write"):
        shutil.rmtree(partial, ignore_errors=True)
        for path in sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".gz"):
            copy = partial / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path.resolve(), copy)  # resolved: DVC may keep the file elsewhere
            except OSError:  # another disk, or one without hard links
                shutil.copyfile(path, copy)
        partial.rename(target)
