"""A run's name and description: how its configuration differs from conf/."""

import dataclasses
import functools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filterlab.config import compose, schema
from filterlab.study import table

NAME, WORD = 100, 24  # characters of a run's name, and of a value in it
COMMAND = 4000  # characters of a command that a note holds: MLflow keeps 8000 of it


@dataclass(frozen=True)
class Description:
    """How MLflow shows a run.

    Attributes:
        name: what differs from conf/, e.g. "mlp lr=0.01 seed=3"; "mnist cnn" where nothing does.
        note: Markdown: data, model, what differs, the command that trains it again.
    """

    name: str
    note: str


def describe(config: schema.Config, conf: Path) -> Description:
    """By comparison with the conf/ that the configuration was composed from. Raises ConfigError where that doesn't compose."""
    experiment = f"experiment={config.experiment}"
    base = composed(conf, experiment)
    chosen = {
        group: section.name
        for group in schema.FAMILIES
        if hasattr(section := getattr(config, group), "name")
        and section.name != getattr(base, group).name
        and section.name in compose.options(conf, group)
    }
    options = [f"{group}={option}" for group, option in chosen.items()]
    usual = leaves(composed(conf, experiment, *options))
    differing = {
        key: leaf
        for key, leaf in leaves(config).items()
        if usual.get(key) != leaf
        and key.partition(".")[0] not in ("tracking", "experiment", "seed")
        and key not in schema.INDIFFERENT
    }
    seed = {} if config.seed == base.seed else {"seed": config.seed}
    ends = table.short_keys(list(differing))
    words = [] if config.experiment == "none" else [config.experiment]
    words += [f"{group}=none" if option == "none" else option for group, option in chosen.items() if group != "model"]
    words += [f"{ends.get(key, key)}={_brief(leaf)}" for key, leaf in (differing | seed).items()]
    first = [config.model.name] if words else [config.data.name, config.model.name]
    name = " ".join([*first, *words])
    values = [f"{key}={compose.quote(leaf)}" for key, leaf in differing.items()]
    command = " ".join(map(shell, ["filterlab", "train", experiment, *options, *values, f"seed={config.seed}"]))
    lines = [f"Data: **{config.data.name}**. Model: **{config.model.name}**. Seed: {config.seed}.", ""]
    lines += [
        f"- `{key}` is {_brief(leaf)}" + f" (else {_brief(usual[key])})" * (key in usual) for key, leaf in differing.items()
    ]
    again = f"    {command}" if len(command) <= COMMAND else "    (by config.yaml, among the artifacts)"
    lines += ["", "Again:", "", again]
    return Description(name=name if len(name) <= NAME else name[: NAME - 1] + "…", note="\n".join(lines))


@functools.cache
def composed(conf: Path, *words: str) -> schema.Config:
    """Once a process, in which a sweep may train many times."""
    return compose.compose(conf, words)


def leaves(config: schema.Config) -> dict[str, Any]:
    return dict(compose.leaves(dataclasses.asdict(config)))


def shell(word: str) -> str:
    """The word as a shell takes it, with as few quotes as that needs."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def _brief(leaf: Any) -> str:
    text = table.short_value(str(leaf))
    if len(text) <= WORD:
        return text
    return "[…]" if isinstance(leaf, list) else text[: WORD - 1] + "…"
