"""A trained network's files, without torch: each is checked against the SHA-256 that model.json holds, and model.json its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from filterlab import files, seal
from filterlab.errors import DataError

FORMAT = 2
DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
FIRST_LAYERS = "filters.safetensors"
_REMEDY = "train a model first, or restore one"


def write(
    folder: Path, description: Mapping[str, Any], contents: Mapping[str, bytes], *, beside: Mapping[str, str]
) -> dict[str, str]:
    """Write the files, each whole or not at all, model.json last; gives the SHA-256 (hex) of each by its name.

    beside: SHA-256 of files elsewhere that model.json is to hold, too.

    A kill in between leaves files that the old model.json does not describe: they are refused, never mixed.
    """
    digests = {name: files.write(folder / name, content) for name, content in contents.items()}
    described = {"format": FORMAT, **description, "files": {**digests, **beside}}
    return {**digests, DESCRIPTION: seal.write(folder / DESCRIPTION, described)}


def describe(folder: Path) -> dict[str, Any]:
    """model.json. Raises DataError: it is missing, damaged or of another format."""
    path = folder / DESCRIPTION
    content = seal.read_bytes(path, remedy=_REMEDY)
    try:
        if (found := seal.parse_object(content).get("format")) != FORMAT:
            raise ValueError(f"its format is {found!r}, but this version of filterlab reads {FORMAT}")
        return seal.parse(content)
    except ValueError as error:
        raise DataError(f"{path} is damaged or of another version: {error}; `dvc repro train` makes it anew") from error


def read(folder: Path, name: str, description: Mapping[str, Any]) -> bytes:
    """The content of one of the files. Raises DataError: it is missing, or not the one that model.json describes."""
    if name not in description["files"]:
        raise DataError(f"{folder / DESCRIPTION} names no {name}: {_REMEDY}")
    return seal.read_bytes(folder / name, sha256=description["files"][name], remedy=_REMEDY)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of the files by name, as `write` gave them. Raises DataError where one is missing or damaged."""
    description = describe(folder)
    here = [name for name in (WEIGHTS, FIRST_LAYERS) if name in description["files"]]
    found = {name: seal.sha256(read(folder, name, description)) for name in here}
    return {**found, DESCRIPTION: seal.sha256(seal.read_bytes(folder / DESCRIPTION, remedy=_REMEDY))}


def write_first_layers(layers: np.ndarray) -> bytes:
    """The content of filters.safetensors."""
    return safetensors.numpy.save({"first_layer": layers})


def first_layers(folder: Path) -> np.ndarray:
    """(1 + epochs, *weight) float32: the first layer's weight, before training first; of a trial, (1, *weight), that of its best
    epoch. Raises DataError.
    """
    return safetensors.numpy.load(read(folder, FIRST_LAYERS, describe(folder)))["first_layer"]


def restore_first_layer(folder: Path) -> None:
    """Write a trial's filters.safetensors, which nobody has kept: the weight of its best epoch, that of the model.

    Raises DataError: no weight of the model is the one that model.json describes.
    """
    description = describe(folder)
    for weight in safetensors.numpy.load(read(folder, WEIGHTS, description)).values():
        content = write_first_layers(weight[None])
        if seal.sha256(content) == description["files"][FIRST_LAYERS]:
            files.write(folder / FIRST_LAYERS, content)
            return
    raise DataError(f"{folder / FIRST_LAYERS} is missing, and can't be made from the model's weights: {_REMEDY}")
