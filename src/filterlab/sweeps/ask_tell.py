"""Settings worth a training, one after the other: Optuna proposes, by what became of the earlier ones.

Optuna's study lives in memory; a search that goes on is rebuilt from the trials that the store knows.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from filterlab.errors import UserError
from filterlab.sweeps.space import Space, read_value, to_text

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}
STATES = {
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
    "interrupted": TrialState.WAITING,
}
REPEATS = 100  # draws in a row that bring nothing new


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        swept: its values, as text, by swept key.
        status: done, pruned or failed; running (elsewhere: it is neither asked again nor waited for); interrupted (it is
            asked again before anything new).
        value: of the objective; a trial that is done without a finite one has failed.
        curve: the objective after each epoch, the first one first. Of a pruned trial the sampler learns by it.
        error: why it failed, where that is known.
    """

    swept: Mapping[str, str]
    status: str
    value: float | None = None
    curve: Sequence[float] = ()
    error: str = ""

    @property
    def state(self) -> TrialState:
        """Optuna's."""
        state = STATES[self.status]
        finite = self.value is not None and math.isfinite(self.value)
        return TrialState.FAIL if state == TrialState.COMPLETE and not finite else state


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
        seed: of the sampler. A search that goes on mixes the number of known trials into it, and so draws other settings.
        known: earlier trials of this search, in the order they were started.

    Attributes:
        started: number of trials so far, but for those that were interrupted and not yet asked again.

    Raises:
        UserError: a known trial lies outside of the space.
    """

    def __init__(self, space: Space, *, direction: str, sampler: str, seed: int, known: Sequence[Outcome] = ()):
        silence_optuna()
        if known:
            seed = int(np.random.SeedSequence([seed, len(known)]).generate_state(1)[0])
        self.space = dict(space)
        self.study = optuna.create_study(direction=StudyDirection[direction.upper()], sampler=SAMPLERS[sampler](seed))
        self.started = 0
        self.numbers: dict[tuple[str, ...], int] = {}  # by overrides
        self.outcomes: dict[int, Outcome] = {}
        self.asked: dict[int, list[optuna.Trial]] = {}  # not yet told: Optuna's trials with the overrides of that number
        for outcome in known:
            trial = self.to_optuna(outcome)
            if outcome.status == "interrupted":
                self.study.enqueue_trial(trial.params)
            else:
                self.study.add_trial(trial)
                self.outcomes[self.number(self.overrides(trial.params))] = outcome

    def ask(self) -> tuple[int, list[str]] | None:
        """The next trial's number and its swept values as overrides; None where nothing new comes up any more."""
        for _ in range(REPEATS):
            trial = self.study.ask(self.space)
            overrides, before = self.overrides(trial.params), self.started
            number = self.number(overrides)
            if number == before:
                self.asked[number] = [trial]
                return number, overrides
            if number in self.asked:
                self.asked[number].append(trial)
            else:
                self.finish(trial, self.outcomes[number])
        return None

    def tell(self, number: int, outcome: Outcome) -> None:
        """What became of a trial that was asked. One that was interrupted or killed counts as failed."""
        self.outcomes[number] = outcome
        for trial in self.asked.pop(number):
            self.finish(trial, outcome)

    def best(self) -> Best | None:
        """None as long as no trial is done."""
        if not self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            return None
        trial = self.study.best_trial
        overrides = self.overrides(trial.params)
        assert trial.value is not None
        return Best(self.numbers[tuple(overrides)], overrides, trial.value)

    def counts(self) -> str:
        """E.g. "18 done, 2 failed"."""
        counts = Counter(outcome.status for outcome in self.outcomes.values())
        return ", ".join(f"{number} {status}" for status, number in counts.items()) or "none started"

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """Optuna's values, as they stand on a command line."""
        return [f"{key}={to_text(kind, params[key])}" for key, kind in self.space.items()]

    def params(self, outcome: Outcome) -> dict[str, Any]:
        """A trial's values as Optuna's. Raises KeyError or ValueError: it lies outside of the space."""
        return {key: read_value(kind, outcome.swept[key]) for key, kind in self.space.items()}

    def number(self, overrides: list[str]) -> int:
        """The number of a trial; a new one for what is new."""
        number = self.numbers.setdefault(tuple(overrides), self.started)
        self.started = max(self.started, number + 1)
        return number

    def to_optuna(self, outcome: Outcome) -> FrozenTrial:
        """A known trial as Optuna's."""
        state = outcome.state
        try:
            return create_trial(
                state=TrialState.RUNNING if state == TrialState.WAITING else state,
                value=outcome.value if state == TrialState.COMPLETE else None,
                params=self.params(outcome),
                distributions=self.space,
                intermediate_values={step: float(number) for step, number in enumerate(outcome.curve)},
            )
        except (KeyError, ValueError) as error:
            given = ", ".join(f"{key}={value}" for key, value in outcome.swept.items())
            raise UserError(
                f"a trial of this search was {given}, which is not in the space asked for now ({error}): another space is"
                " another search, so give it a name of its own"
            ) from error

    def finish(self, trial: optuna.Trial, outcome: Outcome) -> None:
        state = outcome.state
        if state == TrialState.COMPLETE:
            self.study.tell(trial, outcome.value)
        elif state == TrialState.PRUNED:
            for step, number in enumerate(outcome.curve):
                trial.report(number, step)
            self.study.tell(trial, state=state)
        elif state != TrialState.RUNNING:
            self.study.tell(trial, state=TrialState.FAIL)


def silence_optuna() -> None:
    """Optuna's messages on each study and trial are left out: the search logs its own."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
