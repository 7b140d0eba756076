"""Ask and tell against Optuna's own studies: the same settings, the same best, the same decisions to stop."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from filterlab.errors import ConfigError, UserError
from filterlab.sweeps.ask_tell import Best, Outcome, Search
from filterlab.sweeps.objective import check_objective, direction_of
from filterlab.sweeps.pruning import should_prune
from filterlab.sweeps.space import read_space

PARSER = OverridesParser.create()
WORDS = ["lr=tag(log,interval(1e-4,1))", "optimizer=sgd,adam", "size=range(16,129,16)", "decay=interval(0,0.5)"]
SPACE = read_space(PARSER.parse_overrides(WORDS))[0]
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}


@pytest.fixture(autouse=True)
def silent() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def values(overrides: Sequence[str]) -> dict[str, Any]:
    return {override.get_key_element(): override.value() for override in PARSER.parse_overrides(list(overrides))}


def texts(overrides: Sequence[str]) -> dict[str, str]:
    """As the store keeps them."""
    return dict(override.split("=", 1) for override in overrides)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1, log=True),
        "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam"]),
        "size": trial.suggest_int("size", 16, 128, step=16),
        "decay": trial.suggest_float("decay", 0, 0.5),
    }


def accuracy(given: dict[str, Any]) -> float:
    best = {"sgd": -1.0, "adam": -2.5}[given["optimizer"]]
    return 1 - (math.log10(given["lr"]) - best) ** 2 / 10 - (given["size"] - 64) ** 2 / 1e5 - given["decay"] ** 2


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_settings_are_optunas_own(sampler: str, direction: str) -> None:
    """Trials that fail and trials that are pruned among them."""

    def curve(number: int, given: dict[str, Any]) -> list[float]:
        return [accuracy(given) * share for share in (0.5, 0.8)]

    def target(trial: optuna.Trial) -> float:
        given = suggest(trial)
        if trial.number % 7 == 3:
            raise OSError
        if trial.number % 5 == 4:
            for step, value in enumerate(curve(trial.number, given)):
                trial.report(value, step)
            raise optuna.TrialPruned
        return accuracy(given)

    study = optuna.create_study(direction=direction, sampler=SAMPLERS[sampler](5))
    study.optimize(target, n_trials=40, catch=OSError)
    search = Search(SPACE, direction=direction, sampler=sampler, seed=5)
    for expected in study.trials:
        asked = search.ask()
        assert asked is not None
        number, overrides = asked
        given = values(overrides)
        assert (number, given) == (expected.number, expected.params)
        if number % 7 == 3:
            search.tell(number, Outcome({}, "failed"))
        elif number % 5 == 4:
            search.tell(number, Outcome({}, "pruned", curve(number, given)[-1], curve(number, given)))
        else:
            search.tell(number, Outcome({}, "done", accuracy(given)))
    assert [trial.state for trial in search.study.trials] == [trial.state for trial in study.trials]
    best = search.best()
    assert best is not None
    assert (best.number, values(best.overrides), best.value) == (
        study.best_trial.number,
        study.best_params,
        study.best_value,
    )


def test_batches_are_optunas_own() -> None:
    """Four asked before the first of them is told."""
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=2))
    search = Search(SPACE, direction="maximize", sampler="tpe", seed=2)
    for _ in range(8):
        theirs = [study.ask(SPACE) for _ in range(4)]
        ours = [search.ask() for _ in range(4)]
        for trial, asked in zip(theirs, ours, strict=True):
            assert asked is not None
            number, overrides = asked
            assert (number, values(overrides)) == (trial.number, trial.params)
            study.tell(trial, accuracy(trial.params))
            search.tell(number, Outcome({}, "done", accuracy(values(overrides))))


def test_what_is_drawn_again_is_told_and_not_asked() -> None:
    """The distinct settings of Optuna's own study, in its order; the search ends when nothing new comes up."""
    few = read_space(PARSER.parse_overrides(["x=range(4)", "y=a,b"]))[0]

    def height(given: dict[str, Any]) -> float:
        return float(given["x"]) + 10 * (given["y"] == "b")

    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=1))
    study.optimize(lambda trial: height({"x": trial.suggest_int("x", 0, 3), "y": trial.suggest_categorical("y", ["a", "b"])}), 60)
    expected = list(dict.fromkeys(tuple(trial.params.items()) for trial in study.trials))
    search = Search(few, direction="maximize", sampler="tpe", seed=1)
    found = []
    for number in itertools.count():
        if (asked := search.ask()) is None:
            break
        assert asked[0] == number
        given = values(asked[1])
        found.append(tuple(given.items()))
        search.tell(number, Outcome({}, "done", height(given)))
    assert found[: len(expected)] == expected
    assert len(found) == len(set(found)) <= 8
    assert search.started == len(found)
    assert search.best() == Best(found.index((("x", 3), ("y", "b"))), ["x=3", "y=b"], 13.0)


