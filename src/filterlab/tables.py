"""CSV files."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from filterlab import files


def write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """The header, then the rows. Gives the file's SHA-256 (hex). Raises DataError as `files.write` does."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return files.write(path, text.getvalue())
