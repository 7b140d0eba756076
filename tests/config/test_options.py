"""Every shipped option of every config group, found by itself: it composes, and says nothing the schema doesn't know."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from filterlab.config import compose, resolved, schema
from filterlab.config.section import Section
from filterlab.config.validation import check
from filterlab.models.architectures.conv_net import ConvLayer

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra")


def subclasses(of: type) -> list[type]:
    return [node for below in of.__subclasses__() for node in (below, *subclasses(below))]


SECTIONS = subclasses(Section)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_option(file: Path, tmp_path: Path) -> None:
    """It composes, within bounds, and survives being written and read."""
    group, option = file.parent.name, file.stem
    config = compose.compose(CONF, [f"{group}={option}"])
    assert check(config) == []
    (tmp_path / "results").mkdir()
    (tmp_path / resolved.RESOLVED).write_text(resolved.dump(config), encoding="utf-8")
    assert resolved.load(tmp_path) == config
    if group == "experiment":
        assert config.experiment == option, "an experiment says its own name"
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


def test_params_yaml_is_the_primary_config() -> None:
    """The shipped parameters are options, the comments list them all, and empty ones are the primary config."""
    path = CONF.parent / "params.yaml"
    parameters = compose.read_parameters(path)
    assert list(parameters) == [*compose.GROUPS, "seed", "override"]
    for line in path.read_text().splitlines():
        group = line.split(":")[0]
        if group in schema.FAMILIES:
            assert {word.strip() for word in line.split("#")[1].split(",")} == set(compose.options(CONF, group))
    assert compose.compose(CONF, compose.to_overrides(parameters)).experiment == parameters["experiment"]


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
    offered = {compose.compose(CONF, [f"model={option}"]).model.name for option in compose.options(CONF, "model")}
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
