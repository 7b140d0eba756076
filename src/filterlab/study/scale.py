"""Axis scales and tick labels for numbers and names."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDE = 20  # values that span more than this factor are drawn logarithmically
WRITTEN = 10  # that many different numbers are all written beside an axis; of more, round numbers are

Ticks = list[tuple[float, str]]  # place, label


@dataclass(frozen=True)
class Scale:
    """forward: from values to places on the axis. ticks: by place."""

    forward: Callable[[ArrayLike], NDArray[np.float64]]
    ticks: Ticks


@dataclass(frozen=True)
class Swept:
    """Where the N trials lie on the axis of a swept key.

    Attributes:
        places: (N,), in [0, 1]; nan where a trial has no value of the key.
        ticks: by place; of numbers the smallest first, of names the worst first.
        kind: "linear", "log" or "named".
    """

    places: NDArray[np.float64]
    ticks: Ticks
    kind: str


def linear(low: float, high: float, *, unit: float = 1.0) -> Scale:
    """Places are the values; the labels are in `unit`, e.g. 0.01 for percent."""
    if low == high:
        return Scale(lambda values: np.asarray(values, np.float64), [(low, f"{low / unit:.6g}")])
    from matplotlib.ticker import MaxNLocator  # late: tables need what is below, and no figures

    found = np.unique(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low / unit, high / unit))
    step = float(found[1] - found[0])
    digits = next((digits for digits in range(9) if abs(round(step, digits) - step) < step / 100), 9)
    inside = found[(found >= low / unit - step / 1000) & (found <= high / unit + step / 1000)]
    return Scale(lambda values: np.asarray(values, np.float64), [(float(at) * unit, f"{at:.{digits}f}") for at in inside])


def logarithmic(low: float, high: float) -> Scale:
    """Places are decimal logarithms: 0 < low <= high. What lies below low / 2 is drawn there."""
    ticks = [(math.log10(value), number(value)) for value in round_numbers(low, high)]
    return Scale(lambda values: np.log10(np.maximum(np.asarray(values, np.float64), low / 2)), ticks)


def round_numbers(low: float, high: float) -> list[float]:
    """Powers of ten from low to high, both positive, and what an axis has room for between them."""
    decades = math.log10(high / low)
    heads = [1, 1.5, 2, 3, 5, 7] if decades < 1.7 else [1, 2, 5] if decades < 2.5 else [1, 3] if decades < 4 else [1]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [head * 10.0**power for power in powers for head in heads]
    return [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def number(value: float) -> str:
    """Whole numbers in full, others in three digits."""
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else f"{value:.3g}"


def numbers(texts: Sequence[str]) -> list[float] | None:
    """The texts as finite numbers; None where one of them isn't any."""
    try:
        found = [float(text) for text in texts]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None


def swept(texts: Sequence[str], *, merit: ArrayLike) -> Swept:
    """texts: a key's N values, "" where a trial has none; merit: (N,), greater is better.

    Numbers lie by value, logarithmically where they are positive and span more than a factor of 20. Anything else lies by name,
    in the order of the mean merit, evenly spaced.
    """
    has = np.array([bool(text) for text in texts])
    present = [text for text in texts if text]
    found = numbers(present)
    if found is None:
        merits: dict[str, list[float]] = {}
        for text, good in zip(texts, np.asarray(merit), strict=True):
            merits.setdefault(text, []).append(float(good))
        merits.pop("", None)
        order = sorted(merits, key=lambda text: float(np.mean(merits[text])))
        at, ticks, kind = (
            [float(order.index(text)) for text in present],
            [(float(place), text) for place, text in enumerate(order)],
            "named",
        )
    else:
        low, high = min(found), max(found)
        log = low > 0 and high / low > WIDE
        scale = logarithmic(low, high) if log else linear(low, high)
        at, kind = scale.forward(found).tolist(), "log" if log else "linear"
        distinct = sorted(set(found))
        written = [(float(scale.forward(value)), number(value)) for value in distinct]
        ticks = written if len(distinct) <= WRITTEN else scale.ticks
    start, end = min(at), max(at)

    def place(value: float) -> float:
        return (value - start) / (end - start) if end > start else 0.5

    places = np.full(len(texts), np.nan)
    places[has] = [place(value) for value in at]
    return Swept(places, [(place(value), label) for value, label in ticks], kind)


def thinned(ticks: Ticks, *, gap: float) -> Ticks:
    """The first, the last, and of those between as many as lie at least `gap` apart."""
    first, *between, last = sorted(ticks) if len(ticks) > 1 else [*ticks, *ticks]
    kept = [first]
    for tick in between:
        if tick[0] - kept[-1][0] >= gap and last[0] - tick[0] >= gap:
            kept.append(tick)
    return [*kept, last] if last[0] - first[0] >= gap else kept


def shortened(text: str, *, limit: int) -> str:
    """Beginning and end of a text of more than `limit` characters."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def spread(places: NDArray[np.float64], merit: NDArray[np.float64], *, width: float) -> NDArray[np.float64]:
    """(N,) distances, at most width / 2, that fan out trials of the same place, the best highest; 0 where one is alone."""
    moved = np.zeros(len(places))
    for here in _together(places, merit):
        moved[here] = np.linspace(-0.5, 0.5, len(here)) * width if len(here) > 1 else 0.0
    return moved


def scattered(places: NDArray[np.float64], merit: NDArray[np.float64], *, width: float) -> NDArray[np.float64]:
    """As `spread`, but without an order: neighbors in merit get far apart (van der Corput's sequence in base 2)."""
    moved = np.zeros(len(places))
    for here in _together(places, merit):
        bits = max(1, (len(here) - 1).bit_length())
        turned = np.argsort([int(f"{rank:0{bits}b}"[::-1], 2) for rank in range(len(here))])
        moved[here[turned]] = np.linspace(-0.5, 0.5, len(here)) * width if len(here) > 1 else 0.0
    return moved


def _together(places: NDArray[np.float64], merit: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """The indices of each place, the worst first."""
    for place in np.unique(places[~np.isnan(places)]):
        here = np.flatnonzero(places == place)
        yield here[np.argsort(merit[here], kind="stable")]
