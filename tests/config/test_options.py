"""Every shipped option of every config group, found by itself: it composes, and says nothing the schema doesn't know."""

import dataclasses
import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from filterlab.config import compose, document, resolved, schema
from filterlab.config.section import Section
from filterlab.config.validation import check
from filterlab.models.architectures.conv_net import ConvLayer

CONF = Path(__file__).parents[2] / "conf"
COMPOSED = compose.Composer(CONF)
FILES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra")


def subclasses(of: type) -> list[type]:
    return [node for below in of.__subclasses__() for node in (below, *subclasses(below))]


SECTIONS = [node for node in subclasses(Section) if node.__module__.startswith("filterlab.")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_option(file: Path, tmp_path: Path) -> None:
    """It composes, within bounds, and survives being written and read."""
    group, option = file.parent.name, file.stem
    config = COMPOSED([f"{group}={option}"])
    assert check(config) == []
    (tmp_path / "results").mkdir()
    (tmp_path / resolved.RESOLVED).write_text(resolved.dump(config), encoding="utf-8")
    assert resolved.load(tmp_path) == config
    if group == "experiment":
        assert config.experiment == option, "an experiment says its own name"
    elif group == "data":
        assert type(config.data) is schema.FAMILIES["data"]["own" if hasattr(config.data, "source") else "files"]
    elif len(schema.FAMILIES[group]) > 1:
        assert type(getattr(config, group)) is schema.FAMILIES[group][getattr(config, group).name]
    said = read(file)
    for key, value in said.items():
        where = config if group == "experiment" else getattr(config, group)
        assert key in plain(where), f"{key} is no key of the schema"
        assert_holds(value, plain(where)[key])


def test_every_folder_is_a_config_group() -> None:
    assert {folder.name for folder in CONF.iterdir() if folder.is_dir()} - {"hydra"} == set(compose.GROUPS)
    assert {file.parent.name for file in FILES} == set(compose.GROUPS), "an option at least"


def test_params_yaml_composes() -> None:
    """Whatever a user has written into it, and however many options there are."""
    assert check(COMPOSED(compose.to_overrides(compose.read_parameters(CONF.parent / "params.yaml")))) == []


def test_default_leaves_a_choice_to_the_primary_config(tmp_path: Path) -> None:
    """Each default stands once, in conf/config.yaml."""
    (tmp_path / "params.yaml").write_text("".join(f"{key}: default\n" for key in [*compose.GROUPS, "seed"]) + "override: {}\n")
    assert compose.to_overrides(compose.read_parameters(tmp_path / "params.yaml")) == []


@functools.cache
def shipped(experiment: str) -> schema.Config:
    return COMPOSED([f"experiment={experiment}"])


OTHER = [
    (group, option, experiment)
    for group in schema.FAMILIES
    for option in compose.options(CONF, group)
    if f"  - {group}: {option}\n" not in (CONF / "config.yaml").read_text()
    for experiment in compose.options(CONF, "experiment")
]


@pytest.fixture(scope="module")
def with_default(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], compose.Composer]:
    """What composes from conf/ with one other default: one line of conf/config.yaml."""

    @functools.cache
    def make(group: str, option: str) -> compose.Composer:
        conf = shutil.copytree(CONF, tmp_path_factory.mktemp("default") / "conf")
        text = (conf / "config.yaml").read_text()
        changed, found = re.subn(rf"(?m)^  - {group}: .*$", f"  - {group}: {option}", text)
        assert found == 1
        (conf / "config.yaml").write_text(changed)
        return compose.Composer(conf)

    return make


@pytest.mark.parametrize(("group", "option", "experiment"), OTHER, ids="-".join)
def test_experiments_choose_what_they_rely_on(
    with_default: Callable[[str, str], compose.Composer], group: str, option: str, experiment: str
) -> None:
    """Under any other default each composes; what it chooses stays, and what it leaves open is that default."""
    usual = shipped(experiment)
    found = with_default(group, option)([f"experiment={experiment}"])
    sections = ["experiment", "seed", *schema.FAMILIES]
    assert {name for name in sections if getattr(found, name) != getattr(usual, name)} <= {group}
    text = (CONF / f"experiment/{experiment}.yaml").read_text()
    if f"override /{group}: " in text:
        assert found == usual
    if experiment == "none":
        assert found == COMPOSED([f"{group}={option}"])


def test_what_decides_a_training_is_what_its_stage_names() -> None:
    """A run's key and its checkpoints' folder are made of these sections; DVC reruns train when one of them has changed."""
    stages = document.values((CONF.parent / "dvc.yaml").read_text())["stages"]
    trainer = [f"trainer.{field.name}" for field in dataclasses.fields(schema.Trainer)]
    named = {*schema.TRAINING, *trainer} - {"trainer", *schema.INDIFFERENT}
    (params,) = stages["train"]["params"]
    assert sorted(params["results/config.yaml"]) == sorted(named)
    assert {*schema.TRAINING, "data", "experiment", "tracking"} == {field.name for field in dataclasses.fields(schema.Config)}


def test_how_often_a_training_is_saved_decides_nothing() -> None:
    usual, other = (compose.compose(CONF, [f"trainer.checkpoint_seconds={seconds}"]) for seconds in (60, 0))
    assert usual != other and resolved.key(usual) == resolved.key(other)
    assert resolved.key(usual) != resolved.key(compose.compose(CONF, ["trainer.patience=4"]))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_value_has_a_meaning(section: Any) -> None:
    known = {"ge", "gt", "le", "lt", "choices", "text", "values", "most", "least"}
    for field in dataclasses.fields(section):
        if section is schema.Config and field.name in schema.FAMILIES:
            continue
        assert len(field.metadata["doc"]) > 5, f"{section.__name__}.{field.name}"
        assert set(field.metadata["bounds"]) <= known


def test_every_section_has_a_config_group() -> None:
    """No class of the schema is without an option, but for those that others share."""
    families = {node for families in schema.FAMILIES.values() for node in families.values()}
    bases = {schema.Config, schema.Model, schema.Optimizer, schema.Schedule, schema.Augment, ConvLayer}
    assert families == set(SECTIONS) - bases
    offered = {COMPOSED([f"model={option}"]).model.name for option in compose.options(CONF, "model")}
    assert offered == set(schema.FAMILIES["model"])


def read(file: Path) -> dict[str, Any]:
    values = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    return {key: value for key, value in values.items() if key not in ("defaults", "hydra")}


def plain(section: Any) -> dict[str, Any]:
    return dataclasses.asdict(section)


def assert_holds(said: Any, resolved: Any) -> None:
    """What the file says is in what was composed, with the same type; there may be more (a layer's defaults)."""
    if isinstance(said, dict):
        assert said or not resolved, "an empty mapping, merged into another, would change nothing"
        for key, value in said.items():
            assert_holds(value, resolved[key])
    elif isinstance(said, list):
        assert len(said) == len(resolved)
        for one, other in zip(said, resolved, strict=True):
            assert_holds(one, other)
    else:
        assert (type(said), said) == (type(resolved), resolved)
