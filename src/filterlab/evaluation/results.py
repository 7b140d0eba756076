"""What evaluate measured, on disk: results/metrics.json and the scores by class, checked where they are read."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import files, seal, tables
from filterlab.errors import DataError

if TYPE_CHECKING:
    import numpy as np

METRICS = Path("results/metrics.json")
PER_CLASS, SCORES = Path("results/evaluation/per_class.csv"), ["class", "precision", "recall", "f1", "support"]
MISTAKES = Path("results/evaluation/mistakes.safetensors")  # the surest: images, labels, predicted, sure, places in the test set
DIGESTS = Path("results/evaluation/digests.json")  # of the three: metrics.json holds nothing but metrics, which DVC shows
SHOWN = ["data", "examples", "errors", "accuracy", "accuracy_low", "accuracy_high", "loss", "ece", "macro"]
_REMEDY = "`dvc repro evaluate` makes it anew"


def write_measured(
    root: Path, numbers: Mapping[str, Any], *, by_class: Iterable[Iterable[object]], mistakes: "Mapping[str, np.ndarray]"
) -> None:
    """Write results/metrics.json, the scores by class (rows of SCORES), the surest mistakes and the digests of the three.

    Raises DataError.
    """
    from safetensors.numpy import save

    digests = {
        METRICS.name: files.write(root / METRICS, json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"),
        PER_CLASS.name: tables.write(root / PER_CLASS, SCORES, by_class),
        MISTAKES.name: files.write(root / MISTAKES, save(dict(mistakes))),
    }
    seal.write(root / DIGESTS, digests)


def has_metrics(root: Path) -> bool:
    """Whether evaluate's results are here: Git brings metrics.json alone."""
    return (root / METRICS).exists() and (root / DIGESTS).exists()


def metrics(root: Path) -> dict[str, Any]:
    """What evaluate measured. Raises DataError where the file is missing or damaged."""
    content = _measured(root, METRICS)
    try:
        found = seal.parse_object(content)
    except ValueError as error:
        raise DataError(f"{root / METRICS} is damaged: {error}; {_REMEDY}") from error
    return seal.with_keys(found, SHOWN, root / METRICS, remedy=_REMEDY)


def per_class(root: Path) -> list[dict[str, str]]:
    """A row a class, by the names of SCORES. Raises DataError where the file is missing or damaged."""
    return list(csv.DictReader(io.StringIO(_measured(root, PER_CLASS).decode())))


def mistakes(root: Path) -> "dict[str, np.ndarray]":
    """The surest mistakes, by the names at MISTAKES. Raises DataError where the file is missing or damaged."""
    from safetensors.numpy import load

    return load(_measured(root, MISTAKES))


def _measured(root: Path, file: Path) -> bytes:
    """The content of one of the files that `write_measured` wrote."""
    digests = seal.read(root / DIGESTS, keys=[file.name], remedy=_REMEDY)
    return seal.read_bytes(root / file, sha256=str(digests[file.name]), remedy=_REMEDY)
