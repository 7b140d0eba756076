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
from filterlab.data.prepare import is_prepared, made_from
from filterlab.data.prepare import training_data as prepared_or_made
from filterlab.errors import DataError
from filterlab.files import blaming
from filterlab.sweeps.sweep import Sweep


def sections(configs: Iterable[schema.Config]) -> list[schema.Data]:
    """The data sections of these configurations, each once."""
    return list({made_from(config.data): config.data for config in configs}.values())


def check(asked: Iterable[schema.Data], *, root: Path) -> None:
    """Raises DataError where one of them is not here, or damaged."""
    for data in asked:
        _source(data, root)


def freeze(sweep: Sweep, asked: Iterable[schema.Data], *, root: Path) -> None:
    """Keep what is not kept yet. Raises DataError as `check` does, or where it can't be written; what is kept is whole."""
    for data in asked:
        if not is_prepared(data, _processed(sweep, data)) and not (_raw(sweep) / data.folder).exists():
            source = _source(data, root)
            prepared = source.parent == root / "data/processed"
            _link(source, _processed(sweep, data) / "train" if prepared else _raw(sweep) / data.folder)


def training_data(sweep: Sweep, data: schema.Data) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images, from what the sweep keeps alone. Raises DataError: it is missing or damaged."""
    try:
        return prepared_or_made(data, raw=_raw(sweep), processed=_processed(sweep, data))
    except DataError as error:
        error.add_note(
            f"sweep {sweep.name} reads its own copy of the data: remove {_place(sweep)} once data/raw is sound, and the command "
            "that began the sweep copies it anew"
        )
        raise


def _place(sweep: Sweep) -> Path:
    return sweep.folder / "frozen/data"


def _raw(sweep: Sweep) -> Path:
    return _place(sweep) / "raw"


def _processed(sweep: Sweep, data: schema.Data) -> Path:
    return _place(sweep) / "processed" / made_from(data)[:16]


def _source(data: schema.Data, root: Path) -> Path:
    """The folder to keep: of the files or, where they are not here, of what preprocess made. Raises DataError."""
    raw, processed = root / "data/raw", root / "data/processed"
    if (raw / data.folder).exists():
        published.check(raw, data)
        return raw / data.folder
    if is_prepared(data, processed):
        arrays.load(processed / "train")
        return processed / "train"
    raise DataError(f"data/raw/{data.folder} is missing: `dvc repro preprocess` with data={data.name} in params.yaml brings it")


def _link(source: Path, target: Path) -> None:
    """All files but the gzipped ones, whole or not at all."""
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
