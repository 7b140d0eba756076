"""Who has the last word, what an experiment decides, and that the resolved config says it all."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from filterlab.config import compose, document, resolved, schema
from filterlab.data.augment import NoAugment
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.mlp import MLP
from filterlab.training.optimizers import Adam

Resolve = Callable[..., schema.Config]


def test_precedence(resolve: Resolve) -> None:
    """conf/ < params.yaml < the command line, for choices and for values."""
    said = "model: mlp\noptimizer: adam\noverride: {optimizer: {lr: 0.5, eps: 1.0e-3}, trainer: {max_epochs: 3}}\nseed: 4\n"
    assert resolve("{}") == resolve("")
    plain, params = resolve(""), resolve(said)
    words = resolve(said, "model=softmax", "optimizer.lr=0.25", "seed=9")
    assert [config.model.name for config in (plain, params, words)] == ["cnn", "mlp", "softmax"]
    assert [config.optimizer.lr for config in (plain, params, words)] == [0.1, 0.5, 0.25]
    assert [config.seed for config in (plain, params, words)] == [0, 4, 9]
    assert isinstance(words.optimizer, Adam)
    assert (words.optimizer.eps, words.trainer.max_epochs) == (1e-3, 3), "what the command line leaves alone stays"


def test_nested_override(resolve: Resolve) -> None:
    """`override` reaches any depth, elements of a list by their number; written with dots or nested."""
    config = resolve("model: conv_net\noverride: {model: {layers: {1: {filters: 5}}, hidden: [3, 4]}, trainer.threads: 1}\n")
    assert isinstance(config.model, ConvNet)
    assert [layer.filters for layer in config.model.layers] == [32, 5]
    assert (config.model.hidden, config.trainer.threads) == ([3, 4], 1)


def test_whole_list_of_layers(resolve: Resolve) -> None:
    config = resolve("override: {model: {layers: [{filters: 4, kernel: [1, 3], batch_norm: true, dropout: 0.5}]}}\n")
    assert isinstance(config.model, ConvNet)
    assert config.model.layers == [
        ConvLayer(filters=4, kernel=[1, 3], stride=1, padding=0, batch_norm=True, activation="relu", pool=1, dropout=0.5)
    ]


def test_experiment_in_the_parameters_makes_all_the_choices(resolve: Resolve) -> None:
    """The parameters' other choices are set aside; its override and its seed apply."""
    config = resolve(
        "experiment: small\nmodel: resnet\ndata: mnist\noptimizer: adam\nseed: 0\noverride: {trainer: {batch_size: 8}}\n"
    )
    assert isinstance(config.model, MLP)
    assert (config.experiment, config.data.name, config.optimizer.name) == ("small", "digits", "sgd")
    assert (config.model.hidden, config.trainer.max_epochs, config.trainer.batch_size) == ([7], 2, 8)
    assert config.seed == 0, "params.yaml's seed, not the experiment's 5: 0 is a seed"
    assert resolve("experiment: small\n").seed == 5


def test_experiment_on_the_command_line_sets_the_parameters_aside(resolve: Resolve) -> None:
    said = "model: resnet\noptimizer: adam\nseed: 3\noverride: {trainer: {batch_size: 8}}\n"
    config, alone = resolve(said, "experiment=small"), resolve("", "experiment=small")
    assert config == resolve("", "experiment=small", "seed=3")
    assert alone.trainer.batch_size == 256 and alone.optimizer.name == "sgd"
    assert resolve("experiment: small\nseed: 3\n", "experiment=none") == resolve("seed: 3\n")


def test_command_line_over_experiment(resolve: Resolve) -> None:
    """A choice and a value given beside an experiment win over it, whichever of the two named it."""
    for config in (
        resolve("experiment: small\n", "data=mnist", "trainer.max_epochs=4"),
        resolve("", "data=mnist", "experiment=small", "trainer.max_epochs=4"),
    ):
        assert (config.experiment, config.data.name, config.model.name, config.trainer.max_epochs) == ("small", "mnist", "mlp", 4)


