"""results/run.json, results/metrics.json and the scores by class, as train and evaluate write them, read back."""

import csv
import json
from pathlib import Path
from typing import Any

from filterlab.errors import DataError
from filterlab.repository import folder_md5

RUN, METRICS = Path("results/run.json"), Path("results/metrics.json")
PER_CLASS, SCORES = Path("results/evaluation/per_class.csv"), ["class", "precision", "recall", "f1", "support"]
ANEW = "remove it, and the run is found by the model that it trained"
SHOWN = ["data", "examples", "errors", "accuracy", "accuracy_low", "accuracy_high", "loss", "ece", "macro"]


def run_id(root: Path) -> str:
    """The MLflow run that trained the model in `root`; empty where tracking was off, or nothing was trained.

    DVC brings models from its cache, results/run.json it never touches. Where that is another model's, or missing, the run is
    known by the model itself: by the MD5 of models/, with which training tags it. Raises DataError: results/run.json is damaged.
    """
    models = folder_md5(root / "models")
    if (root / RUN).exists() and (record := read(root / RUN, keys=["run_id", "models"], way_out=ANEW))["models"] == models:
        return str(record["run_id"])
    return models


def metrics(root: Path) -> dict[str, Any]:
    """What evaluate measured. Raises DataError where the file is missing or damaged."""
    return read(root / METRICS, keys=SHOWN, way_out="`dvc repro evaluate` makes it")


def per_class(root: Path) -> list[dict[str, str]]:
    """A row a class, by the names of SCORES. Raises DataError where the file is missing or damaged."""
    way_out, path = "`dvc repro evaluate` makes it", root / PER_CLASS
    try:
        header, *rows = [*csv.reader(path.read_text(encoding="utf-8").splitlines())] or [[]]
        if header != SCORES:
            raise ValueError(f"its columns are {', '.join(header) or 'none'}, expected {', '.join(SCORES)}")
        for name, *numbers in rows:
            if len(numbers) != len(SCORES) - 1:
                raise ValueError(f"class {name} has {len(numbers)} values, expected {len(SCORES) - 1}")
            [float(number) for number in numbers]
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {way_out}") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is damaged: {error}; {way_out}") from error
    return [dict(zip(SCORES, row, strict=True)) for row in rows]


def read(path: Path, *, keys: list[str], way_out: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, expected an object")
        if missing := [key for key in keys if key not in found]:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {way_out}") from None
    except ValueError as error:  # also: no JSON, no UTF-8
        raise DataError(f"{path} is damaged: {error}; {way_out}") from error
    return found
