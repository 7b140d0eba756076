"""torchvision's own data sets by the name of their class, read by its code from its files, which it fetches and verifies."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from filterlab.config import schema
from filterlab.data.own import tree
from filterlab.data.own.collection import Collection, Place
from filterlab.data.own.layout import Entry
from filterlab.data.own.picture import Row
from filterlab.errors import DataError, UnreachableError
from filterlab.files import blaming

# part -> what classes call it that have a `split`
SPLITS = {"train": ["train"], "validation": ["val", "valid"], "test": ["test"]}


def read(path: Path, scratch: Path, data: schema.Own) -> Collection:
    """All images of the class that data.set names, below `path`, where torchvision has, or puts, its files.

    Raises DataError: it is none of a kind that can be read, or its files are damaged; UnreachableError: they can't be fetched.
    """
    from torchvision import datasets  # takes seconds

    entries: list[Entry] = []
    places: list[Place] = []
    numbered = True
    for part, images in parts(getattr(datasets, data.set), path, data):
        called = getattr(images, "classes", None)
        numbered &= not called
        uniform: list[np.ndarray] = []
        labels: list[str] = []
        for row in range(len(images)):
            image, target = images[row]
            if not isinstance(image, Image.Image) or not isinstance(target, int | np.integer):
                raise DataError(f"torchvision's {data.set} gives {type(target).__name__} for a label, expected a number")
            labels.append(str(called[int(target)]) if called else str(int(target)))
            uniform.append(np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")))
        entries += [Entry(f"{part} {row}", part, label) for row, label in enumerate(labels)]
        places += put(uniform, scratch, part, transpose=data.transpose)
    if {entry.part for entry in entries} == {"train"}:
        entries = [entry._replace(part="") for entry in entries]
    return Collection(entries, places, numbered=numbered)


def put(images: list[np.ndarray], scratch: Path, part: str, *, transpose: bool) -> list[Place]:
    """Images as one array where they have one shape, else a file each."""
    turned = [image.swapaxes(0, 1) if transpose else image for image in images]
    with blaming(scratch, verb="write"):
        if len({image.shape for image in turned}) == 1:
            np.save(scratch / f"{part}.npy", np.stack(turned))
            return [Row(str(scratch / f"{part}.npy"), row) for row in range(len(turned))]
        folder = scratch / part
        folder.mkdir()
        for row, image in enumerate(turned):
            Image.fromarray(image).save(folder / f"{row}.bmp")
        return [tree.OnDisk(str(folder / f"{row}.bmp")) for row in range(len(turned))]


def parts(kind: Any, path: Path, data: schema.Own) -> Iterator[tuple[str, Any]]:
    """The class's data set of each part that it has."""
    takes = inspect.signature(kind.__init__).parameters
    more = {"split": data.variant} if data.variant != "none" else {}
    if "train" in takes or more:
        for part, train in [("train", True), ("test", False)]:
            yield part, made(kind, path, {"train": train, **more})
    elif "split" in takes:
        for part, names in SPLITS.items():
            for name in names:
                try:
                    yield part, made(kind, path, {"split": name})
                except ValueError as error:
                    if isinstance(error, DataError):
                        raise
                    continue  # there is no split of this name
                break
    else:
        yield "train", made(kind, path, {})


def made(kind: Any, path: Path, how: dict[str, Any]) -> Any:
    """The data set, whose files are fetched where they are missing."""
    try:
        return kind(str(path), **how, download=False)
    except (RuntimeError, FileNotFoundError):
        pass
    except TypeError as error:
        raise DataError(f"torchvision's {kind.__name__} takes other arguments than it is given ({error})") from error
    try:
        return kind(str(path), **how, download=True)
    except (RuntimeError, OSError) as error:
        raise UnreachableError(
            f"torchvision's {kind.__name__} can't be fetched to {path} ({error}): put its files there, as it lays them out, "
            "or try again with a network"
        ) from error
