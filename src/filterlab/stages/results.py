"""results/run.json and results/metrics.json: what train and evaluate say of themselves, checked where it is read back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filterlab import files, seal
from filterlab.errors import DataError

RUN, METRICS = Path("results/run.json"), Path("results/metrics.json")
METRICS_DIGEST = Path("results/evaluation/metrics.sha256")  # beside it: metrics.json holds nothing but metrics, which DVC shows
SHOWN = ["data", "examples", "errors", "accuracy", "accuracy_low", "accuracy_high", "loss", "ece", "macro", "per_class"]


def run_id(root: Path) -> str:
    """The MLflow run that trained the model; empty where tracking was off, or nothing was trained. Raises DataError: damaged."""
    return str(training(root)["run_id"]) if (root / RUN).exists() else ""


def training(root: Path) -> dict[str, Any]:
    """What train says of itself, the SHA-256 of its curves too. Raises DataError where the file is missing or damaged."""
    path, remedy = root / RUN, "`dvc repro train` makes it anew"
    return _with_keys(seal.read(path, remedy=remedy), ["run_id", "curves"], path, remedy=remedy)


def write_metrics(root: Path, numbers: Mapping[str, Any]) -> None:
    """Write results/metrics.json, and its digest. Raises DataError if they cannot be written."""
    sha256 = files.write(root / METRICS, json.dumps(numbers, indent=2, ensure_ascii=False) + "\n")
    files.write(root / METRICS_DIGEST, f"{sha256}\n")


def has_metrics(root: Path) -> bool:
    """Whether evaluate's results are here: Git brings metrics.json alone."""
    return (root / METRICS).exists() and (root / METRICS_DIGEST).exists()


def metrics(root: Path) -> dict[str, Any]:
    """What evaluate measured. Raises DataError where the file is missing or damaged."""
    path, remedy = root / METRICS, "`dvc repro evaluate` makes it anew"
    sha256 = seal.read_bytes(root / METRICS_DIGEST, remedy=remedy).decode(errors="replace").strip()
    content = seal.read_bytes(path, sha256=sha256, remedy=remedy)
    try:
        found = seal.parse_object(content)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; {remedy}") from error
    return _with_keys(found, SHOWN, path, remedy=remedy)


def _with_keys(found: dict[str, Any], keys: list[str], path: Path, *, remedy: str) -> dict[str, Any]:
    if missing := [key for key in keys if key not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}: another version wrote it; {remedy}")
    return found
