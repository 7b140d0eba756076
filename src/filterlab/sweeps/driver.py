"""Runs a sweep: launches what is missing of it under its parent run, and reports what came out."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.types import TaskFunction
from omegaconf import DictConfig

from filterlab import files, tracking
from filterlab.config import compose, resolved, schema
from filterlab.errors import UserError
from filterlab.study.trial import Trial
from filterlab.sweeps import collect, frozen, status
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.objective import direction_of
from filterlab.sweeps.record import read_trials
from filterlab.sweeps.sweep import Sweep
from filterlab.sweeps.trials import SweepConfig
from filterlab.tracking import NullRun

if TYPE_CHECKING:
    from filterlab.sweeps.ask_tell import Outcome
    from filterlab.sweeps.search import Launch

RUNNABLE = ["not started", "interrupted"]


class UnfinishedError(UserError):
    """A sweep of which not every trial is done."""

    exit_code = 6


@dataclass
class SweepTask:
    """Hydra's task function in a sweep: trains one trial.

    Hydra makes the sweeper itself and hands it the task function, which so brings what the sweeper is to run. Launchers hand
    the task function to their jobs, without that.

    Attributes:
        task: the task function of a single training.
        run_trials: given the launcher's `launch`, runs the trials that are missing.
    """

    task: TaskFunction
    run_trials: "Callable[[Launch], object] | None" = None

    def __call__(self, config: DictConfig) -> Any:
        return self.task(config)

    def __reduce__(self) -> tuple[type["SweepTask"], tuple[TaskFunction]]:
        return SweepTask, (self.task,)

    @property
    def __wrapped__(self) -> TaskFunction:
        """By which Hydra names its jobs and their logs."""
        return self.task


def run_sweep(
    sweep: Sweep, config: SweepConfig, *, root: Path, retry_failed: bool, start: "Callable[[Callable[[Launch], object]], None]"
) -> None:
    """Run what is missing, then write the report.

    Args:
        start: starts Hydra, with the `run_trials` of its task function.

    Raises:
        UnfinishedError: not every trial is done. BusyError: the sweep is being run by another process.
        UserError: its trainings would be mixed with those of another one, or what it froze has been edited.
        DataError: the data are neither in the sweep's folder nor here; nothing has been launched then.
        TrackingError: tracking.require is set and the store can't be reached; nothing has been launched then.
    """
    check_fixed(sweep, searched=config.space is not None)
    sweeps.check_frozen(sweep)
    asked = {} if config.space is not None else config.trials
    for key, (overrides, trial_config) in asked.items():
        sweep.trials[key] = overrides
        if not (written := sweep.trial_folder(key) / resolved.RESOLVED).exists():  # by its key it is the same
            files.write(written, resolved.dump(trial_config))
    with sweeps.driven(sweep):
        frozen.freeze_data(sweep, config.data, root=root)
        sweep.tracking = dataclasses.asdict(config.tracking)
        sweep.save()
        with parent_run(sweep, config.tracking, root=root) as record:

            def run_trials(launch: "Launch") -> object:
                if config.space is not None:
                    return search_trials(sweep, config, launch, retry_failed=retry_failed)
                missing = missing_trials(sweep, asked, retry_failed=retry_failed)
                return launch(missing, 0) if missing else []

            try:
                start(run_trials)
            except KeyboardInterrupt as error:
                error.add_note("what is finished is kept: the same command runs the rest")
                raise
            trials = collect.log_report(sweep, record, root=root)
            # A search goes on over trials that fail, and says itself where none was done.
            if left := [trial for trial in trials if trial.status not in ("done", "pruned") and trial.key in asked]:
                raise UnfinishedError(describe_unfinished(sweep, left))


def missing_trials(sweep: Sweep, keys: Collection[str], *, retry_failed: bool) -> list[list[str]]:
    """Overrides of those of these trials that are to run now; prints how many, and what becomes of the others."""
    runnable = [*RUNNABLE, "failed"] if retry_failed else RUNNABLE
    trials = [trial for trial in status.find_trials(sweep) if trial.key in keys]
    missing = {trial.key for trial in trials if trial.status in runnable}
    left = [trial for trial in trials if trial.key not in missing]
    about = f", {status.count_statuses(left)}" if left else ""
    print(f"sweep {sweep.name}: {len(keys)} trials{about}: {len(missing)} to run", flush=True)
    if any(trial.status == "failed" for trial in left):
        print("  --retry-failed runs the failed ones again", flush=True)
    return [sweep.trials[key] for key in keys if key in missing]


def search_trials(sweep: Sweep, config: SweepConfig, launch: "Launch", *, retry_failed: bool) -> object:
    """Run a search, or go on with it."""
    from filterlab.sweeps.ask_tell import Search
    from filterlab.sweeps.search import run_search

    assert config.space is not None
    settings = config.sweeper
    search = Search(
        config.space,
        direction=direction_of(sweep.metric),
        sampler=settings.sampler,
        seed=settings.seed,
        known=known_outcomes(sweep, list(config.space), retry_failed=retry_failed),
    )
    return run_search(
        search,
        fixed=config.fixed,
        metric=sweep.metric,
        n_trials=settings.n_trials,
        n_jobs=settings.n_jobs,
        launch=launch,
    )


def known_outcomes(sweep: Sweep, keys: Sequence[str], *, retry_failed: bool) -> "list[Outcome]":
    """The sweep's trials as a search knows them, in the order they were started; failed ones as interrupted, to be retried."""
    from filterlab.sweeps.ask_tell import Outcome

    trials = [trial for trial in read_trials(sweep) if trial.swept.keys() >= set(keys)]
    return [
        Outcome(
            swept={key: trial.swept[key] for key in keys},
            status="interrupted" if retry_failed and trial.status == "failed" else trial.status,
            value=trial.metrics.get(sweep.metric),
            curve=trial.curve,
        )
        for trial in trials
    ]


