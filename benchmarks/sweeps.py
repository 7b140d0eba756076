"""The second half of `make bench`: what sweeps cost on this machine, as tables in docs/benchmarks_sweeps.md.

The trainings are tiny (an MLP, one epoch of 900 images), so that what is around them shows. Of a sweep with many
trials only the records are written, as those of trials that are done.
"""

import os
import sqlite3
import statistics
import time
from dataclasses import asdict
from pathlib import Path

from filterlab import seal
from filterlab.config import compose
from filterlab.study.trial import Trial
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.record import RECORD
from filterlab.sweeps.trials import compose_sweep
from run import BIN, machine, project, run
from tables import table

OUT = Path(__file__).parents[1] / "docs/benchmarks_sweeps.md"
JOBS, ROUNDS, EPOCHS = 8, 3, 10
SMALL = [
    "model=mlp",
    "model.hidden=[32]",
    "optimizer=adam",
    "schedule=constant",
    "augment=none",
    "trainer=cpu",
    "trainer.max_epochs=1",
]
SMALL += ["trainer.threads=1", "tracking.system_metrics=false"]
DATA = "data: mnist\noverride: {data: {take: per_class, take_n: 100}}\n"


def main() -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with project() as root:
        (root / "params.yaml").write_text(DATA)
        for stage in ("compose", "download", "preprocess"):
            run([str(BIN / "filterlab"), "stage", stage], root)
        text = "\n\n".join(
            [
                "# Benchmarks of sweeps\n\nWritten by `make bench`: every figure was measured, in one run of it.",
                machine(),
                "## Jobs\n\n" + jobs(root),
                "## Resuming and reporting\n\n" + large(root),
            ]
        )
    OUT.write_text(text + "\n")
    print(text)


def train(root: Path, *words: str) -> float:
    """Seconds of `filterlab train`."""
    return run([str(BIN / "filterlab"), "train", *words, *SMALL], root).wall


def jobs(root: Path) -> str:
    train(root, "seed=99")  # makes the store, which happens once
    rows = []
    for launcher, more in [("basic", []), ("joblib", ["hydra.launcher.n_jobs=2"])]:
        wall = train(root, "-m", "--sweep", launcher, f"hydra/launcher={launcher}", *more, f"seed=range({JOBS})")
        inside = sum(times(root, launcher))
        beyond = f"{(wall - inside) / JOBS:.1f}" if launcher == "basic" else ""
        rows.append([f"{launcher} {' '.join(more)}".strip(), f"{wall:.1f}", f"{3600 * JOBS / wall:.0f}", beyond])
    header = [f"launcher ({JOBS} jobs)", "wall, s", "jobs per hour", "a job beyond its training loop, s"]
    costs = {
        backend: [train(root, f"tracking={backend}", f"seed={100 + turn}") for turn in range(ROUNDS)]
        for backend in ("local", "off")
    }
    local, off = (statistics.median(costs[backend]) for backend in ("local", "off"))
    return table(header, rows) + (
        f"\n\n(Start-up, imports, the driver and the report are in the wall time.) One training alone: {local:.1f} s with the "
        f"store, {off:.1f} s with tracking off (medians of {ROUNDS}): the store costs a job {local - off:.1f} s."
    )


def times(root: Path, sweep: str) -> list[float]:
    """Seconds in the training loop of each of a sweep's jobs."""
    with sqlite3.connect(root / "mlflow.db") as store:
        asked = "select m.value from latest_metrics m join tags t on t.run_uuid = m.run_uuid where m.key = 'training/seconds' "
        return [seconds for (seconds,) in store.execute(asked + "and t.key = 'filterlab.sweep' and t.value = ?", [sweep])]


def large(root: Path) -> str:
    """Sweeps of which every trial is done."""
    rows = []
    for trials, bars in [(100, {"again": 10}), (1_000, {"collect": 30}), (10_000, {"again": 60, "status": 10, "collect": 60})]:
        name = f"of_{trials}"
        words = ["-m", "--sweep", name, f"seed=range({trials})"]
        train(root, *words[:3], "seed=0,1")
        write_done(root, name, trials)
        for what, bar in bars.items():
            wall = train(root, *words) if what == "again" else run([str(BIN / "filterlab"), "sweep", what, name], root).wall
            rows.append(
                [f"{trials:,} trials, all done: {'the same command again' if what == 'again' else what}", f"{wall:.1f}", str(bar)]
            )
    return table(["", "wall, s", "bar, s"], rows)


def write_done(root: Path, name: str, seeds: int) -> None:
    """The records of the sweep's trials, as finished, with curves of EPOCHS epochs."""
    sweep = sweeps.find(root, name)
    given = compose.to_overrides(compose.read_parameters(root / "params.yaml"), [*SMALL, f"seed=range({seeds})"])
    for number, (key, (overrides, _)) in enumerate(compose_sweep(sweep.conf, given).trials.items()):
        best = 0.9 + number % 97 / 1000
        metrics = {"best/validation/accuracy": best, "best_epoch": EPOCHS, "training/seconds": 1.0, "epochs": EPOCHS}
        curve = [best - 0.01 * (EPOCHS - epoch) for epoch in range(1, EPOCHS + 1)]
        swept = sweeps.swept_values(overrides, ["seed"])
        trial = Trial(key, swept, "done", time.time(), f"{number:032x}", metrics, curve)
        seal.write(sweep.trial_folder(key) / RECORD, asdict(trial) | {"process": {}})


if __name__ == "__main__":
    main()
