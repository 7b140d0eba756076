"""A search: trains what `ask_tell.Search` asks for, and tells it what came out."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from filterlab.errors import ConfigError, UserError
from filterlab.sweeps.ask_tell import SAMPLERS, Best, Outcome, Search
from filterlab.sweeps.objective import check_objective

log = logging.getLogger(__name__)

PRUNERS = ["none", "median", "halving"]

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]  # of the trials' overrides and the first one's number


def check_settings(settings: Any) -> str:
    """The full name of the metric. Raises ConfigError with every fault of hydra.sweeper.

    settings: with the attributes of the sweeper's OptunaConf.
    """
    faults = []
    # Optuna's samplers take 32 bits of a seed.
    for name, (least, most) in {
        "n_trials": (1, 10_000),
        "n_jobs": (1, 1024),
        "seed": (0, 2**32 - 1),
        "warmup": (0, 10**6),
    }.items():
        if not least <= (given := getattr(settings, name)) <= most:
            faults.append(f"hydra.sweeper.{name} is {given}, expected >= {least} and <= {most:,}")
    for name, known in {"sampler": list(SAMPLERS), "pruner": PRUNERS}.items():
        if (given := getattr(settings, name)) not in known:
            faults.append(f"hydra.sweeper.{name} is {given!r}, expected one of {', '.join(known)}")
    metric = ""
    try:
        metric = check_objective(settings.metric)
    except ConfigError as error:
        faults += [f"hydra.sweeper: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return metric


def run_search(
    search: Search,
    *,
    fixed: list[str],
    metric: str,
    n_trials: int,
    n_jobs: int,
    launch: Launch,
) -> Best:
    """Train what the search asks for, tell it what came out, print and give the best setting.

    A training that fails, is stopped or is killed by its scheduler is a trial of that kind; only an interruption from
    outside, or a mistake that no training could survive, ends the search.

    Args:
        fixed: overrides that all trials share.
        metric: the objective, as a training returns it.
        n_trials: settings tried in all, those of earlier starts included.
        n_jobs: trainings launched at once; the search learns from them when all of them have ended.
        launch: trains some trials, and gives what became of each.

    Raises:
        UserError: no trial was done in the end, or a training returned something else than its metrics.
    """
    error = ""
    while batch := next_batch(search, n_trials=n_trials, n_jobs=n_jobs):
        results = launch([fixed + overrides for overrides in batch.values()], next(iter(batch)))
        for number, result in zip(batch, results, strict=True):
            outcome = read_result(result, metric)
            search.tell(number, outcome)
            if outcome.status == "failed":
                error = outcome.error
                log.warning("trial %d failed: %s", number, error)
            else:
                best = search.best()
                so_far = f"; best so far {best.value:.6g} (trial {best.number})" if best else ""
                log.info("trial %d %s: %s %.6g%s", number, outcome.status, metric, outcome.value, so_far)
    best = search.best()
    if best is None:
        last = f"; the last failure: {error}" if error else ""
        raise UserError(f"no training of this search was done: {search.counts()}{last}")
    print(f"best of {search.started} ({search.counts()}): {' '.join(best.overrides)}  {metric} {best.value:.6g}", flush=True)
    return best


def next_batch(search: Search, *, n_trials: int, n_jobs: int) -> dict[int, list[str]]:
    """The next trials' overrides by their numbers; empty where the search is over."""
    batch: dict[int, list[str]] = {}
    while len(batch) < n_jobs and search.started < n_trials:
        if (asked := search.ask()) is None:
            log.info("nothing new comes up any more: all settings that the sampler draws have been tried")
            break
        number, overrides = asked
        batch[number] = overrides
    return batch


def read_result(result: JobReturn, metric: str) -> Outcome:
    """The outcome of a training, from what it returned. Raises UserError: that is something else than its metrics."""
    if result.status != JobStatus.COMPLETED:
        raised = result._return_value  # return_value would raise it
        return Outcome({}, "failed", error=shorten(f"{type(raised).__name__}: {raised}", 300))
    returned = result.return_value
    if not isinstance(returned, Mapping) or metric not in returned:
        there = ", ".join(map(str, returned)) if isinstance(returned, Mapping) else type(returned).__name__
        raise UserError(f"hydra.sweeper.metric is {metric!r}, and a training does not return it, but: {there}")
    value = float(returned[metric])
    if not math.isfinite(value):
        return Outcome({}, "failed", error=f"{metric} is {value}")
    curve = returned.get("curves", {}).get(metric.removeprefix("best/"), ())
    return Outcome({}, str(returned.get("state", "done")), value, curve)
