"""results/curves.csv: the metrics by epoch; models/model.json holds its digest, beside those of the model."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filterlab import seal, tables
from filterlab.errors import DataError
from filterlab.models import folder

if TYPE_CHECKING:
    from filterlab.training.history import Epoch

CURVES = Path("results/curves.csv")
COLUMNS = ["epoch", "lr", "train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "chosen"]


def names(monitor: str) -> list[str]:
    """The columns of a training whose epoch that metric chose."""
    return COLUMNS if monitor in COLUMNS else [*COLUMNS[:-1], monitor, COLUMNS[-1]]


def write(out: Path, epochs: "Sequence[Epoch]", *, best_epoch: int, monitor: str) -> str:
    """A row for each epoch of training. Gives the file's SHA-256 (hex). Raises DataError where it can't be written."""
    header = names(monitor)
    rows = [[epoch.number, *(epoch.metrics[name] for name in header[1:-1]), int(epoch.number == best_epoch)] for epoch in epochs]
    return tables.write(out / CURVES, header, rows)


def read(root: Path) -> dict[str, list[float]]:
    """The columns by name, one value an epoch. Raises DataError where the file is missing, damaged or another training's."""
    remedy = "`dvc repro train` makes it anew"
    digests = folder.describe(root / "models")["files"]
    content = seal.read_bytes(root / CURVES, sha256=digests.get(CURVES.name, "none"), remedy=remedy)
    try:
        return columns(content.decode("utf-8"))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{root / CURVES} is no table of curves: {error}; {remedy}") from error


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
