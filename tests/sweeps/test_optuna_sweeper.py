"""hydra/sweeper=optuna: in an application of Hydra's own, and trial by trial with a launcher that fails in every way."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from optuna.samplers import TPESampler
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

from filterlab.config import compose
from filterlab.errors import ConfigError, UserError
from filterlab.sweeps.search import Best, Outcome, Search
from hydra_plugins.filterlab_sweepers import optuna as plugin

CONF = Path(__file__).parents[2] / "conf"
METRIC = "best/validation/accuracy"
APP = """
import json, sys
from dataclasses import dataclass
import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

@dataclass
class Config:
    x: float = 0.0
    kind: str = "plain"

ConfigStore.instance().store(name="toy", node=Config)

@hydra.main(version_base="1.3", config_path=None, config_name="toy")
def main(config):
    with open("calls.jsonl", "a") as file:
        file.write(json.dumps([HydraConfig.get().job.num, config.x, config.kind]) + "\\n")
    if config.kind == "broken":
        raise OSError("no space left")
    return {"best/validation/accuracy": 1 - config.x**2, "state": "done"}

main()
"""


@pytest.fixture
def app(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """An application whose calls lie in calls.jsonl: [number, x, kind]."""
    (tmp_path / "app.py").write_text(APP)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "app.py", "-m", "hydra/sweeper=optuna", *words]
        environment = os.environ | {"HYDRA_FULL_ERROR": "1", "PYTHONWARNINGS": "error"}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)

    return run


def calls(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_an_application_searches_as_optuna_does(app: Callable[..., Any], tmp_path: Path) -> None:
    done = app("x=interval(-1,1)", "kind=plain,odd", "hydra.sweeper.n_trials=14", "hydra.sweeper.seed=3")
    assert done.returncode == 0, done.stderr

    def target(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1, 1)
        trial.suggest_categorical("kind", ["plain", "odd"])
        return 1 - x**2

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=3))
    study.optimize(target, n_trials=14)
    assert calls(tmp_path) == [[trial.number, trial.params["x"], trial.params["kind"]] for trial in study.trials]
    best = f"x={study.best_params['x']} kind={study.best_params['kind']}"
    assert f"best of 14 (14 done): {best}  {METRIC} {study.best_value:.6g}" in done.stdout.splitlines()
    assert "[I " not in done.stdout + done.stderr, "Optuna's own lines"


def test_an_application_that_fails_goes_on(app: Callable[..., Any], tmp_path: Path) -> None:
    done = app("x=interval(-1,1)", "kind=plain,broken", "hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=3")
    assert done.returncode == 0, done.stderr
    kinds = [kind for _, _, kind in calls(tmp_path)]
    assert len(kinds) == 8 and {"plain", "broken"} == set(kinds)
    assert done.stdout.count("failed: OSError: no space left") == kinds.count("broken")
    assert f"best of 8 ({kinds.count(kinds[0])} " in done.stdout


class Launcher:
    """Gives back what `outcome` says of each job's values, or raises what it gives for a batch."""

    def __init__(self, outcome: Callable[[int, dict[str, Any]], Any]):
        self.outcome = outcome
        self.batches: list[list[int]] = []
        self.values: dict[int, dict[str, Any]] = {}
        self.words: list[Sequence[str]] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        returned, lost = [], None
        numbers = list(range(initial_job_idx, initial_job_idx + len(job_overrides)))
        self.batches.append(numbers)
        for number, words in zip(numbers, job_overrides, strict=True):
            self.words.append(words)
            parsed = OverridesParser.create().parse_overrides(list(words))
            self.values[number] = {override.get_key_element(): override.value() for override in parsed}
            outcome = self.outcome(number, self.values[number])
            if isinstance(outcome, (UncompletedJobError, BrokenExecutor, FailedSubmissionError, KeyboardInterrupt)):
                lost = outcome
            status = JobStatus.FAILED if isinstance(outcome, BaseException) else JobStatus.COMPLETED
            job = JobReturn(overrides=words, status=status)
            job.return_value = outcome
            returned.append(job)
        if lost:
            raise lost
        return returned


class Sweeper(plugin.OptunaSweeper):
    """Without Hydra around it."""

    def __init__(self, launcher: Launcher, **settings: Any):
        super().__init__(**{name: value for name, value in vars(plugin.OptunaSweeperConf(**settings)).items() if name[0] != "_"})
        self.launcher = launcher  # type: ignore[assignment]
        self.checked: list[Sequence[str]] = []

    def loader(self) -> Any:
        return None

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        self.checked += batch


def good(number: int, values: dict[str, Any]) -> dict[str, Any]:
    return {METRIC: 1 - values["x"] ** 2, "best/validation/loss": values["x"] ** 2, "state": "done"}


def test_batches_and_numbers() -> None:
    launcher = Launcher(good)
    best = Sweeper(launcher, n_trials=8, n_jobs=3).sweep(["model=mlp", "x=interval(-1,1)"])
    assert launcher.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert all(words[0] == "model=mlp" for words in launcher.words)
    top = max(launcher.values, key=lambda number: good(number, launcher.values[number])[METRIC])
    assert best == Best(top, [f"x={launcher.values[top]['x']}"], 1 - launcher.values[top]["x"] ** 2)


