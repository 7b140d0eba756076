"""The resolved config: results/config.yaml, every value that a pipeline runs with. Written and read without Hydra."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from filterlab.config import document, schema, validation
from filterlab.config.document import Unreadable
from filterlab.config.faults import short, unknown_key
from filterlab.config.section import plain
from filterlab.errors import ConfigError

RESOLVED = Path("results/config.yaml")
HEAD = "# The resolved config: every value that an experiment runs with. Edit params.yaml or conf/, not this file.\n"


def dump(config: schema.Config) -> str:
    """The text of a resolved config."""
    return HEAD + document.written(dataclasses.asdict(config))


def load(root: Path) -> schema.Config:
    """The resolved config of the pipeline in `root`.

    Raises:
        ConfigError: results/config.yaml is missing or was edited into something else.
    """
    try:
        return from_text(document.text(root / RESOLVED))
    except FileNotFoundError:
        raise ConfigError([f"{RESOLVED} is missing: `dvc repro compose` writes it"]) from None
    except Unreadable as error:
        raise ConfigError([f"{RESOLVED} is no configuration ({error}): `dvc repro --force compose` writes it anew"]) from None
    except ConfigError as error:
        raise ConfigError([f"{RESOLVED}: {fault}" for fault in error.faults]) from None


def key(config: schema.Config) -> str:
    """16 hex digits that stand for everything that decides a training's outcome, but for the code."""
    data = plain(config.data)
    del data["mirrors"]  # whichever a file comes from, it has the published checksum
    return hashlib.sha256(json.dumps([data, *deciding(config)], sort_keys=True).encode()).hexdigest()[:16]


def deciding(config: schema.Config) -> list[Any]:
    """The sections that decide a training, in the order of schema.TRAINING, without what in them changes no outcome."""
    sections = plain(config)
    for place in schema.INDIFFERENT:
        section, _, name = place.partition(".")
        del sections[section][name]
    return [sections[name] for name in schema.TRAINING]


def from_text(text: str) -> schema.Config:
    """The configuration of a resolved config's text.

    Raises:
        Unreadable: it is none.
        ConfigError: its values are out of bounds, or disagree.
    """
    values = document.values(text)
    if not isinstance(values, dict):
        raise Unreadable(f"it holds a {type(values).__name__}")
    for field in dataclasses.fields(schema.Config):
        if field.name not in values:
            raise Unreadable(unknown_key(field.name, list(map(str, values))))
    config = validation.to_config(values)
    # A default may be left out, and a number written for text, in conf/; here every value stands as it is, except those that
    # came later than the text.
    written, *meant = (dict(document.leaves(tree)) for tree in (values, dataclasses.asdict(config), plain(config)))
    for key in written | meant[1]:
        if repr(written.get(key)) not in [repr(values.get(key)) for values in meant]:
            raise Unreadable(f"{key} is {short(written.get(key))}, which is no value of a resolved config")
    return config
