"""results/run.json and results/metrics.json, as train and evaluate write them, read back."""

import json
from pathlib import Path
from typing import Any

from filterlab.errors import DataError

RUN, METRICS = Path("results/run.json"), Path("results/metrics.json")
SHOWN = ["data", "examples", "errors", "accuracy", "accuracy_low", "accuracy_high", "loss", "ece", "macro", "per_class"]


def run_id(root: Path) -> str:
    """The MLflow run that trained the model; empty where tracking was off, or nothing was trained. Raises DataError: damaged."""
    return str(read(root / RUN, keys=["run_id"], stage="train")["run_id"]) if (root / RUN).exists() else ""


def metrics(root: Path) -> dict[str, Any]:
    """What evaluate measured. Raises DataError where the file is missing or damaged."""
    return read(root / METRICS, keys=SHOWN, stage="evaluate")


def read(path: Path, *, keys: list[str], stage: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, expected an object")
        if missing := [key for key in keys if key not in found]:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except FileNotFoundError:
        raise DataError(f"{path} is missing: `dvc repro {stage}` makes it") from None
    except ValueError as error:  # also: no JSON, no UTF-8
        raise DataError(f"{path} is damaged: {error}; `dvc repro {stage}` makes it anew") from error
    return found
