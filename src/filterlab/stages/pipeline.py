"""The whole pipeline in one command, with a summary at its end."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from filterlab.config import compose
from filterlab.errors import UnreachableError
from filterlab.stages import runs

FALLBACK = "digits"


def run(root: Path) -> int:
    """`dvc repro` and a summary; where no mirror answers, the same with scikit-learn's digits. Gives the exit code."""
    code, stage_code = repro(root)
    fell_back = ""
    if stage_code == UnreachableError.exit_code and (given := choose_fallback(root / "params.yaml")):
        fell_back = (
            f"NOTE: no mirror of {given} could be reached. params.yaml now says `data: {FALLBACK}`: scikit-learn's bundled "
            f"handwritten digits (1,797 images), not {given}. With a network, put `data: {given}` back and run this again."
        )
        print(f"\n{fell_back}\n", flush=True)
        code, _ = repro(root)
    if code == 0:
        config = compose.load(root)
        if config.tracking.backend == "local" and not (root / "mlflow.db").exists():
            with runs.resumed(config, root):  # results that DVC brought: give them their run
                pass
        print(summary(root))
        if fell_back:
            print(f"\n{fell_back}")
    return code


def repro(root: Path) -> tuple[int, int]:
    """Exit codes of `dvc repro` and of the stage that failed (0 where none did)."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "exit_code"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = os.environ | {"FILTERLAB_EXIT_CODE": str(record), "PATH": path}
        code = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=root, env=environment, check=False).returncode
        return code, int(record.read_text()) if record.exists() else 0


def choose_fallback(order: Path) -> str:
    """Set `data: digits` in params.yaml, comments kept. Gives the data set it replaced; empty where an experiment rules."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    values: dict[str, Any] = yaml.load(order.read_text(encoding="utf-8"))
    if (values.get("experiment") or "none") != "none":
        return ""
    given = str(values.get("data", "mnist"))
    values["data"] = FALLBACK
    with order.open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    return given


def summary(root: Path) -> str:
    """What came out, in a few lines for a terminal."""
    config, metrics = compose.load(root), json.loads((root / "results/metrics.json").read_text())
    lines = {
        "data set": f"{metrics['data']}, {metrics['examples']:,} test images",
        "accuracy": f"{metrics['accuracy']:.2%}  (95 % interval {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%})",
        "report": "results/report.html",
        "figures": "results/figures/",
        "model": "models/model.safetensors",
    }
    if config.tracking.backend != "off":
        run_id = json.loads((root / runs.RECORD).read_text())["run_id"]
        lines["MLflow"] = f"make ui, then open http://127.0.0.1:5000 (run {run_id})"
    return "\n" + "\n".join(f"  {name:<10}{text}" for name, text in lines.items())
