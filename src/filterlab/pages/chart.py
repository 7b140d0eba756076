"""Curves as inline SVG: whole without a script; chart.js says a point's values where the pointer or the arrow keys are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 480, 270  # of the drawing's own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 34
COLORS = 6  # of lines, in page.css: --line-0 and on


@dataclass(frozen=True)
class Line:
    """values: one an epoch, from epoch 1; nan is left out. color: a number; dashed: of another kind than the line beside it."""

    name: str
    values: Sequence[float]
    color: int = 0
    dashed: bool = False


def chart(title: str, lines: Sequence[Line], *, share: bool, marked: int = 0) -> dict[str, Any]:
    """What chart.html.jinja draws.

    Args:
        share: the values are shares, written in %; else losses, on a logarithmic scale where they span a factor of 10.
        marked: an epoch that a line stands at, and that is told of at first; 0: none.
    """
    finite = [value for line in lines for value in line.values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    log = not share and low > 0 and high / low > 10
    ticks = logarithmic_ticks(low, high) if log else even_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    epochs = max(len(line.values) for line in lines)

    def x(epoch: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (0.5 if epochs == 1 else (epoch - 1) / (epochs - 1)), 1)

    def y(value: float) -> float:
        a, b, c = (math.log(each) if log else each for each in (low, high, value))
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ((c - a) / (b - a) if b > a else 0.5), 1)

    def points(line: Line) -> list[tuple[float, float]]:
        return [(x(epoch), y(value)) for epoch, value in enumerate(line.values, start=1) if math.isfinite(value)]

    steps = sorted({1, epochs} | {round(step) for step in even_ticks(1, epochs) if 1 < step < epochs and step == round(step)})
    return {
        "title": title,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "log": log,
        "lines": [
            {"name": line.name, "color": line.color % COLORS, "dashed": line.dashed, "points": points(line)} for line in lines
        ],
        "x": [(x(step), str(step)) for step in apart(steps, epochs)],
        "y": [(y(tick), f"{100 * tick:g} %" if share else f"{tick:g}") for tick in ticks],
        "marked": (x(marked), marked) if marked else (x(epochs), epochs),
        "told": {
            "x": [x(epoch) for epoch in range(1, epochs + 1)],
            "values": [[written(value, share=share) for value in line.values] for line in lines],
        },
    }


def written(value: float, *, share: bool) -> str:
    return "none" if not math.isfinite(value) else f"{100 * value:.2f} %" if share else f"{value:.4f}"


def even_ticks(low: float, high: float) -> list[float]:
    """Some five round numbers that reach from `low` or less to `high` or more."""
    span = high - low or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten that reach from `low` or less to `high` or more; powers alone where they are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    ticks = [round(factor * 10.0**power, 12) for power in powers for factor in factors]
    first = max((place for place, tick in enumerate(ticks) if tick <= low), default=0)
    last = next((place for place, tick in enumerate(ticks) if tick >= high), len(ticks) - 1)
    return ticks[first : last + 1]


def apart(steps: Sequence[int], epochs: int) -> list[int]:
    """Without those that the last would stand upon."""
    return [step for step in steps if step == epochs or (epochs - step) / max(epochs, 1) > 0.06]