def test_words_that_yaml_1_1_would_misread(resolve: Resolve) -> None:
    """`off` is no boolean and `none` no null here; DVC reads params.yaml by the same rules."""
    config = resolve("tracking: off\naugment: none\nexperiment: none\n")
    assert (config.tracking.backend, config.experiment) == ("off", "none")
    assert isinstance(config.augment, NoAugment)


def test_seed_given_twice_in_the_parameters(resolve: Resolve) -> None:
    """An override is the more specific of the two."""
    assert resolve("seed: 1\noverride: {seed: 2}\n").seed == 2


def test_frozen(resolve: Resolve) -> None:
    config = resolve("")
    for section, name, new in [(config, "seed", 1), (config.trainer, "threads", 1), (config.model, "layers", [])]:
        before = getattr(section, name)
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(section, name, new)
        assert getattr(section, name) == before


TRICKY = [
    "it's",
    '"quoted"',
    "a, b",
    "{x: 1}",
    "[1]",
    "a=b",
    "ü 中文 ∂",
    "back\\slash",
    "end\\",
    "\\'",
    " spaces ",
    "3",
    "true",
    "# no comment",
]


@pytest.mark.parametrize("text", TRICKY)
def test_any_text_is_a_value(resolve: Resolve, tmp_path: Path, text: str) -> None:
    """From params.yaml to the resolved config and back, the same characters."""
    single_quoted = "'" + text.replace("'", "''") + "'"
    config = resolve(f"override: {{tracking: {{experiment: {single_quoted}}}}}\n")
    assert config.tracking.experiment == text
    assert read_back(config, tmp_path) == config


PLAIN = st.text().filter(lambda text: "${" not in text)  # an interpolation, see test_code_and_places.py


@given(st.recursive(PLAIN | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False), st.lists))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_quote_is_hydras_grammar(leaf: object) -> None:
    """Hydra's own parser gives back what was quoted."""
    [parsed] = compose.parse([f"key={compose.quote(leaf)}"])
    assert parsed.value() == leaf
    assert type(parsed.value()) is type(leaf)


def read_back(config: schema.Config, root: Path) -> schema.Config:
    (root / "results").mkdir(exist_ok=True)
    (root / resolved.RESOLVED).write_text(resolved.dump(config), encoding="utf-8")
    return resolved.load(root)


def test_resolved_config_round_trip(resolve: Resolve, tmp_path: Path) -> None:
    """The file gives back an equal configuration of the same types, and the same bytes."""
    for model in compose.options(tmp_path / "conf", "model"):
        config = resolve(f"model: {model}\nseed: 0\noverride: {{optimizer: {{lr: 1.0e-5}}}}\n")
        again = read_back(config, tmp_path)
        assert again == config
        assert type(again.model) is type(config.model)
        assert resolved.dump(again) == resolved.dump(config)


def test_a_resolved_config_that_was_written_before_a_value_was_there(resolve: Resolve, tmp_path: Path) -> None:
    """It means what it meant, and has the same key; what has been there since the beginning may not lack."""
    config = resolve("seed: 0\n")
    text = resolved.dump(config)
    later = ["    dilation: 1\n", "    groups: 1\n", "    pool_of: max\n"]
    for line in later:
        assert text.count(line) == 4
        text = text.replace(line, "")
    again = resolved.from_text(text)
    assert again == config and resolved.key(again) == resolved.key(config)
    with pytest.raises(document.Unreadable, match=r"model\.layers"):
        resolved.from_text(text.replace("    stride: 2\n", ""))


def test_compose_stage_writes_the_resolved_config(tmp_path: Path, own_conf: Path) -> None:
    """Twice the same bytes, whatever was there."""
    from filterlab.stages import compose as stage

    (tmp_path / "params.yaml").write_text("model: mlp\nseed: 2\n")
    stage.run(tmp_path)
    first = (tmp_path / resolved.RESOLVED).read_bytes()
    (tmp_path / resolved.RESOLVED).write_text("old")
    stage.run(tmp_path)
    assert (tmp_path / resolved.RESOLVED).read_bytes() == first
    assert (resolved.load(tmp_path).model.name, resolved.load(tmp_path).seed) == ("mlp", 2)
