"""Base class of the configuration's sections: frozen dataclasses whose fields have a meaning and bounds.

`validation` reads them; made by hand, e.g. in a test, a section is taken as it is.
"""

import dataclasses
import math
import operator
import re
import typing
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from filterlab.errors import UserError

# 32 bits are what PyTorch's generator takes of a seed: two that differ in higher bits alone would be the same training.
SEEDS: dict[str, Any] = {"ge": 0, "lt": 2**32}
COUNT = 2**31 - 1  # of units, filters, images: what memory holds is less, and `shapes` says how much that is
SIDE = 4096  # pixels, at most
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, separators of lines and paragraphs


def value(doc: str, *, default: Any = dataclasses.MISSING, later: bool = False, **bounds: Any) -> Any:
    """A field with its meaning and its bounds.

    later: it came when there were results already. Its default is what they were made with: see `plain`.
    ge, gt, le, lt: of a number; every number has two.
    choices, text: of a string: those there are, or a kind of `TEXTS`.
    most, least: entries of a list or a mapping. The other bounds hold for each entry; of a mapping `text` for its keys, `values`
        for what they stand for.
    """
    about = {"doc": doc, "bounds": bounds, "later": later}
    if isinstance(default, dict):  # each section gets its own
        return dataclasses.field(default_factory=lambda: dict(default), metadata=about)
    return dataclasses.field(default=default, metadata=about)


class Names(dict[str, Any]):
    """A module's NAMES: classes by what conf/ calls them. Raises UserError where a name that is taken is given to another one."""

    def __setitem__(self, name: str, named: Any) -> None:
        if name in self:
            raise UserError(f"NAMES has {name!r} already, for {self[name]!r}: give {named!r} another name")
        super().__setitem__(name, named)


class Section:
    """Base of the sections."""

    def __setattr__(self, name: str, new: Any) -> None:
        if name in self.__dict__:
            raise dataclasses.FrozenInstanceError(f"cannot change {name}: a configuration is frozen once loaded")
        super().__setattr__(name, new)

    def disagreements(self) -> Iterator[str]:
        """Faults of values that are within their bounds, but don't go together; a whole sentence each."""
        return iter(())


def plain(section: Any) -> Any:
    """As dataclasses.asdict, without later fields that have their default: what they do not change keeps its bytes and keys."""
    if isinstance(section, Section):
        fields = dataclasses.fields(section)  # type: ignore[arg-type]
        kept = [field.name for field in fields if not field.metadata["later"] or getattr(section, field.name) != field.default]
        return {name: plain(getattr(section, name)) for name in kept}
    if isinstance(section, dict):
        return {name: plain(inner) for name, inner in section.items()}
    return [plain(inner) for inner in section] if isinstance(section, list) else section


def is_text(text: str, *, most: int = 255) -> bool:
    seen = bool(text.strip()) and not any(unicodedata.category(sign) in UNSEEN for sign in text)
    return seen and "${" not in text and len(text.encode()) <= most


def is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        printable = text.isprintable() and " " not in text and "${" not in text and len(text) <= 2_000
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and printable
    except ValueError:  # of the port, of brackets
        return False


# kind of text -> whether it is one, and what was expected
TEXTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "text": (is_text, "1 to 255 bytes of visible text without ${"),
    "name": (
        lambda text: is_text(text) and text not in (".", "..") and "/" not in text,
        "the name of one file or folder: 1 to 255 bytes of visible text without / and ${, and neither . nor ..",
    ),
    "path": (lambda text: is_text(text, most=1_000), "1 to 1000 bytes of visible text without ${, e.g. ../herbs"),
    "url": (is_url, "a URL such as https://host/folder/"),
    "server": (lambda text: not text or is_url(text), "a URL such as http://host:5000, or nothing"),
    "bucket": (
        lambda text: not text or re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?", text, re.ASCII) is not None,
        "s3://bucket/prefix, or nothing",
    ),
    "md5": (lambda text: re.fullmatch("[0-9a-f]{32}", text) is not None, "an MD5 of 32 digits, 0 to 9 and a to f"),
}
KINDS = {int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a mapping"}
SIGNS = {"ge": (operator.ge, ">="), "gt": (operator.gt, ">"), "le": (operator.le, "<="), "lt": (operator.lt, "<")}


def misfit(kind: Any, value: Any, bounds: Mapping[str, Any]) -> str | None:
    """The expectation (type, bounds, choices) that a single value fails; None where it meets all."""
    if kind is str:
        fits, expected = TEXTS[bounds["text"]] if "text" in bounds else (bounds["choices"].__contains__, "")
        return None if isinstance(value, str) and fits(value) else expected or f"one of {', '.join(bounds['choices'])}"
    limits = " and ".join(f"{sign} {bounds[name]:,}" for name, (_, sign) in SIGNS.items() if name in bounds)
    if type(value) is not kind:
        what = KINDS.get(typing.get_origin(kind) or kind, "a mapping")
        return f"{what} {limits}" if kind in (int, float) else what
    if kind is float and not math.isfinite(value):
        return "a finite number"
    return None if all(holds(value, bounds[name]) for name, (holds, _) in SIGNS.items() if name in bounds) else limits