def check_fixed(sweep: Sweep, *, searched: bool) -> None:
    """Raises UserError where an earlier command of this name fixed other values: its trainings would be mixed with these.

    Trials differ in what is swept. A grid may fix what another command of its name sweeps; a search takes all trials of its name
    for its own.
    """
    swept = [] if searched else sweep.swept
    *earlier, now = map(fixed_values, sweep.commands)
    for before in earlier:
        if differ := [key for key in before | now if key not in swept and before.get(key) != now.get(key)]:
            differences = ", ".join(
                f"{key} is {now.get(key, 'not given')} (was {before.get(key, 'not given')})" for key in differ
            )
            raise UserError(
                f"sweep {sweep.name} holds the trainings of another one: {differences}. Say the same but for hydra.sweeper, "
                "sweep what differs, or give this one a name of its own: --sweep NAME"
            )


def fixed_values(command: Sequence[str]) -> dict[str, Any]:
    """The values by key that are the same in all of a command's trainings."""
    given = [override for override in compose.parse(command) if not override.is_sweep_override()]
    values = {override.get_key_element(): override.value() for override in given if not compose.is_hydras(override)}
    return {key: value for key, value in values.items() if key.partition(".")[0] != "tracking"}


@contextmanager
def parent_run(sweep: Sweep, settings: schema.Tracking, *, root: Path) -> Iterator[NullRun]:
    """The run that the trials' are shown below, for as long as the sweep runs: a new one, or the same again."""
    quiet = dataclasses.replace(settings, system_metrics=False)
    tags = {**sweep.tags, status.SWEEP: sweep.name, "filterlab.kind": "sweep", "filterlab.swept": ", ".join(sweep.swept)}
    with tracking.start(quiet, root=root, name=sweep.name, tags=tags, identity=sweep.id) as record:
        yield record


def describe_unfinished(sweep: Sweep, left: Sequence[Trial]) -> str:
    """A sweep's trials that are not done, with their error messages, and what runs them."""
    lines = [f"{status.count_statuses(left)} of sweep {sweep.name}"]
    for trial in left[:10]:
        values = " ".join(f"{name}={value}" for name, value in trial.swept.items())
        why = f": {trial.error.splitlines()[0]}" if trial.status == "failed" and trial.error else ""
        lines.append(f"  {trial.status:<12}{values}{why}")
    if len(left) > 10:
        lines.append(f"  and {len(left) - 10} more: filterlab sweep status {sweep.name}")
    found = {trial.status for trial in left}
    if found & {*RUNNABLE}:
        lines.append("the same command runs what is missing")
    if "failed" in found:
        lines.append("with --retry-failed it runs what failed as well")
    return "\n".join(lines)
