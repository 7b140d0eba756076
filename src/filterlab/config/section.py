"""What every section of a configuration is made of: a frozen dataclass whose fields say their meaning and their bounds.

pydantic checks them (see `validation`); made by hand, e.g. in a test, a section is taken as it is.
"""

import dataclasses
import re
import typing
import unicodedata
from collections.abc import Callable, Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

# 32 bits are what PyTorch's generator takes of a seed: two that differ in higher bits alone would be the same training.
SEEDS = {"ge": 0, "lt": 2**32}
COUNT = 2**31 - 1  # of units, filters, images: what memory holds is less, and `shapes` says how much that is
SIDE = 4096  # pixels, at most
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, separators of lines and paragraphs


def value(doc: str, *, default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A field with its meaning and its bounds.

    ge, gt, le, lt: of a number; every number has two.
    choices, text: of a string: those there are, or a kind of `TEXTS`.
    most, least: entries of a list or a mapping. The other bounds hold for each entry; of a mapping `text` for its keys, `values`
        for what they stand for.
    """
    return dataclasses.field(default=default, metadata={"doc": doc, "bounds": bounds})


class Section:
    """Base of the sections. A subclass's fields get their bounds as part of their types, where pydantic finds them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __init_subclass__(cls) -> None:
        for name, kind in cls.__annotations__.items():
            if isinstance(field := vars(cls).get(name), dataclasses.Field):
                cls.__annotations__[name] = bounded(kind, field.metadata["bounds"])

    def __setattr__(self, name: str, new: Any) -> None:
        if name in self.__dict__:
            raise dataclasses.FrozenInstanceError(f"cannot change {name}: a configuration is frozen once loaded")
        super().__setattr__(name, new)

    def disagreements(self) -> Iterator[str]:
        """Faults of values that are within their bounds, but don't go together; a whole sentence each."""
        return iter(())

    @model_validator(mode="after")
    def _agree(self) -> "Section":
        if faults := list(self.disagreements()):
            raise ValueError("\n".join(faults))
        return self


def bounded(kind: Any, bounds: dict[str, Any]) -> Any:
    """The type with its bounds. Nothing is converted, but for a whole number where text is expected: its digits."""
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        mapping: Any = dict[bounded(inner[0], bounds), bounded(inner[1], {"text": bounds["values"]})]  # type: ignore[misc]
        return Annotated[mapping, Field(max_length=bounds["most"])]
    if typing.get_origin(kind) is list:
        items: Any = list[bounded(inner[0], bounds)]  # type: ignore[misc]
        return Annotated[items, Field(max_length=bounds["most"], min_length=bounds.get("least", 0))]
    if kind is str:
        return Annotated[str, PlainValidator(text_check(bounds)), BeforeValidator(digits)]
    if kind in (int, float, bool):
        limits: dict[str, Any] = {sign: bounds[sign] for sign in SIGNS if sign in bounds}
        return Annotated[kind, Field(strict=True, allow_inf_nan=None if kind is not float else False, **limits)]
    return kind


def digits(given: Any) -> Any:
    return str(given) if type(given) is int else given


def text_check(bounds: dict[str, Any]) -> Callable[[Any], str]:
    fits = bounds["choices"].__contains__ if "choices" in bounds else TEXTS[bounds["text"]][0]

    def check(given: Any) -> str:
        if not (isinstance(given, str) and fits(given)):
            raise PydanticCustomError("text", "no such text")
        return given

    return check


def is_text(text: str) -> bool:
    seen = bool(text.strip()) and not any(unicodedata.category(sign) in UNSEEN for sign in text)
    return seen and "${" not in text and len(text.encode()) <= 255


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
    "url": (is_url, "a URL such as https://host/folder/"),
    "server": (lambda text: not text or is_url(text), "a URL such as http://host:5000, or nothing"),
    "md5": (lambda text: re.fullmatch("[0-9a-f]{32}", text) is not None, "an MD5 of 32 digits, 0 to 9 and a to f"),
}
