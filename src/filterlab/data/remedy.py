"""How missing or damaged data come back: the pipeline's by their stage, those in data/sets/ by the next training."""

from pathlib import Path

SETS = Path("data/sets")  # see aside.py


def raw(folder: Path) -> str:
    """Of the files of a published data set in a folder."""
    return beside(folder) or "`dvc repro download` brings it anew"


def prepared(folder: Path) -> str:
    """Of train/ or test/."""
    return beside(folder.parent) or "`dvc repro preprocess` makes it anew"


def beside(folder: Path) -> str:
    """Empty for the pipeline's own."""
    parts, length = folder.parts, len(SETS.parts)
    if any(parts[first : first + length] == SETS.parts for first in range(len(parts))):
        return f"rm -r {folder}, and the next training that asks for it makes it anew"
    return ""
