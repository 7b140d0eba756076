"""The report of a sweep: written to its folder, and logged to its parent run."""

import contextlib
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filterlab import tracking
from filterlab.errors import DataError
from filterlab.models import folder
from filterlab.study import table
from filterlab.study.trial import Trial
from filterlab.sweeps import report, status
from filterlab.sweeps.objective import direction_of
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import NullRun

NOTE = 8000  # characters that MLflow keeps of a tag


def log_report(sweep: Sweep, store: NullRun, *, root: Path) -> list[Trial]:
    """Write the report, log it to the parent run, and give the trials that it is of."""
    trials, paths = write_report(sweep, root=root)
    done = [trial for trial in trials if trial.status == "done"]
    for path in paths:
        if path.suffix == ".png":
            store.log_image(f"sweep/{path.stem}", path)
    if trials:
        store.log_table("trials.json", table.trial_columns(trials, metrics=[sweep.metric]))
    store.log_artifact(sweep.folder / "report")
    store.set_tags({"filterlab.trials": status.count_statuses(trials), tracking.NOTE: note(sweep)})
    if values := [value for trial in done if math.isfinite(value := trial.metrics.get(sweep.metric, math.nan))]:
        best = max(values) if direction_of(sweep.metric) == "maximize" else min(values)
        store.log_metrics({sweep.metric: best}, step=len(done))  # a later report of the same trials says the same
    return trials


def note(sweep: Sweep) -> str:
    """For the parent run's page, in Markdown: the report's summary, and the command that goes on with the sweep."""
    summary = (sweep.folder / "report/summary.txt").read_text(encoding="utf-8")
    again = shlex.join(["filterlab", "train", "--multirun", "--sweep", sweep.name, *sweep.commands[-1]])
    return "\n".join([f"    {line}" for line in [*summary.splitlines(), "", again]])[:NOTE]


def write_report(sweep: Sweep, *, root: Path) -> tuple[list[Trial], list[Path]]:
    """Write report/, print its summary, and give the trials and the report's files."""
    trials = status.find_trials(sweep)
    done = [trial for trial in trials if trial.status == "done"]
    paths = report.write(
        trials,
        name=sweep.name,
        metric=sweep.metric,
        first_layers={trial.key: layer for trial in done if (layer := first_layer(sweep, trial)) is not None},
        image_shape=image_shape(sweep, done),
        folder=sweep.folder / "report",
    )
    summary = (sweep.folder / "report/summary.txt").read_text(encoding="utf-8")
    print(f"\n{summary.rstrip()}\n\n  report  {(sweep.folder / 'report/report.html').relative_to(root)}", flush=True)
    return trials, paths


def first_layer(sweep: Sweep, trial: Trial) -> Any:
    """Weights of the first layer at the best epoch, float32; None where the training's files are on another machine, or damaged,
    which is printed."""
    models = sweep.trial_folder(trial.key) / "models"
    if not models.exists():
        return None
    try:
        return folder.first_layers(models)[-1]
    except DataError as error:
        print(f"  left out of the report's filters: {error}", flush=True)
        return None


def image_shape(sweep: Sweep, trials: Sequence[Trial]) -> tuple[int, int, int]:
    """Channels, height and width of the images that the networks were trained on."""
    for trial in trials:
        with contextlib.suppress(DataError):  # first_layer has printed it
            data = folder.describe(sweep.trial_folder(trial.key) / "models")["data"]
            return data["channels"], data["height"], data["width"]
    return 1, 28, 28
