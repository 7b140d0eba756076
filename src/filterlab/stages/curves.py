"""results/curves.csv, as train writes it, read back."""

import csv
from pathlib import Path

from filterlab.errors import DataError

COLUMNS = ["epoch", "lr", "train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "chosen"]


def read(path: Path) -> dict[str, list[float]]:
    """The columns by name, one value an epoch. Raises DataError where the file is missing or damaged."""
    try:
        return columns(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: `dvc repro train` makes it") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is damaged: {error}; `dvc repro train` makes it anew") from error


def columns(text: str) -> dict[str, list[float]]:
    header, *rows = [*csv.reader(text.splitlines())] or [[]]
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(f"it lacks the columns {', '.join(missing)}; it has {', '.join(header) or 'none'}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"line {number} has {len(row)} values, expected {len(header)}")
    table = {name: [float(row[place]) for row in rows] for place, name in enumerate(header)}
    if table["chosen"].count(1) != 1:
        raise ValueError(f"{table['chosen'].count(1)} epochs are marked as chosen, expected one")
    return table