def test_what_is_drawn_again_before_it_is_told() -> None:
    two = read_space(PARSER.parse_overrides(["x=a,b"]))[0]
    search = Search(two, direction="minimize", sampler="random", seed=0)
    asked = [search.ask(), search.ask(), search.ask()]
    assert asked[2] is None
    assert {tuple(one[1]) for one in asked if one} == {("x=a",), ("x=b",)}
    search.tell(0, Outcome({}, "done", 1.0))
    search.tell(1, Outcome({}, "failed"))
    assert asked[0] is not None
    first = values(asked[0][1])["x"]
    states = {(trial.params["x"] == first, trial.state) for trial in search.study.trials}
    assert states == {(True, TrialState.COMPLETE), (False, TrialState.FAIL)}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_no_number_is_a_failure(value: float | None) -> None:
    search = Search(SPACE, direction="maximize", sampler="tpe", seed=0)
    asked = search.ask()
    assert asked is not None
    search.tell(0, Outcome({}, "done", value))
    assert search.study.trials[0].state == TrialState.FAIL
    assert search.best() is None
    again = Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=[Outcome(texts(asked[1]), "done", value)])
    assert again.study.trials[0].state == TrialState.FAIL
    assert again.ask() is not None


def typed(outcome: Outcome) -> dict[str, Any]:
    return values([f"{key}={text}" for key, text in outcome.swept.items()])


def started(count: int) -> list[Outcome]:
    search = Search(SPACE, direction="maximize", sampler="random", seed=9)
    trials = []
    for _ in range(count):
        asked = search.ask()
        assert asked is not None
        trials.append(Outcome(texts(asked[1]), "done", accuracy(values(asked[1]))))
    return trials


def test_a_search_goes_on_from_what_is_known() -> None:
    """As Optuna goes on with a study of its own, made by another sampler; the trials' numbers go on too."""

    def target(trial: optuna.Trial) -> float:
        given = suggest(trial)
        if trial.number == 3:
            raise OSError
        if trial.number == 4:
            trial.report(0.3, 0)
            trial.report(0.4, 1)
            raise optuna.TrialPruned
        return accuracy(given)

    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=9))
    study.optimize(target, n_trials=15, catch=OSError)
    study.sampler = TPESampler(seed=int(np.random.SeedSequence([0, 15]).generate_state(1)[0]))
    known = started(15)
    assert [typed(outcome) for outcome in known] == [trial.params for trial in study.trials]
    known[3] = Outcome(known[3].swept, "failed")
    known[4] = Outcome(known[4].swept, "pruned", 0.4, [0.3, 0.4])
    search = Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=known)
    assert search.started == 15
    asked = search.ask()
    assert asked is not None
    assert asked[0] == 15
    assert values(asked[1]) == study.ask(SPACE).params


def test_a_search_that_goes_on_asks_other_settings() -> None:
    first = Search(SPACE, direction="maximize", sampler="tpe", seed=0)
    before = []
    for _ in range(3):
        asked = first.ask()
        assert asked is not None
        before.append(asked[1])
        first.tell(asked[0], Outcome({}, "done", 1.0))
    known = [Outcome(texts(overrides), "done", 1.0) for overrides in before]
    second = Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=known)
    after = [asked[1] for _ in range(3) if (asked := second.ask())]
    assert len(after) == 3
    assert not any(overrides in before for overrides in after)


def test_what_was_interrupted_comes_first() -> None:
    known = started(4)
    known[1] = Outcome(known[1].swept, "interrupted")
    known[2] = Outcome(known[2].swept, "interrupted", 0.3, [0.3])
    search = Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=known)
    assert search.started == 2
    asked = [search.ask() for _ in range(3)]
    assert [one[0] for one in asked if one] == [2, 3, 4]
    assert [values(one[1]) for one in asked if one][:2] == [typed(known[1]), typed(known[2])]
    search.tell(2, Outcome({}, "done", 5.0))
    best = search.best()
    assert best is not None and (best.number, best.value) == (2, 5.0)


