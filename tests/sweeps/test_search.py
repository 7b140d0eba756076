"""A search trial by trial, with a launcher that fails in every way."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from optuna.samplers import TPESampler
from submitit.core.utils import FailedSubmissionError, UncompletedJobError

from filterlab.config import compose
from filterlab.errors import ConfigError, UserError
from filterlab.sweeps import search
from filterlab.sweeps.ask_tell import Best, Outcome, Search
from filterlab.sweeps.objective import direction_of
from filterlab.sweeps.space import read_space
from filterlab.sweeps.trials import compose_sweep
from hydra_plugins.filterlab_sweepers.sweepers import OptunaConf

CONF = Path(__file__).parents[2] / "conf"
METRIC = "best/validation/accuracy"


class Launcher:
    """Gives back what `outcome` says of each job's values, or raises what it gives for a batch."""

    def __init__(self, outcome: Callable[[int, dict[str, Any]], Any]):
        self.outcome = outcome
        self.batches: list[list[int]] = []
        self.values: dict[int, dict[str, Any]] = {}
        self.words: list[Sequence[str]] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        returned = []
        numbers = list(range(initial_job_idx, initial_job_idx + len(job_overrides)))
        self.batches.append(numbers)
        for number, words in zip(numbers, job_overrides, strict=True):
            self.words.append(words)
            parsed = OverridesParser.create().parse_overrides(list(words))
            self.values[number] = {override.get_key_element(): override.value() for override in parsed}
            outcome = self.outcome(number, self.values[number])
            if isinstance(outcome, (FailedSubmissionError, KeyboardInterrupt)):
                raise outcome
            status = JobStatus.FAILED if isinstance(outcome, BaseException) else JobStatus.COMPLETED
            job = JobReturn(overrides=words, status=status)
            job.return_value = outcome
            returned.append(job)
        return returned


def run(
    launcher: Launcher,
    words: Sequence[str],
    *,
    known: Sequence[Outcome] = (),
    metric: str = METRIC,
    n_trials: int = 20,
    n_jobs: int = 1,
    seed: int = 0,
) -> Best:
    space, fixed = read_space(OverridesParser.create().parse_overrides(list(words)))
    asked = Search(space, direction=direction_of(metric), sampler="tpe", seed=seed, known=known)
    return search.run_search(asked, fixed=fixed, metric=metric, n_trials=n_trials, n_jobs=n_jobs, launch=launcher.launch)


def good(number: int, values: dict[str, Any]) -> dict[str, Any]:
    return {METRIC: 1 - values["x"] ** 2, "best/validation/loss": values["x"] ** 2, "state": "done"}


def test_settings_are_those_that_optuna_itself_tries(capsys: pytest.CaptureFixture[str]) -> None:
    launcher = Launcher(good)
    run(launcher, ["x=interval(-1,1)", "kind=plain,odd"], n_trials=14, seed=3)

    def target(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1, 1)
        trial.suggest_categorical("kind", ["plain", "odd"])
        return 1 - x**2

    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=3))
    study.optimize(target, n_trials=14)
    assert list(launcher.values.items()) == [(trial.number, trial.params) for trial in study.trials]
    best = f"x={study.best_params['x']} kind={study.best_params['kind']}"
    assert f"best of 14 (14 done): {best}  {METRIC} {study.best_value:.6g}" in capsys.readouterr().out.splitlines()


def test_batches_and_numbers() -> None:
    launcher = Launcher(good)
    best = run(launcher, ["model=mlp", "x=interval(-1,1)"], n_trials=8, n_jobs=3)
    assert launcher.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert all(words[0] == "model=mlp" for words in launcher.words)
    top = max(launcher.values, key=lambda number: good(number, launcher.values[number])[METRIC])
    assert best == Best(top, [f"x={launcher.values[top]['x']}"], 1 - launcher.values[top]["x"] ** 2)


def test_minimize() -> None:
    launcher = Launcher(good)
    best = run(launcher, ["x=interval(-1,1)"], metric="best/validation/loss", n_trials=6)
    assert best.value == min(values["x"] ** 2 for values in launcher.values.values())


def test_a_trial_that_fails_is_told_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    """It neither ends the search nor counts as a result, whatever ended it; nor does one without a finite metric."""

    def outcome(number: int, values: dict[str, Any]) -> Any:
        if number == 2:
            return RuntimeError("out of memory")
        if number == 4:
            return UncompletedJobError("job 7_4 ended as CANCELLED")
        return good(number, values) | ({METRIC: float("nan")} if number == 3 else {})

    launcher = Launcher(outcome)
    with caplog.at_level("WARNING"):
        best = run(launcher, ["x=interval(-1,1)"], n_trials=6)
    assert [len(batch) for batch in launcher.batches] == [1] * 6
    assert best.number not in (2, 3, 4)
    assert caplog.messages == [
        "trial 2 failed: RuntimeError: out of memory",
        "trial 3 failed: best/validation/accuracy is nan",
        "trial 4 failed: UncompletedJobError: job 7_4 ended as CANCELLED",
    ]


def test_pruned_trials_are_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    def outcome(number: int, values: dict[str, Any]) -> Any:
        curves = {"validation/accuracy": [8.0, 9.0], "validation/loss": [0.2, 0.1]}
        pruned = {METRIC: 9.0, "best/validation/loss": 0.1, "state": "pruned", "curves": curves}
        return pruned if number == 1 else good(number, values)

    assert run(Launcher(outcome), ["x=interval(-1,1)"], n_trials=4).value <= 1
    assert "best of 4 (3 done, 1 pruned): " in capsys.readouterr().out


