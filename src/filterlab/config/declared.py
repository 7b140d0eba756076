"""Checks of what modules declare for the configuration: their NAMES, and the fields of the settings that these name."""

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from filterlab.config.faults import short
from filterlab.config.section import SIGNS, TEXTS, Section
from filterlab.errors import UserError

# type of a single value -> the bounds it can have
BOUNDS: dict[Any, list[str]] = {int: [*SIGNS], float: [*SIGNS], bool: [], str: ["choices", "text"]}
TYPES = "int, float, bool, str, a list of one of them or of sections, or dict[str, str]"


def modules(package: str, folder: Iterable[str], *, of: type) -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules of a package by name, each with its NAMES for instances of `of`. Raises UserError: one that has none."""
    for module in pkgutil.iter_modules(folder, f"{package}."):
        own = getattr(importlib.import_module(module.name), "NAMES", None)
        if not isinstance(own, dict):
            raise UserError(f"{module.name} has no NAMES, expected a mapping of names in conf/ to what they stand for")
        for name, named in own.items():
            if not isinstance(named, of):
                raise UserError(f"{module.name}: NAMES has {short(named)} for {name!r}, expected a {of.__name__}")
        yield module.name, own


def names(package: str, folder: Iterable[str], *, of: type) -> dict[str, Any]:
    """The NAMES of all modules of a package, as one. Raises UserError: two have one name."""
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for module, own in modules(package, folder, of=of):
        if twice := [name for name in own if name in owners]:
            raise UserError(f"{module}: NAMES has {twice[0]!r}, which is a name in {owners[twice[0]]}: take another")
        found |= own
        owners |= dict.fromkeys(own, module)
    return found


def settings(named: Mapping[str, Any], *, base: type[Section], method: str) -> dict[str, type]:
    """The same names, of classes below `base` that have the method and whose fields are declared as they should be.

    Raises UserError: the first that is not.
    """
    for name, section in named.items():
        if not (isinstance(section, type) and issubclass(section, base)):
            raise UserError(f"NAMES has {short(section)} for {name!r}, expected a class below {place(base)}")
        if fault := next(faults(section), None):
            raise UserError(fault)
        if getattr(section, method) is getattr(base, method):
            raise UserError(f"{place(section)} has no {method}(); see that of {place(base)}")
    return dict(named)


def place(section: type) -> str:
    return f"{section.__module__}.{section.__name__}"


def faults(section: type) -> Iterator[str]:
    """What is wrong with the fields of a section, a sentence each."""
    for each in section.__mro__:
        if (annotated := vars(each).get("__annotations__")) and "__dataclass_fields__" not in vars(each):
            yield f"{place(each)} has no @dataclass above its class, expected for its fields: {', '.join(annotated)}"
            return
    for field in dataclasses.fields(section):
        kind = typing.get_type_hints(section)[field.name]
        if "bounds" not in field.metadata:
            yield f"{place(section)}.{field.name} has no value(), expected e.g. `{field.name}: int = value('...', ge=1, le=9)`"
        elif found := misdeclared(kind, field.metadata["bounds"]):
            yield f"{place(section)}.{field.name} {found}"
        elif typing.get_origin(kind) is list and issubclass(element := typing.get_args(kind)[0], Section):
            yield from faults(element)


def misdeclared(kind: Any, bounds: Mapping[str, Any]) -> str | None:
    """What is wrong with a field of this type and these bounds (see `section.value`); None where nothing is."""
    kind = list[int] if kind == int | list[int] else kind
    many = {list: ["most"], dict: ["most", "values"]}.get(typing.get_origin(kind), [])
    single = typing.get_args(kind)[0] if many else kind
    is_section = isinstance(single, type) and issubclass(single, Section) and many == ["most"]
    if not (is_section or single in BOUNDS) or ("values" in many and kind != dict[str, str]):
        return f"is of type {inspect.formatannotation(kind)}, expected {TYPES}"
    of_single = [] if is_section else BOUNDS[single]
    if unknown := bounds.keys() - {*of_single, *many, *(["least"] if many else [])}:
        return f"has the bound {sorted(unknown)[0]}, expected {', '.join([*of_single, *many]) or 'none'}"
    if missing := [bound for bound in many if bound not in bounds]:
        return f"has no bound {missing[0]}, expected {'the largest number of entries' if missing == ['most'] else 'one'}"
    if single in (int, float) and not (bounds.keys() & {"ge", "gt"} and bounds.keys() & {"le", "lt"}):
        return f"has the bounds {', '.join(bounds) or 'none'}, expected two: ge or gt, and le or lt"
    if single is str and len(bounds.keys() & {"choices", "text"}) != 1:
        return "has neither or both of choices and text, expected one of them"
    if "choices" in bounds and not (
        isinstance(bounds["choices"], list) and all(isinstance(one, str) for one in bounds["choices"])
    ):
        return f"has the choices {short(bounds['choices'])}, expected a list of texts"
    if unread := [bounds[key] for key in ("text", "values") if key in bounds and bounds[key] not in TEXTS]:
        return f"is a text of kind {unread[0]!r}, expected one of {', '.join(TEXTS)}"
    return None
