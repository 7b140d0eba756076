"""`make bench`: what the pipeline costs and reaches on this machine, as tables in docs/benchmarks.md.

Machines are shared, so that what is to be compared is measured in one run, in turns, and given as a ratio. Needs MNIST
(FILTERLAB_MIRROR, or a network) and about a quarter of an hour on two cores.
"""

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tables import spread, table

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/benchmarks.md"
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
SEEDS, ROUNDS = [0, 1, 2], 3
MNIST = [("default", "none", "99.50", "180"), ("fast", "fast", "99.20", "40")]
SMALL = "{data: {take: per_class, take_n: 10}, trainer: {max_epochs: 1}}"
IMPORTS = {  # what each stage can't do without, mlflow with its SQL store where it logs
    "compose": "hydra, omegaconf",
    "download": "hydra, requests, rich.progress",
    "preprocess": "hydra, numpy",
    "train": "pytorch_lightning, matplotlib.figure",
    "evaluate": "torch, matplotlib.figure",
    "visualize": "torch, matplotlib.figure",
    "play": "hydra, jinja2, numpy",
    "report": "hydra, jinja2",
}
LOGS = {"train", "evaluate", "visualize", "play", "report"}
RECORDER = "mlflow.pyfunc, mlflow.store.tracking.sqlalchemy_store"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of processor (children included), the largest process in MiB, and what was printed."""

    wall: float
    cpu: float
    memory: float
    printed: str


def main() -> None:
    about = machine()
    with project() as root:
        # before torch is imported here: a child's peak memory counts from its parent's
        started, whole, drawn = start_up(root), pipeline(root), views(root)
        from throughput import throughput

        text = "\n\n".join(
            [
                "# Benchmarks\n\nWritten by `make bench`, every figure measured in one run of it. Bars are for two quiet cores.",
                about,
                "## Start-up of each stage\n\n" + started,
                "## The whole pipeline\n\n" + whole,
                "## What every layer learned\n\n" + drawn,
                "## Training throughput\n\n" + table(*throughput(root)) + "\n\nBar: a ratio of at least 0.95.",
                "## Accuracy on MNIST's test set\n\n" + accuracy(root, MNIST),
            ]
        )
    OUT.write_text(text + "\n")
    print(text)


@contextmanager
def project() -> Iterator[Path]:
    """A clone of the last commit, thrown away afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "filterlab"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
        yield root


def machine() -> str:
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in facts if line.startswith("model name")), "?")
    bf16 = "with" if any("avx512_bf16" in line for line in facts) else "without"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Machine: {os.cpu_count()} cores of {model} ({bf16} avx512_bf16), {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, torch {version('torch')}; load average at the start {os.getloadavg()[0]:.1f}."
    )


def start_up(root: Path) -> str:
    """Each stage by itself on so little data that what is left is its start."""
    parameters = root / "params.yaml"
    whole = parameters.read_text()
    parameters.write_text(whole.replace("override: {}", f"override: {SMALL}"))
    rows = []
    costs: dict[str, list[tuple[Cost, float]]] = {stage: [] for stage in IMPORTS}
    for _ in range(ROUNDS):
        for stage, modules in IMPORTS.items():
            cost = run([str(BIN / "filterlab"), "stage", stage], root)
            alone = run([sys.executable, "-c", f"import {modules}"], root).cpu
            alone += run([sys.executable, "-c", f"import {RECORDER}"], root).cpu if stage in LOGS else 0
            costs[stage].append((cost, alone))
    for stage, found in costs.items():
        columns = [[cost.wall for cost, _ in found], [cost.cpu for cost, _ in found], [alone for _, alone in found]]
        ratio = [cost.cpu / alone for cost, alone in found]
        memory = max(cost.memory for cost, _ in found)
        rows.append([stage, *(spread(column, ".1f") for column in columns), spread(ratio, ".2f"), f"{memory:.0f}"])
    parameters.write_text(whole)
    shutil.rmtree(root / "data")
    header = ["stage", "wall, s", "CPU, s", "CPU of its imports alone, s", "ratio", "peak memory, MiB"]
    about = (
        f"Ten images a class, one epoch; medians and ranges of {ROUNDS} rounds. A ratio below 1: the imports alone are Python's "
        "own, which search for garbage all along; a stage's don't (src/filterlab/garbage.py)."
    )
    return table(header, rows) + f"\n\n{about}"


