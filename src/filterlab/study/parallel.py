"""Parallel coordinates of a sweep: a line a trial, through its values to its result."""

import itertools
import textwrap
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from filterlab.study.measure import Measure
from filterlab.study.scale import Ticks, shortened, spread, swept, thinned
from filterlab.visualization.style import BLUE, INK, MARGIN, MUTED, ORANGE, bare, panel, sheet

AXES = 9  # of swept keys at most
NONE = -0.14  # where a line passes an axis that its trial has no value of
MERIT = LinearSegmentedColormap.from_list("merit", ["#d5dde5", "#7fb2d6", BLUE, "#06304f"])  # worst to best


def draw_parallel(
    rows: Sequence[Mapping[str, str]], values: Sequence[float], *, measure: Measure, best: Collection[int], subject: str
) -> Figure:
    """One vertical axis a swept key and one for the measure; numbers lie on a linear or logarithmic axis, names evenly spaced.

    rows: for each of N trials its value, as text, of each swept key, at least one; values: N finite numbers, the lines' color;
    best: indices of the lines that are drawn in orange.
    """
    given = np.asarray(values, np.float64)
    merit = measure.merit(given)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    shown = keys[:AXES]
    columns = [swept([row.get(key, "") for row in rows], merit=merit) for key in shown]
    scale, word = measure.scale(given)
    outcome = scale.forward(given)
    low, high = float(outcome.min()), float(outcome.max())
    ticks = [((place - low) / (high - low) if high > low else 0.5, label) for place, label in scale.ticks]
    height = (outcome - low) / (high - low) if high > low else np.full(len(given), 0.5)
    # Where several lines pass through one value they are fanned out, so that each can be followed.
    places = [np.where(np.isnan(axis.places), NONE, axis.places) for axis in columns]
    levels = [at + spread(at, merit, width=min(0.08, 0.5 * _distance(at))) for at in places]

    unset = any(np.isnan(axis.places).any() for axis in columns)
    floor = NONE - 0.04 if unset else -0.06
    across = 10.2 if len(shown) < 4 else 2.5 * len(shown) + 1.2
    tall = 4.6
    some = f"; the first {AXES} of {len(keys)} swept values" if len(keys) > AXES else ""
    drawn = sheet(
        f"Which choices lead to which {measure.name}",
        caption=f"{subject}. A line a training{some}"
        + ("; orange: the best setting" if best else "")
        + (f"; {measure.name} {word}" if word else "")
        + ("; “none”: not set" if unset else ""),
        width=across + 2 * MARGIN,
        height=tall + MARGIN,
    )
    labels = [shortened(label, limit=14) for _, label in columns[0].ticks]
    left = MARGIN + max(0.1 * max(map(len, labels)), 0.05 * len(shortened(keys[0], limit=20)))
    axes = panel(drawn, left=left, bottom=MARGIN, width=drawn.get_size_inches()[0] - left - MARGIN - 0.75, height=tall)
    bare(axes)
    axes.set(xlim=(-0.02, len(shown) + 0.02), ylim=(floor, 1.17))
    order = np.argsort(merit, kind="stable")  # the best on top
    ordinary, chosen = [i for i in order if i not in best], [i for i in order if i in best]
    paths = _paths([*levels, height])
    merits = height if measure.higher_is_better else 1 - height
    alpha = float(np.clip(30 / len(rows), 0.25, 0.9))
    lines = LineCollection(list(paths[ordinary]), array=merits[ordinary], cmap=MERIT, alpha=alpha, linewidths=1.5)
    lines.set_clim(0, 1)
    axes.add_collection(lines)
    axes.add_collection(LineCollection(list(paths[chosen]), colors=ORANGE, linewidths=2.4))
    for place, (key, axis) in enumerate(zip(shown, columns, strict=True)):
        none = [(NONE, "none")] if np.isnan(axis.places).any() else []
        there = levels[place][~np.isnan(axis.places)]
        ends = (min(0.0, float(there.min())), max(1.0, float(there.max())))
        _axis(axes, place, thinned(axis.ticks, gap=0.055) + none, ends=ends, title=shortened(key, limit=20))
        if axis.kind == "log":
            axes.text(place, 1.065, "logarithmic", fontsize=9, color=MUTED, ha="center", va="center")
    strip = (len(shown), len(shown) + 0.035 * len(shown) / 3)
    colors = np.linspace(0, 1, 256) if measure.higher_is_better else np.linspace(1, 0, 256)
    axes.imshow(colors[:, None], cmap=MERIT, vmin=0, vmax=1, extent=(*strip, 0, 1), origin="lower", aspect="auto", zorder=3)
    axes.set(xlim=(-0.02, strip[1]), ylim=(floor, 1.17))
    for at, label in thinned([tick for tick in ticks if -0.001 <= tick[0] <= 1.001], gap=0.055):
        axes.annotate(label, (strip[1], at), (5, 0), textcoords="offset points", fontsize=10, color=INK, va="center")
    axes.annotate(
        textwrap.fill(measure.label, 14),
        (strip[1], 1.095),
        (38, 0),
        textcoords="offset points",
        fontsize=11,
        weight="bold",
        color=INK,
        ha="right",
        va="bottom",
    )
    return drawn


def _axis(axes: Axes, place: int, ticks: Ticks, *, ends: tuple[float, float], title: str) -> None:
    axes.plot([place, place], ends, color=INK, linewidth=1.2, zorder=3)
    axes.text(place, 1.12, title, fontsize=11, weight="bold", color=INK, ha="center", va="center")
    for at, label in ticks:
        axes.plot(place, at, marker="_", color=INK, markersize=7, zorder=4)
        axes.annotate(
            shortened(label, limit=14),
            (place, at),
            (-7, 0),
            textcoords="offset points",
            fontsize=10,
            color=INK,
            ha="right",
            va="center",
            zorder=5,
            path_effects=[withStroke(linewidth=3, foreground="white", alpha=0.85)],
        )


def _distance(places: NDArray[np.float64]) -> float:
    """The smallest between two neighbors; 1 where there is one place only."""
    return float(np.diff(np.unique(places)).min(initial=1.0))


def _paths(levels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(N, P, 2): curves that cross each axis at a right angle, so that the eye can follow one through it."""
    t = np.linspace(0, 1, 50)
    ease = t * t * (3 - 2 * t)
    parts = [
        np.stack([np.broadcast_to(place + t, (len(start), len(t))), start[:, None] + (end - start)[:, None] * ease], axis=-1)
        for place, (start, end) in enumerate(itertools.pairwise(levels))
    ]
    return np.concatenate(parts, axis=1)
