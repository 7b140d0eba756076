"""The status of each of a sweep's trials, from its folder and the scheduler."""

from collections import Counter
from collections.abc import Iterable, Mapping

from filterlab.slurm import queued_jobs
from filterlab.study.trial import Trial
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.record import read_trials
from filterlab.sweeps.sweep import Sweep

SWEEP, KEY, SWEPT = "filterlab.sweep", "filterlab.trial", "swept."


def trial_tags(sweep: Sweep, *, key: str, swept: Mapping[str, str]) -> dict[str, str]:
    """The tags of a training of the sweep."""
    found = {**sweep.tags, SWEEP: sweep.name, KEY: key}
    return found | {f"{SWEPT}{name}": value for name, value in swept.items()}


def find_trials(sweep: Sweep) -> list[Trial]:
    """A sweep's trials in the order they were started, then those that were asked for and have not started."""
    trials = {trial.key: trial for trial in read_trials(sweep)}
    waiting = waiting_trials(sweep)
    keys, of_a_search = {trial.key for trial in waiting}, [trial for trial in waiting if not trial.key]
    for key, overrides in sweep.trials.items():
        swept = sweeps.swept_values(overrides, sweep.swept)
        queued = key in keys or swept in [trial.swept for trial in of_a_search]
        if key not in trials or (queued and trials[key].status in ("failed", "interrupted")):
            trials[key] = Trial(key, swept, "queued" if queued else "not started")
    known = [trial.swept for trial in trials.values() if trial.status in ("done", "pruned", "running", "queued")]
    return [*trials.values(), *(trial for trial in of_a_search if trial.swept not in known)]


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