def test_both_ends_are_composed_before_anything_is_launched() -> None:
    launcher = Launcher(good)
    sweeper = Sweeper(launcher, n_trials=1)
    sweeper.sweep(["model=mlp", "x=interval(-1,1)", "y=a,b"])
    assert sweeper.checked[:2] == [["model=mlp", "x=-1.0", "y=a"], ["model=mlp", "x=1.0", "y=b"]]


def test_params_are_those_of_an_experiment_and_the_command_line_comes_after() -> None:
    launcher = Launcher(good)
    sweeper = Sweeper(launcher, n_trials=3, params={"x": "interval(-1,1)", "y": "choice(a,b)"})
    sweeper.sweep(["x=interval(5,6)", "y=c"])
    assert all(5 <= values["x"] <= 6 and values["y"] == "c" for values in launcher.values.values())


def test_minimize() -> None:
    launcher = Launcher(good)
    best = Sweeper(launcher, metric="best/validation/loss", direction="minimize", n_trials=6).sweep(["x=interval(-1,1)"])
    assert best.value == min(values["x"] ** 2 for values in launcher.values.values())


def test_a_trial_that_fails_is_told_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    """It neither ends the search nor counts as a result, whatever it raises; nor does one without a finite metric."""

    def outcome(number: int, values: dict[str, Any]) -> Any:
        if number == 2:
            return RuntimeError("out of memory")
        return good(number, values) | ({METRIC: float("nan")} if number == 3 else {})

    launcher = Launcher(outcome)
    with caplog.at_level("WARNING"):
        best = Sweeper(launcher, n_trials=6).sweep(["x=interval(-1,1)"])
    assert [len(batch) for batch in launcher.batches] == [1] * 6
    assert best.number not in (2, 3)
    assert caplog.messages == [
        "trial 2 failed: RuntimeError: out of memory",
        "trial 3 failed: best/validation/accuracy is nan",
    ]


def test_pruned_trials_are_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    def outcome(number: int, values: dict[str, Any]) -> Any:
        curves = {"validation/accuracy": [8.0, 9.0], "validation/loss": [0.2, 0.1]}
        pruned = {METRIC: 9.0, "best/validation/loss": 0.1, "state": "pruned", "curves": curves}
        return pruned if number == 1 else good(number, values)

    assert Sweeper(Launcher(outcome), n_trials=4).sweep(["x=interval(-1,1)"]).value <= 1
    assert "best of 4 (3 done, 1 pruned): " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("metric", "direction", "told"), [("accuracy", "maximize", [0.5, 0.6]), ("loss", "minimize", [0.2, 0.3])]
)
def test_the_sampler_learns_from_the_objectives_curve(
    monkeypatch: pytest.MonkeyPatch, metric: str, direction: str, told: list[float]
) -> None:
    """Whatever metric the training chose its epoch by."""
    curves = {"validation/accuracy": [0.5, 0.6], "validation/loss": [0.2, 0.3]}
    seen = []
    tell = Search.tell
    monkeypatch.setattr(Search, "tell", lambda *given, **curve: (seen.append(curve), tell(*given, **curve)))
    launcher = Launcher(lambda number, values: good(number, values) | {"curves": curves, "state": "pruned" if number else "done"})
    Sweeper(launcher, metric=f"validation/{metric}", direction=direction, n_trials=2).sweep(["x=interval(-1,1)"])
    assert seen == [{"curve": told}] * 2