def pipeline(root: Path) -> str:
    """The default parameters from scratch, then with nothing to do."""
    (root / "dvc.lock").unlink()
    whole = run([str(BIN / "filterlab"), "pipeline"], root)
    facts = json.loads((root / "results/run.json").read_text())
    idle = [run([str(BIN / "dvc"), "repro"], root).wall for _ in range(5)]
    (root / ".venv").symlink_to(BIN.parent)
    for name in ("requirements.lock", "pyproject.toml"):  # older than the environment, as at a second start
        os.utime(root / name, (0, 0))
    again = [run(["make", "pipeline"], root).wall for _ in range(5)]
    data = [run([str(BIN / "filterlab"), "stage", stage], root).wall for stage in ("download", "preprocess")]
    rows = [
        ["from scratch, wall, s", f"{whole.wall:.1f}", ""],
        ["of it the training loop, s", f"{facts['seconds']:.1f}", "180"],
        ["all else (imports, DVC, data, evaluation, figures, report, MLflow), s", f"{whole.wall - facts['seconds']:.1f}", "60"],
        ["download and preprocess, from local files, s", f"{sum(data):.1f}", "5"],
        ["`dvc repro` with nothing to do, s", spread(idle, ".2f"), ""],
        ["`make pipeline` with nothing to do, s", spread(again, ".2f"), ""],
        ["the second without DVC's share, s", f"{statistics.median(again) - statistics.median(idle):.2f}", "2"],
        ["peak memory of the largest process, MiB", f"{whole.memory:.0f}", ""],
    ]
    return table(["", "measured", "bar"], rows)


def views(root: Path) -> str:
    """visualize on what the pipeline left, by view, as it prints it; a view's figures are written after all are drawn."""
    whole = run([str(BIN / "filterlab"), "stage", "visualize"], root)
    by_view = re.findall(r"(\w+) ([\d.]+) s", whole.printed.partition("views: ")[2].splitlines()[0])
    rows = [[name.replace("_", " "), seconds, ""] for name, seconds in by_view if float(seconds) >= 0.1]
    page = run([str(BIN / "filterlab"), "stage", "report"], root)
    rows += [["all of visualize, imports and files too", f"{whole.wall:.1f}", "60"], ["report", f"{page.wall:.1f}", "10"]]
    return table(["view", "wall, s", "bar"], rows) + f"\n\nPeak memory of visualize: {whole.memory:.0f} MiB."


def accuracy(root: Path, experiments: list[tuple[str, str, str, str]]) -> str:
    """Experiments, each with three seeds, through the pipeline as far as evaluate.

    experiments: of each what the table calls it, its name, and its bars: of the accuracy, in percent, and of the training, in
    seconds.
    """
    rows = []
    for name, setting, accurate, quick in experiments:
        found, seconds = [], []
        for seed in SEEDS:
            text = (ROOT / "params.yaml").read_text().replace("seed: default", f"seed: {seed}")
            (root / "params.yaml").write_text(text.replace("experiment: default", f"experiment: {setting}"))
            run([str(BIN / "dvc"), "repro", "evaluate"], root)
            found.append(100 * json.loads((root / "results/metrics.json").read_text())["accuracy"])
            seconds.append(json.loads((root / "results/run.json").read_text())["seconds"])
        each = ", ".join(f"{number:.2f}" for number in found)
        mean, deviation = statistics.mean(found), statistics.stdev(found)
        spent = f"{statistics.mean(seconds):.0f} ({max(seconds):.0f})"
        rows.append([name, f"{mean:.2f} ± {deviation:.2f}", each, accurate, spent, quick])
    header = [
        "experiment",
        "accuracy, %: mean ± standard deviation",
        f"seeds {', '.join(map(str, SEEDS))}",
        "bar, %",
        "training, s: mean (largest)",
        "bar, s",
    ]
    return table(header, rows)


def run(command: list[str], root: Path) -> Cost:
    """Run to its end and measure; raises CalledProcessError with what it printed if it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        environment = ENVIRONMENT | {"PYTHONPATH": str(root / "src")}  # the clone's own code, whatever is edited meanwhile
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        printed.seek(0)
        words = printed.read()
        if status:
            raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command, words)
    wall = time.perf_counter() - started
    print(f"{wall:7.1f} s  {' '.join(command)[:100]}", flush=True)
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / 1024, printed=words)


if __name__ == "__main__":
    main()
