"""What the pictures of README.md were made from; `make pictures` makes them and, by this module, writes it down."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs/images"
RECORD = IMAGES / "made_from.json"
FILTERS = "filters_by_epoch.png"  # of the pipeline's model; all others are of MLflow's pages
# What shows in a picture of the pages beside MLflow itself: the trainings, the steps to the page, the filters as they are drawn.
SHOWN = [
    "tests/ui/conftest.py",
    "tests/ui/test_mlflow_ui.py",
    "src/filterlab/visualization/filters.py",
    "src/filterlab/visualization/mosaic.py",
    "src/filterlab/visualization/style.py",
]


def made_from() -> dict[str, dict[str, str]]:
    """By picture, its own SHA-256 and what it would be made from now."""
    return {path.name: {"picture": sha256(path), **sources(path.name)} for path in sorted(IMAGES.glob("*.png"))}


def sources(name: str) -> dict[str, str]:
    """The MD5s of dvc.lock, or the version of MLflow and the SHA-256 of what else shows."""
    if name == FILTERS:
        stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
        outs = {out["path"]: out["md5"] for stage in ("train", "visualize") for out in stages[stage]["outs"]}
        return {path: outs[path] for path in ("models", "results/figures/filters")}
    (version,) = re.findall(r"^mlflow(?:\[.*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    return {"mlflow": version, **{path: sha256(ROOT / path) for path in SHOWN}}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    RECORD.write_text(json.dumps(made_from(), indent=2) + "\n")
