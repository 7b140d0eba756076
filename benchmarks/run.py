"""`make bench`: what the pipeline costs and reaches on this machine, as tables in docs/benchmarks.md.

Machines are shared, so that what is to be compared is measured in one run, in turns, and given as a ratio. Needs MNIST
(FILTERLAB_MIRROR, or a network) and about 20 minutes on two cores.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/benchmarks.md"
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
SEEDS = [0, 1, 2]
IMPORTS = {  # what each stage can't do without, mlflow with its SQL store where it logs
    "compose": "hydra, omegaconf",
    "download": "hydra, requests, rich.progress",
    "preprocess": "hydra, numpy",
    "train": "pytorch_lightning, matplotlib.figure",
    "evaluate": "torch, matplotlib.figure",
    "visualize": "torch, matplotlib.figure",
    "report": "hydra, jinja2",
}
LOGS = {"train", "evaluate", "visualize", "report"}
RECORDER = "mlflow.pyfunc, mlflow.store.tracking.sqlalchemy_store"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of processor (children included), and the largest process in MiB."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    with project() as root:
        stages = pipeline(root)  # before torch is imported here: a child's peak memory counts from its parent's
        from throughput import throughput

        text = "\n\n".join(
            [
                "# Benchmarks\n\nWritten by `make bench`: every figure was measured, in one run of it.",
                machine(),
                "## The pipeline, stage by stage\n\n" + stages,
                "## Training throughput\n\n" + table(*throughput(root)),
                "## Accuracy on MNIST's test set\n\n" + accuracy(root),
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
    import torch

    facts = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in facts if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30

    bf16 = "with" if torch.cpu.get_capabilities().get("avx512_bf16") else "without"
    return (
        f"Machine: {os.cpu_count()} cores of {model} ({bf16} avx512_bf16), {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}; load average at the start {os.getloadavg()[0]:.1f}."
    )


def pipeline(root: Path) -> str:
    """Each stage run by itself (one epoch of training), then DVC around them."""
    order = root / "params.yaml"
    whole_order = order.read_text()
    order.write_text(whole_order.replace("override: {}", "override: {trainer: {max_epochs: 1}}"))
    rows, spent = [], Cost(0, 0, 0)
    for stage, modules in IMPORTS.items():
        cost = run([str(BIN / "filterlab"), "stage", stage], root)
        alone = run([sys.executable, "-c", f"import {modules}"], root).cpu
        alone += run([sys.executable, "-c", f"import {RECORDER}"], root).cpu if stage in LOGS else 0
        spent = Cost(spent.wall + cost.wall, spent.cpu + cost.cpu, max(spent.memory, cost.memory))
        rows.append([stage, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{alone:.1f}", f"{cost.memory:.0f}"])
    training = json.loads((root / "results/run.json").read_text())["seconds"]
    rows.append(["**all**", f"{spent.wall:.1f}", f"{spent.cpu:.1f}", "", f"{spent.memory:.0f}"])
    rows.append(["**all but the training loop**", f"{spent.wall - training:.1f}", "", "", ""])
    shutil.rmtree(root / "data")
    order.write_text(whole_order)
    (root / "dvc.lock").unlink(missing_ok=True)
    whole = run([str(BIN / "filterlab"), "pipeline"], root)
    loop = json.loads((root / "results/run.json").read_text())["seconds"]
    idle = [run([str(BIN / "dvc"), "repro"], root).wall for _ in range(5)]
    header = ["stage", "wall, s", "CPU, s", "CPU of its imports alone, s", "peak memory, MiB"]
    return table(header, rows) + (
        f"\n\n`filterlab pipeline` from scratch: {whole.wall:.1f} s, of which {loop:.1f} s in the training loop and "
        f"{whole.wall - loop:.1f} s in all else (imports, DVC, data, evaluation, figures, report, MLflow). "
        f"`dvc repro` with nothing to do: {statistics.median(idle):.2f} s ({min(idle):.2f} to {max(idle):.2f}, 5 times)."
    )


def accuracy(root: Path) -> str:
    """The default order and the fast experiment, three seeds each, through the whole pipeline."""
    rows = []
    for name, setting in [("default", "none"), ("fast", "fast")]:
        found, seconds = [], []
        for seed in SEEDS:
            order = (ROOT / "params.yaml").read_text().replace("seed: 0", f"seed: {seed}")
            (root / "params.yaml").write_text(order.replace("experiment: none", f"experiment: {setting}"))
            run([str(BIN / "dvc"), "repro"], root)
            found.append(100 * json.loads((root / "results/metrics.json").read_text())["accuracy"])
            seconds.append(json.loads((root / "results/run.json").read_text())["seconds"])
        each = ", ".join(f"{number:.2f}" for number in found)
        mean, deviation = statistics.mean(found), statistics.stdev(found)
        rows.append([name, f"{mean:.2f} ± {deviation:.2f}", each, f"{statistics.mean(seconds):.0f} ({max(seconds):.0f})"])
    header = [
        "order",
        "accuracy, %: mean ± standard deviation",
        f"seeds {', '.join(map(str, SEEDS))}",
        "training, s: mean (largest)",
    ]
    return table(header, rows)


def run(command: list[str], root: Path) -> Cost:
    """Run to its end and measure; raises CalledProcessError with what it printed if it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        environment = ENVIRONMENT | {"PYTHONPATH": str(root / "src")}  # the clone's own code, whatever is edited meanwhile
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            printed.seek(0)
            raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command, printed.read())
    wall = time.perf_counter() - started
    print(f"{wall:7.1f} s  {' '.join(command)[:100]}", flush=True)
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / 1024)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
