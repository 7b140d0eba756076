"""data/source/: what the chosen data set is made from, where DVC sees it.

settings.yaml holds what an option says beyond what all data sets say; `files` is a link to a user's own images, wherever they
lie: DVC looks through it, so that a picture that is added, changed or removed is seen. A data set whose files are fetched has a
note in its place.
"""

import dataclasses
import os
from pathlib import Path

from filterlab import files
from filterlab.config import document, schema
from filterlab.errors import DataError
from filterlab.files import blaming
from filterlab.repository import home

FOLDER = Path("data/source")
NOTE = "Nothing of a user's own: the files of this data set are fetched, or made.\n"


def place(data: schema.Own, root: Path) -> Path:
    """The folder or file that holds the images; in a temporary copy of the repository, as DVC makes them, the original's.

    Of files that are fetched, the one in data/raw.
    """
    if data.files:
        return root / "data/raw" / data.folder / "raw" / data.path
    return Path(os.path.normpath(home(root) / data.path))


def lost(root: Path) -> Path | None:
    """Where a user's own images lay for the pipeline, if nothing is there any longer."""
    link = root / FOLDER / "files"
    return link.readlink() if link.is_symlink() and not link.exists() else None


def lay_out(data: schema.Data, root: Path) -> None:
    """Write data/source/ for a data set. Raises DataError: it can't be written, or its images aren't where it says."""
    common = {field.name for field in dataclasses.fields(schema.Data)}
    settings = {name: given for name, given in dataclasses.asdict(data).items() if name not in common | {"path"}}
    link = root / FOLDER / "files"
    target = None
    if isinstance(data, schema.Own) and not data.files:
        target = place(data, root)
        if data.source == "torchvision":  # which fetches its files to there
            with blaming(target, verb="write"):
                target.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            raise DataError(
                f"data.path of {data.name} is {data.path!r}, which is not there (seen from {root}): expected the folder or file "
                "that holds its images"
            )
    files.write(root / FOLDER / "settings.yaml", document.written(settings))
    with blaming(link, verb="write"):
        if target is None:
            if link.is_symlink():
                link.unlink()
            files.write(link, NOTE)
        elif not (link.is_symlink() and link.readlink() == target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
