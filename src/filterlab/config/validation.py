"""Conversion of plain values to the typed, frozen configuration: every fault is one sentence, all are raised together."""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from filterlab.config import schema
from filterlab.config.faults import short, unknown_key, unknown_option
from filterlab.config.section import misfit
from filterlab.data.augment import Photo, Shift
from filterlab.errors import ConfigError
from filterlab.models import shapes

STEP = 10**12  # bytes of a step's outputs on one device: more than any has, so that it is a slip of the pen


def to_config(values: Mapping[str, Any]) -> schema.Config:
    """Raises ConfigError with every fault."""
    valid, faults = sections(values)
    if faults := faults + list(disagreements(valid)):
        raise ConfigError(faults)
    return schema.Config(**valid)


def check(config: schema.Config) -> list[str]:
    """Every fault of a configuration made by hand, a sentence each; [] where there is none."""
    valid, faults = sections(dataclasses.asdict(config))
    return faults + list(disagreements(valid))


def sections(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The sections (and the values beside them) that are valid, and what is wrong with the others."""
    faults = keys(schema.Config, values, "")
    valid = {}
    for field in dataclasses.fields(schema.Config):
        if field.name not in values:
            continue
        families = schema.FAMILIES.get(field.name, {})
        given, kind = values[field.name], next(iter(families.values()), hints(schema.Config)[field.name])
        found: list[str] = []
        if field.name == "data":
            kind = families["own" if isinstance(given, dict) and "source" in given else "files"]
        elif len(families) > 1:  # told apart by their name
            called = given.get("name") if isinstance(given, dict) else given
            if isinstance(called, str) and called in families:
                kind = families[called]
            elif isinstance(given, dict) and "name" not in given:
                found.append(f"{field.name}.name has no value, expected one of {', '.join(families)}")
            else:
                found.append(f"{field.name}.name: {unknown_option(called, list(families))}")
        made = None if found else convert(kind, given, field.name, field.metadata, found)
        if not found:
            valid[field.name] = made
        faults += found
    return valid, faults


hints = functools.cache(typing.get_type_hints)


def keys(kind: Any, given: Mapping[Any, Any], place: str) -> list[str]:
    """Faults of a section's keys: those it doesn't have, and those that are missing."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    called = f" ({short(given['name'], quoted=False)})" if place and "." not in place and "name" in given else ""
    where = f" in {place}{called}" if place else ""
    faults = [f"{dotted(place, key)}: {unknown_key(str(key), list(fields), where)}" for key in given if key not in fields]
    required = (name for name, field in fields.items() if field.default is dataclasses.MISSING is field.default_factory)
    return faults + [f"{dotted(place, name)} has no value" for name in required if name not in given]


def dotted(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def convert(kind: Any, given: Any, place: str, about: Mapping[str, Any], faults: list[str]) -> Any:
    """The value of this type that is given; `faults` gets a sentence for each that is not.

    Args:
        kind: a section, or the type of one of its fields.
        about: the field's meaning and bounds; see `section.value`.
    """
    if isinstance(kind, types.UnionType):  # of a number and a list of such
        kind = next(of for of in typing.get_args(kind) if (typing.get_origin(of) is list) == isinstance(given, list))
    outer, bounds, doc = typing.get_origin(kind) or kind, about["bounds"], f" ({about['doc']})"
    if dataclasses.is_dataclass(kind) and isinstance(given, dict):
        return to_section(kind, given, place, faults)
    if outer in (list, dict) and type(given) is outer and len(given) > bounds["most"]:
        faults.append(f"{place} has {len(given):,} entries, expected at most {bounds['most']:,}{doc}")
    elif outer in (list, dict) and type(given) is outer and len(given) < bounds.get("least", 0):
        least = bounds["least"]
        has = f"has {len(given)}, expected at least {least} entries" if least > 1 else "is empty, expected at least one entry"
        faults.append(f"{place} {has}{doc}")
    elif outer is list and type(given) is list:
        (of,) = typing.get_args(kind)
        return [convert(of, item, f"{place}.{index}", about, faults) for index, item in enumerate(given)]
    elif outer is dict and type(given) is dict:
        key, of = typing.get_args(kind)
        values = {**about, "bounds": {"text": bounds["values"]}}
        names = [convert(key, name, f"a key of {place}", about, faults) for name in given]
        return {
            name: convert(of, item, f"{place}.{name}", values, faults) for name, item in zip(names, given.values(), strict=True)
        }
    else:
        # Digits are text, and a whole number is a number, of which the largest are infinite.
        value = kind(str(given)) if type(given) is int and kind in (str, float) else given
        if expected := misfit(kind, value, bounds):
            faults.append(f"{place} is {short(given)}, expected {expected}{doc}")
        return value
    return None


def to_section(kind: Any, given: Mapping[str, Any], place: str, faults: list[str]) -> Any:
    """The section of this class; None where something is wrong with it."""
    found = keys(kind, given, place)
    values = {
        field.name: convert(hints(kind)[field.name], given[field.name], f"{place}.{field.name}", field.metadata, found)
        for field in dataclasses.fields(kind)
        if field.name in given
    }
    if not found:
        section = kind(**values)
        found += section.disagreements()
    faults += found
    return None if found else section


def disagreements(valid: Mapping[str, Any]) -> Iterator[str]:
    """Faults of sections that don't go together, as far as these are valid."""
    data, model, augment, trainer = (valid.get(name) for name in ("data", "model", "augment", "trainer"))
    if data and isinstance(augment, Shift | Photo) and augment.pixels >= (side := min(data.height, data.width)):
        yield f"augment.pixels is {augment.pixels}, expected less than the images' side, {side}: nothing would be left"
    if not (data and model):
        return
    try:
        layers = shapes.layers(model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes))
    except shapes.ShapeError as error:
        yield str(error)
        return
    single = [layer.name for layer in layers if layer.kind == "norm" and layer.height * layer.width == 1]
    if trainer and single and trainer.batch_size // trainer.devices < 2:
        yield (
            f"trainer.batch_size is {trainer.batch_size}: {single[0]} normalises maps of 1x1 over a batch's images, expected at "
            f"least two on each of {trainer.devices} devices"
        )
    # The outputs of all layers are kept for a whole batch, in 4 bytes each.
    if trainer and (needed := 4 * shapes.unit_count(layers) * trainer.batch_size // trainer.devices) > STEP:
        yield (
            f"trainer.batch_size is {trainer.batch_size:,}: the layers' outputs of a step take {needed / 1e9:,.0f} GB on each "
            f"device, expected at most {STEP / 1e9:,.0f} GB; take smaller batches"
        )
