"""A topic of the lecture: its text, read from topics/NN_name.md, and the function that computes its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab.config import document
from filterlab.errors import UserError

if TYPE_CHECKING:
    from filterlab.lecture.context import Context
    from filterlab.lecture.result import Result

FOLDER = Path(__file__).parent / "topics"


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


@cache
def read(path: Path) -> Topic:
    """A topic from its file."""
    _, front, text = path.read_text(encoding="utf-8").split("---\n", 2)
    given: dict[str, Any] = document.values(front)
    formulas = [Formula(**formula) for formula in given.pop("formulas", [])]
    figures = {name: FigureText(**texts) for name, texts in given.pop("figures", {}).items()}
    tables = {name: TableText(**texts) for name, texts in given.pop("tables", {}).items()}
    return Topic(name=path.stem, text=text.strip(), formulas=formulas, figures=figures, tables=tables, **given)


def named(name: str) -> Topic:
    """E.g. of "01_line"."""
    return read(FOLDER / f"{name}.md")


@cache
def all_topics() -> list[Topic]:
    """In the lecture's order."""
    return [read(path) for path in sorted(FOLDER.glob("*.md"))]


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
