"""The status of each of a sweep's trials, from its store and the scheduler."""

from collections import Counter
from collections.abc import Iterable, Mapping

from filterlab.slurm import queued_jobs
from filterlab.study.trial import Trial
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import Found, NullRun, process

SWEEP, KEY, STATE, SWEPT = "filterlab.sweep", "filterlab.trial", "filterlab.state", "swept."
ENDED = {"FINISHED": "done", "FAILED": "failed", "KILLED": "interrupted"}  # status of a run that has ended


def trial_tags(sweep: Sweep, *, key: str, swept: Mapping[str, str]) -> dict[str, str]:
    """The tags by which a training of the sweep is found."""
    found = {**sweep.tags, "mlflow.parentRunId": sweep.parent, SWEEP: sweep.name, KEY: key}
    return found | {f"{SWEPT}{name}": value for name, value in swept.items()}


def find_trials(sweep: Sweep, store: NullRun) -> list[Trial]:
    """A sweep's trials in the order they were started, then those that were asked for and have not started.

    Args:
        store: a handle that can search.
    """
    trials = {trial.key: trial for trial in started_trials(sweep, store)}
    waiting = waiting_trials(sweep)
    keys, of_a_search = {trial.key for trial in waiting}, [trial for trial in waiting if not trial.key]
    for key, overrides in sweep.trials.items():
        swept = sweeps.swept_values(overrides, sweep.swept)
        queued = key in keys or swept in [trial.swept for trial in of_a_search]
        if key not in trials or (queued and trials[key].status in ("failed", "interrupted")):
            trials[key] = Trial(key, swept, "queued" if queued else "not started")
    known = [trial.swept for trial in trials.values() if trial.status in ("done", "pruned", "running", "queued")]
    return [*trials.values(), *(trial for trial in of_a_search if trial.swept not in known)]


def started_trials(sweep: Sweep, store: NullRun) -> list[Trial]:
    """The trials that have a run, in the order they were started; of several runs of one the one that is done, else the last."""
    runs = store.search(f"tags.`{SWEEP}` = '{sweep.name}' AND tags.`mlflow.parentRunId` = '{sweep.parent}'")
    running = [run for run in runs if run.status not in ENDED]
    alive = dict(zip([run.id for run in running], process.alive([run.tags for run in running]), strict=True))
    trials: dict[str, Trial] = {}
    for run in runs:
        trial = trial_of(run, alive=alive.get(run.id, False))
        if trial.key not in trials or trials[trial.key].status != "done":
            trials[trial.key] = trial
    return list(trials.values())


def trial_of(run: Found, *, alive: bool) -> Trial:
    status = ENDED.get(run.status, "running" if alive else "interrupted")
    return Trial(
        key=run.tags[KEY],
        swept={name.removeprefix(SWEPT): value for name, value in run.tags.items() if name.startswith(SWEPT)},
        status="pruned" if status == "done" and run.tags.get(STATE) == "pruned" else status,
        run_id=run.id,
        metrics={name: number for name, number in run.metrics.items() if not name.startswith(("system/", "step/"))},
    )


def waiting_trials(sweep: Sweep) -> list[Trial]:
    """The trials whose jobs a scheduler holds; the key is empty where no command asked for the trial: a search did."""
    jobs = {job: overrides for overrides, job in sweeps.submitted_jobs(sweep)}
    held = queued_jobs(list(jobs))
    keys = {frozenset(overrides): key for key, overrides in sweep.trials.items()}
    return [
        Trial(keys.get(frozenset(overrides), ""), sweeps.swept_values(overrides, sweep.swept), "queued")
        for job, overrides in jobs.items()
        if job in held
    ]


def count_statuses(trials: Iterable[Trial]) -> str:
    """E.g. "12 done, 1 failed"."""
    counts = Counter(trial.status for trial in trials)
    return ", ".join(f"{number} {status}" for status, number in counts.items()) or "none started"


def read_errors(store: NullRun, sweep: Sweep) -> dict[str, str]:
    """Error messages of failed trainings, by run id."""
    found = store.search(f"tags.`{SWEEP}` = '{sweep.name}' AND attributes.status = 'FAILED'")
    return {run.id: run.tags.get("filterlab.error", "no message") for run in found}
