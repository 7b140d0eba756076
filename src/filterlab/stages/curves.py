"""results/curves.csv, as train writes it, read back."""

import csv
from pathlib import Path

from filterlab.errors import DataError

COLUMNS = ["epoch", "lr", "train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "chosen"]


def read(path: Path) -> dict[str, list[float]]:
    """The columns by name, one value an epoch. Raises DataError where the file is missing or damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: `dvc repro train` makes it") from error
    table = {name: [float(row[place]) for row in rows] for place, name in enumerate(header)}
    if missing := [name for name in COLUMNS if name not in table]:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(header)}")
    if table["chosen"].count(1) != 1:
        raise DataError(f"{path}: {table['chosen'].count(1)} epochs are marked as chosen, expected one")
    return table
