"""What train and evaluate say of themselves (results/run.json, metrics.json, the scores by class), checked where it is read."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filterlab import files, seal
from filterlab.errors import DataError
from filterlab.repository import folder_md5

RUN, METRICS = Path("results/run.json"), Path("results/metrics.json")
PER_CLASS, SCORES = Path("results/evaluation/per_class.csv"), ["class", "precision", "recall", "f1", "support"]
DIGESTS = Path("results/evaluation/digests.json")  # of both: metrics.json holds nothing but metrics, which DVC shows
SHOWN = ["data", "examples", "errors", "accuracy", "accuracy_low", "accuracy_high", "loss", "ece", "macro"]
_REMEDY = "`dvc repro evaluate` makes it anew"


def run_id(root: Path) -> str:
    """The MLflow run that trained the model in `root`; empty where tracking was off, or nothing was trained. As `trained_as`."""
    return trained_as(root)["run_id"]


def trained_as(root: Path) -> dict[str, str]:
    """The `run_id` of the run that trained the model in `root`, its `experiment_id`, and the `server` that has it.

    DVC brings models from its cache, results/run.json it never touches. Where that is another model's, or missing, the run is
    known by the model itself: by the MD5 of models/, with which training tags it. Raises DataError: results/run.json is damaged.
    """
    models = folder_md5(root / "models")
    if (root / RUN).exists():
        remedy = "remove it, and the run is found by the model that it trained"
        record = _with_keys(seal.read(root / RUN, remedy=remedy), ["run_id", "models"], root / RUN, remedy=remedy)
        if record["models"] == models:
            return {key: str(record.get(key, "")) for key in ("run_id", "experiment_id", "server")}
    return {"run_id": models, "experiment_id": "", "server": ""}


def write_measured(root: Path, numbers: Mapping[str, Any], *, by_class: Iterable[Iterable[object]]) -> None:
    """Write results/metrics.json, the scores by class (rows of SCORES) and the digests of both. Raises DataError."""
    digests = {
        METRICS.name: files.write(root / METRICS, json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"),
        PER_CLASS.name: files.write_table(root / PER_CLASS, SCORES, by_class),
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
    return _with_keys(found, SHOWN, root / METRICS, remedy=_REMEDY)


def per_class(root: Path) -> list[dict[str, str]]:
    """A row a class, by the names of SCORES. Raises DataError where the file is missing or damaged."""
    return list(csv.DictReader(io.StringIO(_measured(root, PER_CLASS).decode())))


def _measured(root: Path, file: Path) -> bytes:
    """The content of one of the files that `write_measured` wrote."""
    digests = _with_keys(seal.read(root / DIGESTS, remedy=_REMEDY), [file.name], root / DIGESTS, remedy=_REMEDY)
    return seal.read_bytes(root / file, sha256=str(digests[file.name]), remedy=_REMEDY)


def _with_keys(found: dict[str, Any], keys: list[str], path: Path, *, remedy: str) -> dict[str, Any]:
    if missing := [key for key in keys if key not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}: another version wrote it; {remedy}")
    return found