@pytest.mark.parametrize(
    "error", [UncompletedJobError("job 7_1 was cancelled"), FailedJobError("killed"), BrokenExecutor("killed")]
)
def test_a_killed_job_costs_its_trial_alone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher gives nothing back for the whole batch; the store knows what became of the others, once they have ended."""
    monkeypatch.setattr(plugin, "POLL", 0.0)
    launcher = Launcher(lambda number, values: error if number == 1 else good(number, values))
    sweeper = Sweeper(launcher, n_trials=7, n_jobs=3)
    looks = []

    def known(keys: list[str]) -> list[Outcome]:
        assert keys == ["x"]
        looks.append(len(launcher.batches))
        if not launcher.batches:
            return []
        trials = [Outcome({"x": str(values["x"])}, "done", 1 - values["x"] ** 2) for values in launcher.values.values()]
        trials[1] = Outcome(trials[1].values, "interrupted")
        if len(looks) == 2:
            trials[2] = Outcome(trials[2].values, "running")
        return trials

    sweeper.known = known
    best = sweeper.sweep(["x=interval(-1,1)"])
    assert launcher.batches == [[0, 1, 2], [3, 4, 5], [6]]
    assert looks == [0, 1, 1]
    values = {number: 1 - given["x"] ** 2 for number, given in launcher.values.items() if number != 1}
    assert best.value == max(values.values())


def test_what_the_store_does_not_know_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    launcher = Launcher(lambda number, values: UncompletedJobError("gone") if number == 0 else good(number, values))
    Sweeper(launcher, n_trials=4, n_jobs=2).sweep(["x=interval(-1,1)"])
    assert "best of 4 (2 failed, 2 done): " in capsys.readouterr().out


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FailedSubmissionError("sbatch: invalid partition")])
def test_what_ends_a_search(error: BaseException) -> None:
    launcher = Launcher(lambda number, values: error if number == 1 else good(number, values))
    with pytest.raises(type(error)):
        Sweeper(launcher, n_trials=5).sweep(["x=interval(-1,1)"])
    assert launcher.batches == [[0], [1]]


def test_a_search_goes_on() -> None:
    """n_trials counts the known ones, and what was interrupted is asked before anything new."""
    launcher = Launcher(good)
    sweeper = Sweeper(launcher, n_trials=6)
    sweeper.known = lambda keys: [
        Outcome({"x": "0.5"}, "done", 0.75),
        Outcome({"x": "0.25"}, "interrupted"),
        Outcome({"x": "0.001"}, "done", 0.999999),
        Outcome({"x": "-0.5"}, "failed"),
    ]
    best = sweeper.sweep(["x=interval(-1,1)"])
    assert launcher.batches == [[3], [4], [5]]
    assert launcher.values[3] == {"x": 0.25}
    assert best == Best(1, ["x=0.001"], 0.999999)


def test_a_search_that_is_over_launches_nothing() -> None:
    launcher = Launcher(good)
    sweeper = Sweeper(launcher, n_trials=2)
    sweeper.known = lambda keys: [Outcome({"x": "0.5"}, "done", 0.75), Outcome({"x": "0.25"}, "done", 0.9)]
    assert sweeper.sweep(["x=interval(-1,1)"]) == Best(1, ["x=0.25"], 0.9)
    assert launcher.batches == []


def test_a_small_space_ends_the_search() -> None:
    launcher = Launcher(good)
    assert Sweeper(launcher, n_trials=100, n_jobs=2).sweep(["x=0,1"]).value == 1
    assert sorted(values["x"] for values in launcher.values.values()) == [0, 1]


def test_nothing_done_is_an_error() -> None:
    launcher = Launcher(lambda number, values: OSError("no space left"))
    with pytest.raises(
        UserError, match="no training of this search was done: 3 failed; the last failure: OSError: no space left"
    ):
        Sweeper(launcher, n_trials=3).sweep(["x=interval(-1,1)"])


@pytest.mark.parametrize(
    ("returned", "there"), [(None, "NoneType"), ({"best/validation/loss": 1.0, "state": "done"}, "best/validation/loss, state")]
)
def test_a_metric_that_no_training_returns(returned: Any, there: str) -> None:
    with pytest.raises(UserError, match=f"'{METRIC}', and a training does not return it, but: {there}"):
        Sweeper(Launcher(lambda number, values: returned), n_trials=3).sweep(["x=interval(-1,1)"])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"metric": "test/accuracy"}, "no choice is made on the test set"),
        ({"metric": "train/accuracy"}, "learnt by heart"),
        ({"direction": "minimize"}, "expected maximize"),
        ({"n_trials": 0}, "hydra.sweeper.n_trials is 0, expected >= 1"),
        ({"n_jobs": 0}, "hydra.sweeper.n_jobs is 0, expected >= 1"),
        ({"seed": -1}, "hydra.sweeper.seed is -1, expected >= 0"),
        ({"sampler": "grid"}, "hydra.sweeper.sampler is 'grid', expected one of tpe, random"),
        ({"pruner": "hyperband"}, "hydra.sweeper.pruner is 'hyperband', expected one of none, median, halving"),
    ],
)
def test_faults_are_told_before_anything_is_launched(settings: dict[str, Any], complaint: str) -> None:
    launcher = Launcher(good)
    with pytest.raises(ConfigError, match=complaint):
        Sweeper(launcher, **settings).sweep(["x=interval(-1,1)"])
    with pytest.raises(ConfigError, match="nothing to search"):
        Sweeper(launcher).sweep(["x=1"])
    assert launcher.batches == []


def test_the_ready_search_composes() -> None:
    """As one training, without the search's keys in it; and Hydra finds the sweeper with its sweeps."""
    config = compose.compose(CONF, ["experiment=search"])
    fast = compose.compose(CONF, ["experiment=fast"])
    assert (config.model, config.trainer) == (fast.model, fast.trainer)
    assert ConfigStore.instance().load("hydra/sweeper/optuna.yaml").node["_target_"] == plugin.OptunaSweeperConf._target_


def test_the_ready_search_names_values_that_there_are() -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    compose.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        sweeper = hydra_compose("config", ["experiment=search"], return_hydra_config=True).hydra.sweeper
    assert sweeper["_target_"] == plugin.OptunaSweeperConf._target_
    launcher = Launcher(lambda number, values: {METRIC: 0.9, "state": "done"})
    search = Sweeper(launcher, n_trials=3, params=dict(sweeper.params))
    search.sweep(["experiment=search"])
    for words in [*search.checked[:3], *launcher.words]:
        config = compose.compose(CONF, words)
        assert config.trainer.batch_size in (64, 128, 256)
        assert 0.01 <= config.optimizer.lr <= 1
