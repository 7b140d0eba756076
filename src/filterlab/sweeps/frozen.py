"""The data of a sweep, kept in its folder: `dvc repro` with another `data:` puts aside or replaces what it reads.

frozen/data/raw/<folder>/        the data set's files, unpacked, and their digests: hard links to data/raw where the disk has them
frozen/data/processed/<digest>/  what was made of it, where the files are a user's own images, or not here

From the files comes every subset and split that a sweep asks for, now or later, in a fifth of a second for MNIST.
"""

from collections.abc import Iterable
from pathlib import Path

from filterlab.config import schema
from filterlab.data import arrays, ready
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.aside import link_files
from filterlab.data.prepare import is_prepared, load, made_from, prepare
from filterlab.errors import DataError
from filterlab.sweeps.sweep import Sweep

RAW = ["data/raw", "data/sets/raw"]


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
            link_files(source, processed_folder(sweep, data) / "train" if source.name == "train" else raw, but=".gz")


def load_data(sweep: Sweep, data: schema.Data) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images, from the sweep's folder alone. Raises DataError: they are missing or damaged."""
    try:
        if is_prepared(data, processed_folder(sweep, data)):
            return load(processed_folder(sweep, data))
        made = prepare(data, raw=raw_folder(sweep))
        return made.train_card, made.train, made.validation
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
    """The folder to copy: the data set's files, fetched where they are not here, or what was made of them. Raises DataError."""
    if isinstance(data, schema.Own):
        return ready.find(data, root) / "train"
    processed = root / "data/processed"
    if not any((root / place / data.folder).exists() for place in RAW) and is_prepared(data, processed):
        arrays.load(processed / "train")
        return processed / "train"
    return ready.find_raw(data, root) / data.folder
