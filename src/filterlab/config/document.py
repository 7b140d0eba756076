"""A YAML document that a user may have written: refused in one sentence where reading it would fail, mislead or never end."""

import codecs
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from filterlab.config.faults import explanation

# Far more than any configuration needs, and read within seconds by parsers that are written in Python.
LARGEST = 65_536  # bytes
NODES = 10_000  # values and collections, what an alias stands for counted each time
DEPTH = 20  # collections inside of each other
LONGEST = 1_000  # characters of one value
TOO_LARGE = f"it is larger than {LARGEST:,} bytes"


class Unreadable(ValueError):
    """Why this is no document, without the file's name: who reads it knows what it is for."""


class Loader(yaml.SafeLoader):
    """YAML 1.2, in which `off` is text, and 01, 12:30 and 2020-01-01 too. (Its merge key, <<, is 1.1's.)"""


class Dumper(yaml.SafeDumper):
    """Writer of YAML that versions 1.1 and 1.2 read alike: text that either takes for a number or the like is quoted."""


def text_node(dumper: Dumper, given: str) -> yaml.ScalarNode:
    """Quoted where it has a line break that YAML 1.1 knows beside \\n: as a plain text, it would be read as a space."""
    quoted = set(given) & {"\x85", "\u2028", "\u2029"}
    return dumper.represent_scalar("tag:yaml.org,2002:str", given, style='"' if quoted else None)


Dumper.add_representer(str, text_node)
Loader.yaml_implicit_resolvers = {}
# The core schema, but for whole numbers in other bases and with zeros before them: as in JSON, there are none.
for name, pattern, first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
]:
    for kind in (Loader, Dumper):
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"({pattern})\\Z"), first)


def values(text: str) -> Any:
    """The values of a text in YAML 1.2. Raises Unreadable."""
    if len(text) > LARGEST:
        raise Unreadable(TOO_LARGE)
    try:
        check(yaml.parse(text, Loader=Loader))
        return yaml.load(text, Loader=Loader)
    except Unreadable:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(explanation(error)) from None


def written(values: Any) -> str:
    """The text of these values, in the order they stand in."""
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values, e.g. {trainer: {max_epochs: 3}} -> ("trainer.max_epochs", 3)."""
    for key, leaf in tree.items():
        if isinstance(leaf, dict):
            yield from leaves(leaf, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", leaf


def text(path: Path) -> str:
    """The text of a file. Raises FileNotFoundError, and Unreadable: it is no file, too large, can't be read, is no UTF-8."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe or a device might never end
            raise Unreadable("it is a folder" if path.is_dir() else "it is no regular file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"it can't be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise Unreadable(TOO_LARGE)
    if content.startswith(codecs.BOM_UTF8):
        raise Unreadable("it begins with a byte order mark; save it as UTF-8 without one")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Unreadable(f"byte 0x{content[error.start]:02x} in line {line} is no UTF-8; save it as UTF-8") from None


@dataclass
class Collection:
    """A mapping or a sequence that is being read. before: nodes that came before it."""

    anchor: str | None
    before: int
    mapping: bool
    keys: set[str] = field(default_factory=set)
    children: int = 0


def check(events: Iterable[Any]) -> None:
    """Go through a parser's events, which come before anything is built of them. Raises Unreadable."""
    nodes = 0
    sizes: dict[str, int] = {}  # nodes below each anchor
    around: list[Collection] = []
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            done = around.pop()
            if done.anchor:
                sizes[done.anchor] = nodes - done.before
        if kind not in ("ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"):
            continue
        line = event.start_mark.line + 1
        if kind == "AliasEvent":
            if any(collection.anchor == event.anchor for collection in around):
                raise Unreadable(f"*{event.anchor} in line {line} stands inside of what it stands for")
            nodes += sizes.get(event.anchor, 1)
        else:
            nodes += 1
            if event.tag is not None:
                raise Unreadable(f"the tag {event.tag} in line {line}; expected plain values, lists and mappings")
        if nodes > NODES:
            raise Unreadable(f"more than {NODES:,} values by line {line}, what aliases stand for included")
        if kind == "ScalarEvent" and len(event.value) > LONGEST:
            raise Unreadable(f"a value of more than {LONGEST:,} characters in line {line}")
        if around:
            around[-1].children += 1
            if kind == "ScalarEvent" and around[-1].mapping and around[-1].children % 2:
                if event.value in around[-1].keys:
                    raise Unreadable(f"duplicate key {event.value!r} in line {line}")
                around[-1].keys.add(event.value)
        if kind.endswith("StartEvent"):
            around.append(Collection(event.anchor, nodes - 1, mapping=kind.startswith("Mapping")))
            if len(around) > DEPTH:
                raise Unreadable(f"more than {DEPTH} lists and mappings inside of each other in line {line}")
