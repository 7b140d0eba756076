"""How a user's own images lie, without reading them: whether what was once prepared from them is still what they give."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from filterlab import seal
from filterlab.config import schema
from filterlab.data import arrays, aside, origin
from filterlab.data.arrays import Card
from filterlab.data.prepare import made_from
from filterlab.files import blaming


def is_recorded(data: schema.Own, folder: Path, root: Path) -> bool:
    """Whether `record` was called for what is in `folder`, and the images lie as they did then. Raises DataError."""
    path = place(data, folder, root)
    return path.exists() and seal.read(path, remedy=f"remove {path}") == facts(data, folder, root)


def record(data: schema.Own, folder: Path, root: Path) -> None:
    """Record how the images lay from which `folder` was made. Raises DataError: it can't be written."""
    seal.write(place(data, folder, root), facts(data, folder, root))


def facts(data: schema.Own, folder: Path, root: Path) -> dict[str, str]:
    return {"state": state(data, root), "digest": Card.load(folder / "train" / arrays.CARD).digest}


def place(data: schema.Own, folder: Path, root: Path) -> Path:
    of = ".pipeline" if folder.name == "processed" else ""
    return aside.place(root) / f"{data.name}-{made_from(data)[:12]}{of}.json"


def state(data: schema.Own, root: Path) -> str:
    """SHA-256 (hex) over names, sizes and times of all files at data.path, none of which is read."""
    place = origin.place(data, root)
    whole = hashlib.sha256()
    with blaming(place, verb="read"):
        for path in [place] if place.is_file() else sorted(files_below(place)):
            about = path.stat()
            whole.update(f"{path.relative_to(place)}\0{about.st_size} {about.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(place, name)).exists())
