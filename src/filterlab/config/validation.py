"""From plain values to the typed, frozen configuration: pydantic finds what is wrong with them, here it gets its sentences."""

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from filterlab.config import schema
from filterlab.config.faults import short, unknown_key, unknown_option
from filterlab.config.section import SIGNS, TEXTS
from filterlab.data.augment import Shift
from filterlab.errors import ConfigError
from filterlab.models import shapes

STEP = 10**12  # bytes of a step's outputs on one device: more than any has, so that it is a slip of the pen
KINDS = {int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a mapping"}


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
    fields = {field.name: field.type for field in dataclasses.fields(schema.Config)}
    valid: dict[str, Any] = {}
    faults = [f"{name} has no value" for name in fields if name not in values]
    for name, given in values.items():
        if name not in fields:
            faults.append(f"{name}: {unknown_key(name, list(fields))}")
            continue
        families = schema.FAMILIES.get(name, {})
        kind: Any = next(iter(families.values()), fields[name])
        if len(families) > 1:
            called = given.get("name") if isinstance(given, dict) else given
            if not (isinstance(called, str) and called in families):
                faults.append(f"{name}.name: {unknown_option(called, list(families))}")
                continue
            kind = families[called]
        try:
            valid[name] = adapter(kind).validate_python(given)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                faults += sentences(each, name, kind, given)
    return valid, faults


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """pydantic's validator of a section, or of a value with its bounds: made of those that are used, as it takes milliseconds."""
    return TypeAdapter(kind)


def sentences(error: Mapping[str, Any], top: str, section: Any, values: Any) -> Iterator[str]:
    """What pydantic found, in the words of the field it was found at.

    Args:
        top, values: the section's place, and what was given for it.
        section: its class, or the type of a value that is in none.
    """
    given, path = error["input"], [top, *(part for part in error["loc"] if part != "[key]")]
    where, parent = ".".join(map(str, path)), ".".join(map(str, path[:-1]))
    kind, bounds, doc = field_at(path[:-1] if error["type"] in ("unexpected_keyword_argument", "invalid_key") else path, section)
    about = f" ({doc})" if doc else ""
    match error["type"]:
        case "value_error":  # of `Section.disagreements`
            yield from str(error["ctx"]["error"]).splitlines()
        case "missing":
            yield f"{where} has no value"
        case "unexpected_keyword_argument" | "invalid_key":
            name = f" ({values['name']})" if parent == top and "name" in values else ""
            known = [field.name for field in dataclasses.fields(kind)]
            yield f"{where}: {unknown_key(str(path[-1]), known, f' in {parent}{name}')}"
        case "too_long":
            yield f"{where} has {len(given):,} entries, expected at most {bounds['most']:,}{about}"
        case "too_short":
            yield f"{where} is empty, expected at least one entry{about}"
        case _ if "[key]" in error["loc"]:
            yield f"a key of {parent} is {short(given)}, expected {TEXTS[field_at(path[:-1], section)[1]['text']][1]}{about}"
        case found:
            yield f"{where} is {short(given)}, expected {expected(kind, bounds, found)}{about}"


def field_at(path: Sequence[str | int], section: Any) -> tuple[Any, Mapping[str, Any], str]:
    """Type, bounds and meaning of what stands at this path, at whose beginning is this section."""
    kind: Any = schema.Config
    bounds: Mapping[str, Any] = {}
    doc = ""
    for part in path:
        if dataclasses.is_dataclass(kind):
            field = next(field for field in dataclasses.fields(kind) if field.name == part)
            bounds, doc = field.metadata.get("bounds", {}), field.metadata.get("doc", "")
            kind = section if kind is schema.Config and part in schema.FAMILIES else typing.get_type_hints(kind)[field.name]
        else:
            bounds = {"text": bounds["values"]} if "values" in bounds else bounds
            kind = typing.get_args(kind)[-1]
    return kind, bounds, doc


def expected(kind: Any, bounds: Mapping[str, Any], found: str) -> str:
    if "choices" in bounds and kind is str:
        return "one of " + ", ".join(bounds["choices"])
    if "text" in bounds and kind is str:
        return TEXTS[bounds["text"]][1]
    if found == "finite_number":
        return "a finite number"
    limits = " and ".join(f"{sign} {bounds[name]:,}" for name, sign in SIGNS.items() if name in bounds)
    if found in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return limits
    what = KINDS.get(typing.get_origin(kind) or kind, "a mapping")
    return f"{what} {limits}" if kind in (int, float) else what


def disagreements(valid: Mapping[str, Any]) -> Iterator[str]:
    """Faults of sections that don't go together, as far as these are valid."""
    data, model, augment, trainer = (valid.get(name) for name in ("data", "model", "augment", "trainer"))
    if data and isinstance(augment, Shift) and augment.pixels >= (side := min(data.height, data.width)):
        yield f"augment.pixels is {augment.pixels}, expected less than the images' side, {side}: nothing would be left"
    if not (data and model):
        return
    try:
        layers = shapes.layers(model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes))
    except shapes.ShapeError as error:
        yield str(error)
        return
    # The outputs of all layers are kept for a whole batch, in 4 bytes each.
    if trainer and (needed := 4 * shapes.unit_count(layers) * trainer.batch_size // trainer.devices) > STEP:
        yield (
            f"trainer.batch_size is {trainer.batch_size:,}: the layers' outputs of a step take {needed / 1e9:,.0f} GB on each "
            f"device, expected at most {STEP / 1e9:,.0f} GB; take smaller batches"
        )
