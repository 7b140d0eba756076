"""What a topic of the lecture computes: checks, hypotheses, tables, figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from filterlab.lecture.topic import computed_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from filterlab.study.claims import Hypothesis

Floats = NDArray[np.float64]
Value = bool | int | float | str | list  # of numbers, nested as deep as the array it stands for


@dataclass(frozen=True)
class Check:
    """A number (or an array of them) of the lecture's beside ours. Made by `equal`, `close` or `between`.

    Attributes:
        says: what is checked, e.g. "parameters of the exercise's network".
        expected: in words or numbers, as the page shows it.
    """

    says: str
    value: Value
    expected: Value
    passed: bool


def equal(says: str, value: Value, expected: Value) -> Check:
    """Exactly: whole numbers, texts, truths, and lists of them."""
    return Check(says, value, expected, passed=type(value) is type(expected) and value == expected)


def close(says: str, value: float | list, expected: float | list, *, tolerance: float) -> Check:
    """Each number within `tolerance` (absolute) of the expected one; the same shape."""
    given, wanted = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    passed = given.shape == wanted.shape and bool((np.abs(given - wanted) <= tolerance).all())
    return Check(says, value, f"{expected} ± {tolerance:g}", passed)


def between(says: str, value: float, low: float, high: float = math.inf) -> Check:
    """low <= value <= high."""
    expected = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
    return Check(says, value, expected, passed=low <= value <= high)


def below(says: str, value: float, high: float) -> Check:
    """value <= high."""
    return Check(says, value, f"at most {high:g}", passed=value <= high)


@dataclass(frozen=True)
class Table:
    """caption: one sentence. Every row has as many cells as the header; numbers are already written as they are to be read."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def new_table(module: str, name: str, rows: Sequence[Sequence[str]], **values: Any) -> Table:
    """Rows under the caption and the columns in the Markdown of the topic that the module computes, with `values` in place."""
    text = computed_in(module).find_text("tables", name)
    return Table(text.caption.format(**values), [column.format(**values) for column in text.columns], rows)


def conclude(module: str, name: str, **values: Any) -> str:
    """The conclusion in the Markdown of the topic that the module computes, with `values` in place."""
    return str(computed_in(module).find_text("conclusions", name)).format(**values)


@dataclass(frozen=True)
class Result:
    """What came out of a topic. The same seed gives the same, but for `costs`.

    Attributes:
        checks: what has to hold; one that does not is an error of this program.
        figures: by file name without its ending; the topic's Markdown says what each shows.
        hypotheses: what was to be found out.
        tables: results that repeat exactly.
        conclusion: what came out, in a sentence or two made from the numbers.
        play: a network of the topic, to draw into, as pages.play.describe gives it; empty: none.
        costs: tables of seconds and memory, which no rerun repeats.
    """

    checks: Sequence[Check]
    figures: dict[str, "Figure"]
    hypotheses: Sequence["Hypothesis"] = ()
    tables: Sequence[Table] = ()
    conclusion: str = ""
    play: Mapping[str, Any] = field(default_factory=dict)
    costs: Sequence[Table] = field(default=())
