"""`hydra/sweeper=optuna`: a search, where Hydra's own sweeper runs a grid.

Hydra imports this at each start, so Optuna and what needs it are imported by the search itself.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from filterlab.errors import UserError

if TYPE_CHECKING:
    from filterlab.sweeps.search import Best, Outcome, Search

log = logging.getLogger(__name__)
POLL = 10.0  # seconds between two looks at trainings whose launcher has given up on them


@dataclass
class OptunaSweeperConf:
    """hydra.sweeper, where it is `optuna`.

    Attributes:
        n_trials: settings tried in all, those of earlier, interrupted starts included.
        n_jobs: trainings handed to the launcher at once; the search learns from them when all of them have ended.
        sampler: tpe or random.
        seed: of the sampler.
        pruner: which trainings are stopped early: median (worse than the median of those that are done, at the same
            epoch), halving (not among the best quarter), none.
        warmup: epochs in which no training is stopped.
        metric: what is sought: best/validation/accuracy or best/validation/loss.
        direction: maximize or minimize.
        params: key -> sweep in Hydra's syntax, as an experiment's file has them; the command line's words come after.
    """

    _target_: str = "hydra_plugins.filterlab_sweepers.optuna.OptunaSweeper"
    n_trials: int = 20
    n_jobs: int = 1
    sampler: str = "tpe"
    seed: int = 0
    pruner: str = "median"
    warmup: int = 1
    metric: str = "best/validation/accuracy"
    direction: str = "maximize"
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="filterlab")


def of_the_store(keys: Sequence[str]) -> "list[Outcome]":
    """The trials of the sweep that this process drives; [] where it drives none, as in another project's application."""
    from filterlab.sweeps import driver

    return driver.driving().trials(keys) if driver.drives() else []