def test_what_runs_elsewhere_is_counted_and_not_asked() -> None:
    two = read_space(PARSER.parse_overrides(["x=a,b"]))[0]
    search = Search(two, direction="minimize", sampler="random", seed=0, known=[Outcome({"x": "a"}, "running")])
    assert search.started == 1
    assert search.ask() == (1, ["x=b"])
    assert search.ask() is None


@pytest.mark.parametrize("change", [{"lr": "3.0"}, {"optimizer": "adadelta"}, {"size": "17"}, {"decay": "much"}])
@pytest.mark.parametrize("state", ["done", "interrupted"])
def test_another_space_is_another_search(change: dict[str, Any], state: str) -> None:
    (trial,) = started(1)
    with pytest.raises(UserError, match="another space is another search"):
        Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=[Outcome({**trial.swept, **change}, state, 0.5)])
    with pytest.raises(UserError, match="another space is another search"):
        Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=[Outcome({"lr": "0.1"}, state, 0.5)])


PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "median": lambda warmup: MedianPruner(n_warmup_steps=warmup),
    "halving": lambda warmup: SuccessiveHalvingPruner(min_resource=max(1, warmup)),
}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("pruner", ["median", "halving"])
@pytest.mark.parametrize("warmup", [0, 1, 3])
@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_the_pruner_decides_as_in_a_study(pruner: str, direction: str, warmup: int) -> None:
    """One trial after the other, stopped where Optuna stops it: each decision on the way is the same."""
    random = np.random.default_rng(0)
    study = optuna.create_study(direction=direction, pruner=PRUNERS[pruner](warmup))
    finished: list[list[float]] = []
    every: list[list[float]] = []
    answers = []
    for number in range(24):
        trial, curve = study.ask(), []
        level = random.normal()
        for step in range(8):
            curve.append(math.nan if number == 20 else level + random.normal(scale=0.5))
            trial.report(curve[-1], step)
            others = finished if pruner == "median" else every
            expected = trial.should_prune()
            assert should_prune(curve, others, direction=direction, pruner=pruner, warmup=warmup) == expected
            answers.append(expected)
            if expected:
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, curve[-1])
            finished.append(curve)
        every.append(curve)
        assert len(curve) > warmup
    assert {True, False} == set(answers)


def test_no_pruner_stops_nothing() -> None:
    assert not should_prune([0.0], [[1.0]] * 10, direction="maximize", pruner="none", warmup=0)
    assert should_prune([0.0], [[1.0]] * 10, direction="maximize", pruner="median", warmup=0)
    assert not should_prune([], [[1.0]] * 10, direction="maximize", pruner="median", warmup=0)


def test_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    search = Search(SPACE, direction="maximize", sampler="tpe", seed=0, known=started(2))
    search.ask()
    search.tell(2, Outcome({}, "failed"))
    should_prune([0.0], [[1.0]] * 10, direction="maximize", pruner="median", warmup=0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("best/validation/accuracy", "maximize"),
        ("validation/accuracy", "maximize"),
        ("best/validation/loss", "minimize"),
        ("validation/loss", "minimize"),
        ("best/validation/balanced_accuracy", "maximize"),
        ("validation/macro_f1", "maximize"),
    ],
)
def test_validation_metrics_choose(metric: str, direction: str) -> None:
    """By the name under which a training returns them."""
    full = check_objective(metric)
    assert full == f"best/validation/{metric.rpartition('/')[2]}" and direction_of(full) == direction


@pytest.mark.parametrize(
    ("metric", "complaint"),
    [
        ("test/accuracy", "no choice is made on the test set"),
        ("best/test/accuracy", "no choice is made on the test set"),
        ("validation/test_accuracy", "no choice is made on the test set"),
        ("train/accuracy", "learnt by heart"),
        ("training/seconds", "learnt by heart"),
        ("accuracy", "expected best/validation/ and one of accuracy, loss, balanced_accuracy, macro_f1"),
        ("best/validation/f1", "expected best/validation/ and one of accuracy, loss"),
    ],
)
def test_what_no_choice_is_made_by(metric: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check_objective(metric)
