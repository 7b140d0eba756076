"""The metric against each swept key: a panel a key."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.study.measure import Measure
from filterlab.study.scale import Scale, Swept, scattered, shortened, swept, thinned
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet

PANELS = 9
GROUPED = 12  # values at most that have means of their own even where they are rare
LINES = 40  # a panel
EDGE = 0.12  # from the outermost value to the panel's edge, where all values span 1

Rows = Sequence[Mapping[str, str]]
Ends = tuple[float, float, float]  # place, and the ends of the interval there
Interval = Callable[[NDArray[np.float64]], tuple[float, float, float]]


def draw_swept_values(rows: Rows, values: Sequence[float], *, measure: Measure, interval: Interval, subject: str) -> Figure:
    """Every training a dot, and for each value of a key the mean over all trainings that have it, whatever else was swept.

    Thin lines join the means of settings that differ in this key alone. A number that was searched rather than chosen, with
    more than 12 values that rarely come twice, has the median and the middle half of neighboring trials instead. The panels
    share one vertical scale.

    rows: for each of N trials its value, as text, of each swept key, at least one; values: N finite numbers; interval: from some
    of them to their mean and its 95 % interval, whose ends may be nan.
    """
    given = np.asarray(values, np.float64)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    shown = keys[:PANELS]
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    width, tall = {1: 5.6, 2: 4.4, 3: 3.6}[columns], 2.9
    places = [swept([row.get(key, "") for row in rows], merit=measure.merit(given)) for key in shown]
    below = 0.75 + max(0.085 * _longest(axis) if _upright(axis, width) else 0.0 for axis in places)
    joined = [list(_joined(rows, key, axis, given)) for key, axis in zip(shown, places, strict=True)]
    scale, word = measure.scale(given)
    drawn = sheet(
        f"What each choice does to {measure.name}",
        caption=f"{subject}. Dots: trainings"
        + ("; bars: mean and 95 % interval" if any(map(_repeated, places)) else "")
        + ("; bands: median and middle half" if any(map(_searched, places)) else "")
        + ("; lines: all else equal" if any(joined) else "")
        + (f"; the first {PANELS} of {len(keys)} swept values" if len(keys) > PANELS else "")
        + (f"; {word}" if word else ""),
        width=columns * (width + 0.85) + 2 * MARGIN,
        height=lines * (tall + below) + (lines - 1) * 0.2 + 0.1,
    )
    panels: list[Axes] = []
    intervals: list[list[Ends]] = []
    for place, (key, axis, lines_of) in enumerate(zip(shown, places, joined, strict=True)):
        line, column = divmod(place, columns)
        left = MARGIN + 0.6 + column * (width + 0.85)
        bottom = below + (lines - 1 - line) * (tall + below + 0.2)
        axes = panel(drawn, left=left, bottom=bottom, width=width, height=tall)
        for at, means in lines_of:
            axes.plot(at, scale.forward(means), color=MUTED, linewidth=0.9, alpha=0.6, zorder=1.5)
        _dots(axes, axis, given, measure=measure, scale=scale)
        if _searched(axis):
            _medians(axes, axis, given, scale=scale)
            intervals.append([])
        else:
            intervals.append(_means(axes, axis, given, scale=scale, interval=interval))
        panels.append(axes)
        _horizontal(axes, axis, width)
        axes.set_xlabel(f"{key} (logarithmic)" if axis.kind == "log" else key, fontsize=11, color=INK)
        if column == 0:
            axes.set_ylabel(measure.label, fontsize=11, color=INK)
    limits = _limits(scale.forward(given), [ends for found in intervals for ends in found])
    for axes, found in zip(panels, intervals, strict=True):
        _vertical(axes, scale, limits, found)
    return drawn


def _joined(rows: Rows, key: str, axis: Swept, values: NDArray[np.float64]) -> Iterator[tuple[list[float], list[float]]]:
    """Places and mean values of the settings that differ in `key` alone; none where they would be more than 40 lines."""
    groups: dict[tuple[tuple[str, str], ...], dict[float, list[float]]] = {}
    for row, place, value in zip(rows, axis.places.tolist(), values.tolist(), strict=True):
        if not np.isnan(place):
            rest = tuple(sorted((other, text) for other, text in row.items() if other != key))
            groups.setdefault(rest, {}).setdefault(place, []).append(value)
    several = [group for group in groups.values() if len(group) > 1]
    if len(several) <= LINES and len(groups) > 1:
        for group in several:
            yield sorted(group), [float(np.mean(group[place])) for place in sorted(group)]


def _dots(axes: Axes, axis: Swept, values: NDArray[np.float64], *, measure: Measure, scale: Scale) -> None:
    moved = scattered(axis.places, measure.merit(values), width=0.0 if _searched(axis) else min(0.1, 0.45 * _apart(axis)))
    alpha = float(np.clip(40 / len(values), 0.12, 0.5))
    axes.plot(axis.places + moved, scale.forward(values), "o", color=BLUE, alpha=alpha, markersize=5, markeredgewidth=0)


def _means(axes: Axes, axis: Swept, values: NDArray[np.float64], *, scale: Scale, interval: Interval) -> list[Ends]:
    """Mean and interval of each value."""
    half = min(0.03, 0.3 * _apart(axis))
    intervals = []
    for place in np.unique(axis.places[~np.isnan(axis.places)]):
        here = values[axis.places == place]
        if len(here) == 1:
            continue  # a dot is its own mean
        mean, low, high = interval(here)
        middle = scale.forward(mean)
        axes.plot([place - half, place + half], [middle, middle], color=ORANGE, linewidth=2.5, solid_capstyle="butt", zorder=3)
        if not np.isnan(low):
            start, end = scale.forward([low, high])
            axes.vlines(place, start, end, color=ORANGE, linewidth=1.6, zorder=3)
            intervals.append((float(place), float(start), float(end)))
    return intervals


def _medians(axes: Axes, axis: Swept, values: NDArray[np.float64], *, scale: Scale) -> None:
    """Median and quartiles of at most 6 groups of neighbors: a few failed trainings among them would rule a mean."""
    has = np.flatnonzero(~np.isnan(axis.places))
    order = has[np.argsort(axis.places[has], kind="stable")]
    for group in np.array_split(order, max(2, min(6, len(order) // 6))):
        low, median, high = scale.forward(np.quantile(values[group], [0.25, 0.5, 0.75]))
        across = [axis.places[group].min(), axis.places[group].max()]
        axes.fill_between(across, low, high, color=ORANGE, alpha=0.2, linewidth=0)
        axes.plot(across, [median, median], color=ORANGE, linewidth=2.5, solid_capstyle="butt", zorder=3)


def _limits(drawn: NDArray[np.float64], intervals: Sequence[Ends]) -> tuple[float, float]:
    """Room for all dots, and for long intervals as far as the dots stay apart."""
    low, high = float(drawn.min()), float(drawn.max())
    span = high - low or 0.1 * (abs(low) or 1)
    bottom = max(min([low, *(start for _, start, _ in intervals)]), low - 0.3 * span)
    top = min(max([high, *(end for _, _, end in intervals)]), high + 0.3 * span)
    return bottom - 0.06 * span, top + 0.06 * span


def _vertical(axes: Axes, scale: Scale, limits: tuple[float, float], intervals: Sequence[Ends]) -> None:
    """An arrow where an interval goes on beyond the panel, or beyond where a logarithmic scale ends."""
    bottom, top = limits
    axes.set_ylim(bottom, top)
    least, most = scale.forward([-np.inf, np.inf])
    for place, start, end in intervals:
        if start < bottom or start <= least:
            axes.plot(place, max(bottom, start), "v", color=ORANGE, markersize=6, clip_on=False, zorder=3)
        if end > top or end >= most:
            axes.plot(place, min(top, end), "^", color=ORANGE, markersize=6, clip_on=False, zorder=3)
    ticks = thinned([tick for tick in scale.ticks if bottom <= tick[0] <= top], gap=0.09 * (top - bottom))
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _horizontal(axes: Axes, axis: Swept, width: float) -> None:
    upright = _upright(axis, width)
    gap = 0.2 if upright else 0.09 * _longest(axis) + 0.12  # inches
    ticks = thinned(axis.ticks, gap=gap * (1 + 2 * EDGE) / width)
    labels = [shortened(label, limit=18) for _, label in ticks]
    axes.set_xticks([place for place, _ in ticks], labels, rotation=90 if upright else 0)
    axes.set_xlim(-EDGE, 1 + EDGE)


def _searched(axis: Swept) -> bool:
    """Whether the values are too many, and each is too rare, for means of their own."""
    places = axis.places[~np.isnan(axis.places)]
    different = len(np.unique(places))
    return axis.kind != "named" and different > GROUPED and len(places) < 3 * different


def _repeated(axis: Swept) -> bool:
    places = axis.places[~np.isnan(axis.places)]
    return not _searched(axis) and len(np.unique(places)) < len(places)


def _apart(axis: Swept) -> float:
    """The smallest distance between two places."""
    return float(np.diff(np.unique(axis.places[~np.isnan(axis.places)])).min(initial=0.25))


def _longest(axis: Swept) -> int:
    return max(len(shortened(label, limit=18)) for _, label in axis.ticks)


def _upright(axis: Swept, width: float) -> bool:
    """Whether names have to stand because they would touch side by side; of numbers some are left out instead."""
    return axis.kind == "named" and (0.09 * _longest(axis) + 0.12) * (len(axis.ticks) - 1) > width / (1 + 2 * EDGE)