class OptunaSweeper(Sweeper):
    """Asks `filterlab.sweeps.search` for settings, has Hydra's launcher train them, tells what they came to.

    A training that fails, is stopped or is killed by its scheduler is a trial of that kind; only an interruption from
    outside, or a mistake that no training could survive, ends the search.

    Attributes:
        known: given the searched keys, the trials of this search that a store remembers, in the order they were begun.
            Asked at the start, and for what became of trainings whose launcher gave up on them.
    """

    def __init__(
        self,
        *,
        n_trials: int,
        n_jobs: int,
        sampler: str,
        seed: int,
        pruner: str,
        warmup: int,
        metric: str,
        direction: str,
        params: Mapping[str, str],
    ):
        self.n_trials, self.n_jobs = n_trials, n_jobs
        self.sampler, self.seed = sampler, seed
        self.pruner, self.warmup = pruner, warmup
        self.metric, self.direction = metric, direction
        self.params = params
        self.known: Callable[[list[str]], list[Outcome]] = of_the_store
        self.failure = ""
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> "Best":
        """Search; print and return the best setting.

        Raises:
            ConfigError: before anything is launched: the search's own settings, or the space.
            UserError: no trial was done in the end, or a training returned something else than its metrics.
        """
        from filterlab.sweeps.search import Search, check
        from filterlab.sweeps.space import ends, space

        self.metric = check(self)
        words = [f"{key}={sweep}" for key, sweep in self.params.items()]
        parser = OverridesParser.create(config_loader=self.loader())
        searched, fixed = space(parser.parse_overrides(words + arguments), options=self.options)
        self.validate_batch_is_legal([fixed + end for end in ends(searched)])
        known = self.known(list(searched))
        search = Search(searched, direction=self.direction, sampler=self.sampler, seed=self.seed, known=known)
        while batch := self.batch(search):
            self.run(search, batch, fixed)
        best = search.best()
        if best is None:
            why = f"; the last failure: {self.failure}" if self.failure else ""
            raise UserError(f"no training of this search was done: {counts(search)}{why}")
        print(
            f"best of {search.begun} ({counts(search)}): {' '.join(best.overrides)}  {self.metric} {best.value:.6g}", flush=True
        )
        return best

    def loader(self) -> Any:
        assert self.hydra_context is not None
        return self.hydra_context.config_loader

    def options(self, group: str) -> list[str]:
        return list(self.loader().get_group_options(group, results_filter=ObjectType.CONFIG))

    def batch(self, search: "Search") -> dict[int, list[str]]:
        """The next trials' overrides by their numbers; empty where the search is over."""
        batch: dict[int, list[str]] = {}
        while len(batch) < self.n_jobs and search.begun < self.n_trials:
            if (asked := search.ask()) is None:
                log.info("nothing new comes up any more: all settings that the sampler draws have been tried")
                break
            number, overrides = asked
            batch[number] = overrides
        return batch

    def run(self, search: "Search", batch: Mapping[int, list[str]], fixed: list[str]) -> None:
        """Have a batch trained, and tell what became of it."""
        assert self.launcher is not None
        words = [fixed + overrides for overrides in batch.values()]
        self.validate_batch_is_legal(words)  # some launchers compose in the job, and it would be the job that fails
        try:
            returned = self.launcher.launch(words, initial_job_idx=next(iter(batch)))
        except (BrokenExecutor, scheduler_error()) as error:  # the scheduler, or the system, has killed a process
            log.warning("a training was killed: %s", str(error).strip().partition("\n")[0])
            self.recover(search, batch)
            return
        for number, result in zip(batch, returned, strict=True):
            if result.status == JobStatus.COMPLETED:
                self.tell(search, number, result)
            else:  # its return_value would raise
                raised = result._return_value
                self.fail(search, number, shorten(f"{type(raised).__name__}: {raised}", 300))

    def tell(self, search: "Search", number: int, result: JobReturn) -> None:
        returned = result.return_value
        if not isinstance(returned, Mapping) or self.metric not in returned:
            there = ", ".join(map(str, returned)) if isinstance(returned, Mapping) else type(returned).__name__
            raise UserError(f"hydra.sweeper.metric is {self.metric!r}, and a training does not return it, but: {there}")
        value, state = float(returned[self.metric]), str(returned.get("state", "done"))
        if not math.isfinite(value):
            self.fail(search, number, f"{self.metric} is {value}")
            return
        curve = returned.get("curves", {}).get(self.metric.removeprefix("best/"), ())
        search.tell(number, value, state, curve=curve)
        best = search.best()
        so_far = f"; best so far {best.value:.6g} (trial {best.number})" if best else ""
        log.info("trial %d %s: %s %.6g%s", number, state, self.metric, value, so_far)

    def recover(self, search: "Search", batch: Mapping[int, list[str]]) -> None:
        """Tell what the store says of trainings that a launcher lost sight of; those that it doesn't know have failed."""
        found: dict[int, Outcome] = {}
        while True:
            for trial in self.known(list(search.space)):  # the last one with these values is this search's
                overrides = search.overrides(trial.values)
                found |= {number: trial for number, asked in batch.items() if asked == overrides}
            if all(trial.state != "running" for trial in found.values()):
                break
            time.sleep(POLL)
        for number in batch:
            if number in found and found[number].state in ("done", "pruned"):
                search.tell(number, found[number].value, found[number].state, curve=found[number].curve)
            else:
                self.fail(search, number, "killed")

    def fail(self, search: "Search", number: int, why: str) -> None:
        log.warning("trial %d failed: %s", number, why)
        self.failure = why
        search.tell(number, None, "failed")


def scheduler_error() -> type[Exception]:
    """What a launcher on submitit raises where the scheduler has killed a job; without submitit no launcher raises it."""
    submitit = sys.modules.get("submitit.core.utils")
    return submitit.UncompletedJobError if submitit else BrokenExecutor


def counts(search: "Search") -> str:
    """E.g. "18 done, 2 failed"."""
    states = [outcome.state for outcome in search.outcomes.values()]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none begun"
