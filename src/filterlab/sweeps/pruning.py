"""Early stopping of a search's trainings, decided by Optuna's pruners from the records of the other trials."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import optuna
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import create_trial

from filterlab.study.trial import Trial
from filterlab.sweeps.ask_tell import silence_optuna
from filterlab.sweeps.objective import direction_of
from filterlab.sweeps.record import read_trials
from filterlab.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from filterlab.training.history import Epoch

# The trials whose curves a pruner compares with. Not the pruned ones for the median: it would rise with each of them.
COMPARED = {"median": ("done",), "halving": ("done", "pruned", "running", "interrupted", "failed")}


def make_stopper(sweep: Sweep, *, key: str) -> "Callable[[Sequence[Epoch]], bool]":
    """A function of the finished epochs of the trial of that key: whether its training stops here."""
    metric, ended = sweep.metric.removeprefix("best/"), dict[str, Trial]()

    def stop(epochs: "Sequence[Epoch]") -> bool:
        trials = [trial for trial in read_trials(sweep, known=ended) if trial.key != key]
        ended.update({trial.key: trial for trial in trials if trial.status in ("done", "pruned")})
        return should_prune(
            [epoch.metrics[metric] for epoch in epochs if epoch.metrics],
            [trial.curve for trial in trials if trial.status in COMPARED[sweep.pruner]],
            direction=direction_of(sweep.metric),
            pruner=sweep.pruner,
            warmup=sweep.warmup,
        )

    return stop


def should_prune(curve: Sequence[float], others: Sequence[Sequence[float]], *, direction: str, pruner: str, warmup: int) -> bool:
    """Whether Optuna's pruner stops a training whose objective went like `curve`, an element an epoch.

    Args:
        curve: of this training, up to now.
        others: curves of the trials that the pruner compares with, see COMPARED.
        direction: "maximize" or "minimize".
        pruner: "median" stops a training whose best is worse than the median of the others at the same epoch, once five
            are done; "halving" (Li and others, arXiv 1810.05934) lets the best quarter go on, after warmup, 4 warmup,
            16 warmup, ... epochs; "none".
        warmup: epochs in which nothing is stopped.
    """
    if pruner == "none":
        return False
    silence_optuna()
    method: BasePruner = MedianPruner(n_warmup_steps=warmup)
    if pruner == "halving":
        method = SuccessiveHalvingPruner(min_resource=max(1, warmup))
    study = optuna.create_study(direction=StudyDirection[direction.upper()], pruner=method, sampler=RandomSampler(seed=0))
    for other in others:
        if pruner == "halving":  # it judges by notes that it makes at each step
            report_curve(study.ask(), other)
        else:  # it looks at no final value
            values = {step: float(number) for step, number in enumerate(other)}
            study.add_trial(create_trial(value=0.0, intermediate_values=values))
    return report_curve(study.ask(), curve)


def report_curve(trial: optuna.Trial, curve: Sequence[float]) -> bool:
    """Report a curve from its start; gives the pruner's answer after its last element."""
    stop = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # such a trial is stopped
        for step, number in enumerate(curve):
            trial.report(number, step)
            stop = trial.should_prune()
    return stop
