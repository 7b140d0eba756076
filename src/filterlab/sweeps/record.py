"""trial.json: what has become of a trial, in its folder, written by its training.

By it a sweep is known from its own folder, whatever the MLflow store has got of it by now.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from filterlab import seal
from filterlab.errors import DataError
from filterlab.study.trial import Trial
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import NullRun, process

if TYPE_CHECKING:
    from filterlab.training.history import Epoch

RECORD = "trial.json"


class TrialRecord:
    """The record of a trial whose training is under way in this process."""

    def __init__(self, sweep: Sweep, *, key: str, swept: Mapping[str, str]):
        self.path, self.metric = sweep.trial_folder(key) / RECORD, sweep.metric.removeprefix("best/")
        self.trial = Trial(key, dict(swept), "running", started=time.time())

    @contextmanager
    def written(self) -> Iterator[None]:
        """For the time of the training; `finish` it in the block. Raises DataError where it can't be written."""
        self.write()
        try:
            yield
        except BaseException as error:
            status = "failed" if isinstance(error, Exception) else "interrupted"
            self.write(status=status, error=str(error) or type(error).__name__)
            raise

    def write(self, **changed: Any) -> None:
        self.trial = replace(self.trial, **changed)
        seal.write(self.path, {**asdict(self.trial), "process": process.tags()})

    def add_epoch(self, run: NullRun, epochs: "Sequence[Epoch]") -> None:
        """Its finished epochs."""
        self.write(run_id=run.id, curve=[epoch.metrics[self.metric] for epoch in epochs if epoch.metrics])

    def finish(self, result: Mapping[str, Any]) -> None:
        """What `train` gives."""
        self.write(status=result["state"], run_id=result["run_id"], metrics=result["metrics"])


def read_trials(sweep: Sweep, *, known: Mapping[str, Trial] | None = None) -> list[Trial]:
    """The trials that have started, in that order; "running" those whose process lives, or can't be asked from here.

    known: trials that have ended, by key, not to be read again.

    Raises DataError: a record is damaged.
    """
    trials, running = list[Trial](), list[tuple[Trial, dict[str, str]]]()
    for folder in (sweep.folder / "trials").glob("*"):
        if known and folder.name in known:
            trials.append(known[folder.name])
        elif (folder / RECORD).exists():
            values = seal.read(folder / RECORD, remedy=f"remove {folder}, and the trial is run again")
            started_by = values.pop("process")
            try:
                trial = Trial(**values)
            except TypeError as error:
                raise DataError(f"{folder / RECORD} is of another version of filterlab ({error}): begin another sweep") from error
            if trial.status == "running":
                running.append((trial, started_by))
            else:
                trials.append(trial)
    alive = process.alive([tags for _, tags in running])
    for (trial, _), lives in zip(running, alive, strict=True):
        trials.append(trial if lives else replace(trial, status="interrupted"))
    return sorted(trials, key=lambda trial: (trial.started, trial.key))
