"""A topic of the lecture: its text, read from topics/NN_name.md, and the function that computes its result."""

import dataclasses
import re
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab.config import document
from filterlab.config.faults import short, unknown_key
from filterlab.errors import UserError

if TYPE_CHECKING:
    from filterlab.lecture.context import Context
    from filterlab.lecture.result import Result

FOLDER = Path(__file__).parent / "topics"
FRONT = "its front matter"
KINDS = {str: "text (in quotes, where YAML takes it for something else)", list: "a list", dict: "`key: value` lines"}


@dataclass(frozen=True)
class Formula:
    """tex: LaTeX, of display mathematics. source: where it comes from, e.g. "Rumelhart, Hinton, Williams 1986, equation 4"."""

    tex: str
    source: str


@dataclass(frozen=True)
class FigureText:
    """caption: what a figure shows. title, subtitle: above it, with places for values, e.g. {seeds}; empty: it has its own."""

    caption: str
    title: str = ""
    subtitle: str = ""


@dataclass(frozen=True)
class TableText:
    """caption, columns: of a table, with places for values as in a figure's title."""

    caption: str
    columns: Sequence[str]


@dataclass(frozen=True)
class Topic:
    """A Markdown file of topics/: its front matter and its text.

    Attributes:
        name: the file's, e.g. "01_line"; its number is the topic's, and the folder of its results has the same name.
        slides: of the lecture, e.g. "5-6".
        text: paragraphs, a blank line between two; `code` between backticks.
        compute: the function that takes a Context and gives the Result, e.g. "line.fit_line"; empty where the topic comes later.
        reads: files and folders that decide the result, beside what `compute` imports and what every training reads.
        formulas: in the order they are needed.
        correction: where the slide's form is wrong, and why; empty where it is right.
        figures: by the names that they have in the result.
        tables, conclusions: by name; a conclusion is a sentence or more with places for values, e.g. {accuracy:.1%}.
    """

    name: str
    title: str
    slides: str
    text: str
    compute: str = ""
    reads: Sequence[str] = ()
    formulas: Sequence[Formula] = ()
    correction: str = ""
    figures: Mapping[str, FigureText] = field(default_factory=dict)
    tables: Mapping[str, TableText] = field(default_factory=dict)
    conclusions: Mapping[str, str] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.name.partition("_")[0])

    @property
    def module(self) -> str:
        """In this package; empty where the topic comes later."""
        return self.compute.partition(".")[0]

    def load(self) -> "Callable[[Context], Result]":
        """The function that `compute` names."""
        module, _, function = self.compute.partition(".")
        found: Callable[[Context], Result] = getattr(import_module(f"filterlab.lecture.{module}"), function)
        return found

    def find_text(self, kind: str, name: str) -> Any:
        """Of its figures, tables or conclusions, one. Raises UserError: there is none of that name."""
        texts: Mapping[str, Any] = getattr(self, kind)
        if name not in texts:
            raise UserError(f"topics/{self.name}.md: {unknown_key(name, list(texts), f' in {kind}')}")
        return texts[name]


@cache
def read(path: Path) -> Topic:
    """A topic from its file. Raises UserError, which names the file and the key that is wrong."""
    try:
        if not re.fullmatch(r"\d+_\w+", path.stem):
            raise ValueError("expected a number and a name, e.g. 21_dice.md")
        before, *parts = path.read_text(encoding="utf-8").split("---\n", 2)
        if before or len(parts) != 2:
            raise ValueError("it has to begin with its front matter, between two lines of ---")
        topic: Topic = convert(Topic, document.values(parts[0]), FRONT, name=path.stem, text=parts[1].strip())
        module, _, function = topic.compute.partition(".")
        source = FOLDER.parent / f"{module}.py"
        if topic.compute and not (source.exists() and re.search(rf"(?m)^def {re.escape(function)}\(", source.read_text())):
            raise ValueError(f"compute is {topic.compute!r}, and src/filterlab/lecture/{module}.py has no function {function}")
    except document.Unreadable as error:
        raise UserError(f"topics/{path.name}: {FRONT} is no valid YAML: {error}") from None
    except ValueError as error:
        raise UserError(f"topics/{path.name}: {error}") from None
    return topic


def convert(kind: Any, given: Any, place: str, **known: str) -> Any:
    """The value of this type that the front matter gives; known: fields that it doesn't. Raises ValueError."""
    outer = typing.get_origin(kind) or kind
    expected: Any = str if outer is str else list if outer is Sequence else dict
    if type(given) is not expected:
        raise ValueError(f"{place} is {short(given)}, expected {KINDS[expected]}")
    if expected is str:
        return given
    if expected is list:
        return [convert(typing.get_args(kind)[0], item, f"{place}.{number}") for number, item in enumerate(given, start=1)]
    inner = "" if place == FRONT else f"{place}."
    if outer is Mapping:
        return {name: convert(typing.get_args(kind)[1], item, f"{inner}{name}") for name, item in given.items()}
    fields = [entry for entry in dataclasses.fields(kind) if entry.name not in known]
    if other := [str(key) for key in given if key not in [entry.name for entry in fields]]:
        raise ValueError(unknown_key(other[0], [entry.name for entry in fields], f" in {place}"))
    for entry in fields:
        if entry.name not in given and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise ValueError(f"{inner}{entry.name} has no value")
    hints = typing.get_type_hints(kind)
    return kind(**known, **{name: convert(hints[name], item, f"{inner}{name}") for name, item in given.items()})


@cache
def all_topics() -> list[Topic]:
    """In the lecture's order. Raises UserError as `read` does, and where two have one number."""
    topics = [read(path) for path in sorted(FOLDER.glob("*.md"))]
    (number, count), *_ = Counter(topic.number for topic in topics).most_common()
    if count > 1:
        names = " and ".join(f"topics/{topic.name}.md" for topic in topics if topic.number == number)
        raise UserError(f"{names} have one number, {number}: give one of them another")
    return topics


def computed_in(module: str) -> Topic:
    """The topic whose `compute` names a function of this module, e.g. "line". Raises UserError: none does, or several do."""
    found = [topic for topic in all_topics() if topic.module == module]
    if len(found) != 1:
        names = " and ".join(f"topics/{topic.name}.md" for topic in found) or "no topic"
        raise UserError(f"{names}: compute names a function of {module}.py, expected just one topic of which it does")
    return found[0]


def find(number: int | str) -> Topic:
    """Raises UserError, which lists the topics: there is no such topic, or it comes later."""
    topic = next((topic for topic in all_topics() if str(topic.number) == str(number)), None)
    if topic is None or not topic.compute:
        why = f"there is no topic {number!r}" if topic is None else f"topic {number} ({topic.title}) comes later"
        raise UserError(f"{why}; there are:\n{listing()}")
    return topic


def listing() -> str:
    """A line a topic."""
    later = {True: "", False: "  (comes later)"}
    return "\n".join(
        f"  {topic.number:>2}  {topic.title} (s{topic.slides}){later[bool(topic.compute)]}" for topic in all_topics()
    )
