"""results/views.json: what the views measured, by view."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filterlab import files, seal
from filterlab.errors import DataError

FILE = Path("results/views.json")
VIEWS = ["filters", "optimised", "explained", "layers"]


def write(out: Path, numbers: Mapping[str, Any]) -> None:
    """Raises DataError: it can't be written."""
    files.write(out / FILE, json.dumps(numbers, indent=2) + "\n")


def read(out: Path, *, maker: str) -> dict[str, Any]:
    """What `write` wrote. Raises DataError: it is missing or damaged; the command `maker` makes it."""
    remedy = f"`{maker}` makes it"
    try:
        found = seal.parse_object(seal.read_bytes(out / FILE, remedy=remedy))
    except ValueError as error:
        raise DataError(f"{out / FILE} is damaged: {error}; {remedy}") from error
    return seal.with_keys(found, VIEWS, out / FILE, remedy=remedy)