@pytest.mark.parametrize(("metric", "curve"), [("accuracy", [0.5, 0.6]), ("loss", [0.2, 0.3])])
def test_the_sampler_learns_from_the_objectives_curve(monkeypatch: pytest.MonkeyPatch, metric: str, curve: list[float]) -> None:
    """Whatever metric the training chose its epoch by."""
    curves = {"validation/accuracy": [0.5, 0.6], "validation/loss": [0.2, 0.3]}
    seen = []
    tell = Search.tell
    monkeypatch.setattr(Search, "tell", lambda self, number, outcome: (seen.append(outcome.curve), tell(self, number, outcome)))
    launcher = Launcher(lambda number, values: good(number, values) | {"curves": curves, "state": "pruned" if number else "done"})
    run(launcher, ["x=interval(-1,1)"], metric=f"best/validation/{metric}", n_trials=2)
    assert seen == [curve] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FailedSubmissionError("sbatch: invalid partition")])
def test_what_ends_a_search(error: BaseException) -> None:
    launcher = Launcher(lambda number, values: error if number == 1 else good(number, values))
    with pytest.raises(type(error)):
        run(launcher, ["x=interval(-1,1)"], n_trials=5)
    assert launcher.batches == [[0], [1]]


def test_a_search_goes_on() -> None:
    """n_trials counts the known ones, and what was interrupted is asked before anything new."""
    launcher = Launcher(good)
    known = [
        Outcome({"x": "0.5"}, "done", 0.75),
        Outcome({"x": "0.25"}, "interrupted"),
        Outcome({"x": "0.001"}, "done", 0.999999),
        Outcome({"x": "-0.5"}, "failed"),
    ]
    best = run(launcher, ["x=interval(-1,1)"], n_trials=6, known=known)
    assert launcher.batches == [[3], [4], [5]]
    assert launcher.values[3] == {"x": 0.25}
    assert best == Best(1, ["x=0.001"], 0.999999)


def test_a_search_that_is_over_launches_nothing() -> None:
    launcher = Launcher(good)
    known = [Outcome({"x": "0.5"}, "done", 0.75), Outcome({"x": "0.25"}, "done", 0.9)]
    assert run(launcher, ["x=interval(-1,1)"], n_trials=2, known=known) == Best(1, ["x=0.25"], 0.9)
    assert launcher.batches == []


def test_a_small_space_ends_the_search() -> None:
    launcher = Launcher(good)
    assert run(launcher, ["x=0,1"], n_trials=100, n_jobs=2).value == 1
    assert sorted(values["x"] for values in launcher.values.values()) == [0, 1]


def test_nothing_done_is_an_error() -> None:
    launcher = Launcher(lambda number, values: OSError("no space left"))
    with pytest.raises(
        UserError, match="no training of this search was done: 3 failed; the last failure: OSError: no space left"
    ):
        run(launcher, ["x=interval(-1,1)"], n_trials=3)


@pytest.mark.parametrize(
    ("returned", "there"), [(None, "NoneType"), ({"best/validation/loss": 1.0, "state": "done"}, "best/validation/loss, state")]
)
def test_a_metric_that_no_training_returns(returned: Any, there: str) -> None:
    with pytest.raises(UserError, match=f"'{METRIC}', and a training does not return it, but: {there}"):
        run(Launcher(lambda number, values: returned), ["x=interval(-1,1)"], n_trials=3)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("metric=test/accuracy", "no choice is made on the test set"),
        ("metric=train/accuracy", "learnt by heart"),
        ("metric=best/validation/macro_recall", "macro_recall"),
        ("n_trials=0", "hydra.sweeper.n_trials is 0, expected >= 1"),
        ("n_jobs=0", "hydra.sweeper.n_jobs is 0, expected >= 1"),
        ("seed=-1", "hydra.sweeper.seed is -1, expected >= 0"),
        ("sampler=grid", "hydra.sweeper.sampler is 'grid', expected one of tpe, random"),
        ("pruner=hyperband", "hydra.sweeper.pruner is 'hyperband', expected one of none, median, halving"),
    ],
)
def test_a_searchs_settings_are_checked_with_its_trials(word: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        compose_sweep(CONF, ["hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.5)", f"hydra.sweeper.{word}"])


def test_the_ready_search_composes() -> None:
    """As one training, without the search's keys in it; and Hydra finds the sweeper with its sweeps."""
    config = compose.compose(CONF, ["experiment=search"])
    fast = compose.compose(CONF, ["experiment=fast"])
    assert (config.model, config.trainer) == (fast.model, fast.trainer)
    assert ConfigStore.instance().load("hydra/sweeper/optuna.yaml").node["_target_"] == OptunaConf._target_


def test_the_ready_search_names_values_that_there_are() -> None:
    """At its corners and where it trains; a value on the command line replaces the experiment's."""
    config = compose_sweep(CONF, ["experiment=search", "optimizer.weight_decay=0.001"])
    assert sorted(config.space) == ["optimizer.lr", "trainer.batch_size"] and "optimizer.weight_decay=0.001" in config.fixed
    launcher = Launcher(lambda number, values: {METRIC: 0.9, "state": "done"})
    asked = Search(config.space, direction="maximize", sampler="tpe", seed=0)
    search.run_search(asked, fixed=config.fixed, metric=config.metric, n_trials=3, n_jobs=1, launch=launcher.launch)
    for words in [*(overrides for overrides, _ in config.trials.values()), *launcher.words]:
        trial = compose.compose(CONF, words)
        assert trial.trainer.batch_size in (64, 128, 256)
        assert 0.01 <= trial.optimizer.lr <= 1 and trial.optimizer.weight_decay == 0.001
