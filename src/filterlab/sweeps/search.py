"""A search by ask and tell: Optuna proposes settings, the store remembers what became of them.

The study lives in memory; a search that goes on is rebuilt from the trials that the store knows.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from filterlab.errors import ConfigError, UserError
from filterlab.sweeps import objective
from filterlab.sweeps.space import Space, read, text

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}
PRUNERS = ["none", "median", "halving"]
STATES = {
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
    "interrupted": TrialState.WAITING,
}
DIRECTIONS = {"maximize": StudyDirection.MAXIMIZE, "minimize": StudyDirection.MINIMIZE}
REPEATS = 100  # draws in a row that bring nothing new


def check(settings: Any) -> str:
    """Raises ConfigError with every fault of hydra.sweeper; gives the full name of the metric.

    settings: with the attributes of the sweeper's OptunaSweeperConf.
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
        metric = objective.check(settings.metric, direction=settings.direction)
    except ConfigError as error:
        faults += [f"hydra.sweeper: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return metric


@dataclass(frozen=True)
class Outcome:
    """What is known of one setting.

    Attributes:
        values: by swept key, as text or as what it stands for.
        state: done, pruned or failed; running (elsewhere: it is neither asked again nor waited for); interrupted (it is
            asked again before anything new).
        value: of the objective; a trial that is done without a finite one has failed.
        curve: the objective after each epoch, the first one first. Of a pruned trial the sampler learns by it.
    """

    values: dict[str, Any]
    state: str
    value: float | None = None
    curve: Sequence[float] = ()


@dataclass(frozen=True)
class Best:
    """The best trial that is done: its number, its swept values as overrides, and the objective."""

    number: int
    overrides: list[str]
    value: float


class Search:
    """Settings that are worth a training, one after the other.

    A setting is trained once: where the sampler draws one again, it is told what became of it and draws anew. Trials are
    numbered in the order they are asked, after the known ones.

    Args:
        space: what is searched.
        direction: "maximize" or "minimize".
        sampler: "tpe" (Optuna's default, with its defaults) or "random".
        seed: of the sampler. A search that goes on mixes the number of known trials into it, and so draws other points.
        known: earlier trials of this search, in the order they were begun.

    Attributes:
        begun: trials so far, but for those that were interrupted and not yet asked again.

    Raises:
        UserError: a known trial lies outside of the space.
    """

    def __init__(self, space: Space, *, direction: str, sampler: str, seed: int, known: Sequence[Outcome] = ()):
        quiet()
        if known:
            seed = int(np.random.SeedSequence([seed, len(known)]).generate_state(1)[0])
        self.space = dict(space)
        self.study = optuna.create_study(direction=DIRECTIONS[direction], sampler=SAMPLERS[sampler](seed))
        self.begun = 0
        self.numbers: dict[tuple[str, ...], int] = {}  # by overrides
        self.outcomes: dict[int, Outcome] = {}
        self.asked: dict[int, list[optuna.Trial]] = {}  # not yet told: Optuna's trials with the overrides of that number
        for trial in known:
            frozen = self.frozen(trial)
            if trial.state == "interrupted":
                self.study.enqueue_trial(frozen.params)
            else:
                self.study.add_trial(frozen)
                self.outcomes[self.number(self.overrides(frozen.params))] = trial

    def ask(self) -> tuple[int, list[str]] | None:
        """The next trial's number and its swept values as overrides; None where nothing new comes up any more."""
        for _ in range(REPEATS):
            trial = self.study.ask(self.space)
            overrides, before = self.overrides(trial.params), self.begun
            number = self.number(overrides)
            if number == before:
                self.asked[number] = [trial]
                return number, overrides
            if number in self.asked:
                self.asked[number].append(trial)
            else:
                self.finish(trial, self.outcomes[number])
        return None

    def tell(self, number: int, value: float | None, state: str, *, curve: Sequence[float] = ()) -> None:
        """What became of a trial that was asked: see `Outcome`. One that was interrupted or killed counts as failed."""
        trials = self.asked.pop(number)
        outcome = Outcome(trials[0].params, state, value, curve)
        self.outcomes[number] = outcome
        for trial in trials:
            self.finish(trial, outcome)

    def best(self) -> Best | None:
        """None as long as no trial is done."""
        if not self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            return None
        trial = self.study.best_trial
        overrides = self.overrides(trial.params)
        assert trial.value is not None
        return Best(self.numbers[tuple(overrides)], overrides, trial.value)

    def overrides(self, values: dict[str, Any]) -> list[str]:
        """Values of the space, as they stand on a command line; they may be text already."""
        return [f"{key}={text(kind, read(kind, values[key]))}" for key, kind in self.space.items()]

    def number(self, overrides: list[str]) -> int:
        """A new number for what is new."""
        number = self.numbers.setdefault(tuple(overrides), self.begun)
        self.begun = max(self.begun, number + 1)
        return number

    def frozen(self, trial: Outcome) -> FrozenTrial:
        """A known trial as Optuna's."""
        state = STATES[trial.state]
        if state == TrialState.COMPLETE and not finite(trial.value):
            state = TrialState.FAIL
        try:
            return create_trial(
                state=TrialState.RUNNING if state == TrialState.WAITING else state,
                value=trial.value if state == TrialState.COMPLETE else None,
                params={key: read(kind, trial.values[key]) for key, kind in self.space.items()},
                distributions=self.space,
                intermediate_values={step: float(number) for step, number in enumerate(trial.curve)},
            )
        except (KeyError, ValueError) as error:
            given = ", ".join(f"{key}={value}" for key, value in trial.values.items())
            raise UserError(
                f"a trial of this search was {given}, which is not in the space asked for now ({error}): another space is"
                " another search, so give it a name of its own"
            ) from error

    def finish(self, trial: optuna.Trial, outcome: Outcome) -> None:
        state = STATES[outcome.state]
        if state == TrialState.COMPLETE and finite(outcome.value):
            self.study.tell(trial, outcome.value)
        elif state == TrialState.PRUNED:
            for step, number in enumerate(outcome.curve):
                trial.report(number, step)
            self.study.tell(trial, state=state)
        elif state != TrialState.RUNNING:
            self.study.tell(trial, state=TrialState.FAIL)


def prune(curve: Sequence[float], others: Sequence[Sequence[float]], *, direction: str, pruner: str, warmup: int) -> bool:
    """Whether Optuna's pruner stops a training whose objective went like `curve`, an element an epoch.

    Args:
        curve: of this training, up to now.
        others: "median": of the trainings that are done (not the pruned ones: the median would rise with each).
            "halving": of all other trainings, running and pruned ones too.
        direction: "maximize" or "minimize".
        pruner: "median" stops a training whose best is worse than the median of the others at the same epoch, once five
            are done; "halving" (Li and others, arXiv 1810.05934) lets the best quarter go on, after warmup, 4 warmup,
            16 warmup, ... epochs; "none".
        warmup: epochs in which nothing is stopped.
    """
    if pruner == "none":
        return False
    quiet()
    method: BasePruner = MedianPruner(n_warmup_steps=warmup)
    if pruner == "halving":
        method = SuccessiveHalvingPruner(min_resource=max(1, warmup))
    study = optuna.create_study(direction=DIRECTIONS[direction], pruner=method, sampler=RandomSampler(seed=0))
    for other in others:
        if pruner == "halving":  # it judges by notes that it makes at each step
            replay(study.ask(), other)
        else:  # it looks at no final value
            values = {step: float(number) for step, number in enumerate(other)}
            study.add_trial(create_trial(value=0.0, intermediate_values=values))
    return replay(study.ask(), curve)


def replay(trial: optuna.Trial, curve: Sequence[float]) -> bool:
    """Report a curve from its start; the pruner's answer after its last element."""
    stop = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # such a trial is stopped
        for step, number in enumerate(curve):
            trial.report(number, step)
            stop = trial.should_prune()
    return stop


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def quiet() -> None:
    """Optuna tells of each study and each trial on stderr; those who ask and tell say it themselves."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
