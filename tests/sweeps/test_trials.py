"""Every combination, what is the same in all, and the names and keys that lead back to them."""

import shutil
from pathlib import Path

import pytest

from filterlab.config import compose, resolved
from filterlab.errors import ConfigError
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.trials import add_parameters, compose_sweep, grid

CONF = Path(__file__).parents[2] / "conf"


def test_combinations() -> None:
    words = ["model=mlp,cnn", "trainer.threads=2", "seed=range(0,3)"]
    expected = [[f"model={model}", "trainer.threads=2", f"seed={seed}"] for model in ("mlp", "cnn") for seed in (0, 1, 2)]
    assert list(grid(CONF, compose.parse(words))) == expected


def test_an_empty_range_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no value in it"):
        list(grid(CONF, compose.parse(["seed=range(3,3)"])))


@pytest.mark.parametrize(
    "words",
    [
        ["seed=range(1000000000000)"],
        ["seed=shuffle(range(1000000000))"],
        ["seed=range(101)", "data.seed=range(100)"],
        ["optimizer.lr=range(0,1,1e-200)"],
    ],
    ids=" ".join,
)
def test_a_grid_of_too_many_trials_ends_at_once(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"(more than 10,000 values|these are 10,100 trainings), expected at most 10,000"):
        grid(CONF, compose.parse(words))


@pytest.mark.parametrize("key", ["hydra.launcher.setup", "+hydra.callbacks.x.y"])
def test_an_experiment_sweeps_values_alone(tmp_path: Path, key: str) -> None:
    own = shutil.copytree(CONF, tmp_path / "conf")
    text = f"# @package _global_\nexperiment: mine\nhydra: {{sweeper: {{params: {{seed: '0,1', {key}: x}}}}}}\n"
    (own / "experiment/mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.params: .* is no value of a training|of Hydra's own section"):
        compose_sweep(own, ["experiment=mine"])


@pytest.mark.parametrize("word", ["optimizer.lr=interval(1e-3,.1)", "optimizer.lr=tag(log, interval(1e-3, 1))"])
def test_a_grid_draws_nothing_from_an_interval(word: str) -> None:
    with pytest.raises(ConfigError, match=r"interval.*hydra/sweeper=optuna") as raised:
        compose_sweep(CONF, [word, "seed=0,1", "model.hidden=range(0)"])
    assert raised.value.faults[0].startswith(f"{word}: ") and len(raised.value.faults) == 2


def test_each_trial_is_what_it_composes_to_alone() -> None:
    plan = compose_sweep(CONF, ["model=mlp,cnn", "seed=range(2)", "optimizer.lr=0.01,0.02", "hydra.job.name=x"])
    assert len(plan.trials) == 8 and plan.keys == ["model", "seed", "optimizer.lr"] and plan.space is None
    for key, (words, config) in plan.trials.items():
        assert compose.compose(CONF, words) == config and len(words) == 3, "nothing of Hydra's own"
        assert resolved.key(config) == key


def test_an_experiment_brings_its_own_sweep_and_the_command_line_comes_first() -> None:
    assert len(compose_sweep(CONF, ["experiment=filters"]).trials) == 27
    words = add_parameters(CONF, {"seed": 0, "model": "mlp"}, ["experiment=filters"])
    assert len(compose_sweep(CONF, words).trials) == 27, "params.yaml's seed is set aside for the experiment's"
    plan = compose_sweep(CONF, add_parameters(CONF, {"seed": 0}, ["experiment=filters", "seed=7", "model.kernel=3,5"]))
    assert len(plan.trials) == 6
    assert {config.seed for _, config in plan.trials.values()} == {7}
    assert {config.model.kernel for _, config in plan.trials.values()} == {3, 5}


def test_a_search_is_checked_at_its_corners() -> None:
    plan = compose_sweep(CONF, ["hydra/sweeper=optuna", "model=mlp,cnn", "optimizer.lr=interval(0.1,0.5)"])
    assert plan.space and plan.sweeper.n_trials == 20
    assert sorted((config.model.name, config.optimizer.lr) for _, config in plan.trials.values()) == [("cnn", 0.5), ("mlp", 0.1)]
    with pytest.raises(ConfigError, match=r"optimizer\.lr is -1"):
        compose_sweep(CONF, ["hydra/sweeper=optuna", "optimizer.lr=interval(-1.0,0.5)"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hydra/sweeper=basic"], "hydra/sweeper=basic: expected grid"),
        (["hydra/launcher=basic,joblib"], "hydra/launcher=basic,joblib: Hydra's own settings"),
        (["hydra/launcher=sulrm"], "hydra/launcher: no option 'sulrm'; there are: basic, .*joblib.*Did you mean slurm"),
        (["hydra/sweeper=optna"], "hydra/sweeper: no option 'optna'; there are: .*grid, optuna. Did you mean optuna"),
    ],
)
def test_what_sweeps_nothing(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        compose_sweep(CONF, ["seed=0,1", *words])


def test_faults_of_all_trials_come_together() -> None:
    with pytest.raises(ConfigError) as raised:
        compose_sweep(CONF, ["model=cnn,mpl", "optimizer.lr=0,1", "trainer.max_epochs=0,1"])
    assert len(raised.value.faults) == 3


def test_the_same_words_the_same_name_however_they_are_launched() -> None:
    words = ["seed=0,1", "optimizer.lr=0.1,0.2", "model='mlp'"]
    name = sweeps.default_name(words, swept=["seed", "optimizer.lr"])
    assert name.startswith("seed-lr-")
    assert (
        sweeps.default_name(
            [*reversed(words), "hydra/launcher=slurm", "hydra.launcher.partition=gpu"], swept=["seed", "optimizer.lr"]
        )
        == name
    )
    search = [*words, "hydra/sweeper=optuna"]
    more = [*search, "hydra.sweeper.n_trials=50", "hydra.sweeper.n_jobs=4"]
    assert (
        sweeps.default_name(more, swept=["lr"])
        == sweeps.default_name(search, swept=["lr"])
        != sweeps.default_name(words, swept=["lr"])
    )
    assert sweeps.default_name([*search, "hydra.sweeper.seed=1"], swept=["lr"]) != sweeps.default_name(search, swept=["lr"])
    assert sweeps.default_name([*words, "data=digits"], swept=["seed", "optimizer.lr"]) != name
    assert sweeps.default_name(["experiment=filters"], swept=["seed"]).startswith("filters-")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 101, "a b"])
def test_names_that_are_no_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="sweep '"):
        sweeps.check_name(name)
