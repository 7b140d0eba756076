"""What several topics' figures have in common, beside visualization/style.py."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from filterlab.lecture.result import Floats
from filterlab.lecture.topic import computed_in
from filterlab.study.statistics import summarize
from filterlab.visualization.style import BLUE, FAINT, HEADER, MARGIN, MUTED, ORANGE, SIGNED, bare, sheet


def new_figure(module: str, name: str, width: float, height: float, **values: Any) -> Figure:
    """An empty figure, sizes in inches, under the title and subtitle in the Markdown of the topic that the module computes.

    values: what takes the places in them.
    """
    texts = computed_in(module).find_text("figures", name)
    return sheet(texts.title.format(**values), caption=texts.subtitle.format(**values), width=width, height=height)


def add_panels(figure: Figure, rows: int = 1, columns: int = 1, *, grid: Any = None, **how: Any) -> list[Axes]:
    """Panels below the figure's title, row by row, as large as their labels let them (matplotlib's constrained layout).

    grid: names of the panels by row and column, as `Figure.subplot_mosaic` takes them: one that is named twice is as large.
    """
    width, height = figure.get_size_inches()
    edge = MARGIN / width
    layout = ConstrainedLayoutEngine(rect=(edge, 0.02, 1 - 2 * edge, 0.98 - HEADER / height), wspace=0.06, hspace=0.06)
    figure.set_layout_engine(layout)
    if grid is not None:
        panels = list(figure.subplot_mosaic(grid, **how).values())
    else:
        panels = list(figure.subplots(rows, columns, squeeze=False, **how).flat)
    for axes in panels:
        axes.tick_params(labelsize=10, colors=MUTED, length=3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
    return panels


def show_image(axes: Axes, image: NDArray[Any], title: str, *, limit: float, gray: bool = False) -> AxesImage:
    """Pixels, gray from 0 to `limit`, or blue and red to either side of 0; no ticks."""
    bare(axes)
    axes.set_title(title)
    return axes.imshow(image, cmap="gray" if gray else SIGNED, vmin=0 if gray else -limit, vmax=limit, interpolation="nearest")


def add_color_scale(figure: Figure, image: AxesImage, panels: Sequence[Axes], *, label: str) -> None:
    """A color bar to the right of the panels."""
    bar = figure.colorbar(image, ax=list(panels), aspect=25, pad=0.02, label=label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=10, colors=MUTED, length=3)


def draw_network(
    axes: Axes,
    labels: Sequence[Sequence[str]],
    weights: Sequence[Floats],
    *,
    colors: tuple[str, str] = (BLUE, ORANGE),
    fills: Sequence[Floats] = (),
    written: bool = False,
    thickest: float = 4.5,
) -> None:
    """A network from left to right: a circle with its label for each unit, a line for each weight other than 0.

    weights: (below, above) between each two layers; a line is as wide as the weight is large, up to `thickest`, and has one of
    `colors`, of negative and of positive ones; `written`: the number stands on it. fills: the units' values, which color them.
    """
    bare(axes)
    axes.margins(0.08, 0.12)
    tall = max(len(layer) for layer in labels)
    heights = [tall * (0.5 - (np.arange(len(layer)) + 0.5) / len(layer)) for layer in labels]
    widest = max(np.abs(given).max() for given in weights)
    for place, given in enumerate(weights):
        for (low, high), weight in np.ndenumerate(given):
            ends, color = [heights[place][low], heights[place + 1][high]], colors[int(weight > 0)]
            if weight:
                axes.plot(
                    [place, place + 1],
                    ends,
                    color=color,
                    linewidth=0.5 + (thickest - 0.5) * abs(weight) / widest,
                    alpha=0.6,
                    zorder=1,
                )
            if weight and written:
                text = axes.text(
                    place + 0.5, float(np.mean(ends)), f"{weight:+g}", color=color, ha="center", va="center", fontsize=11
                )
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    limit = 1.8 * max((np.abs(fill).max() for fill in fills), default=1.0)  # so that black stays readable on the strongest color
    for place, (layer, height) in enumerate(zip(labels, heights, strict=True)):
        fill = fills[place] if fills else np.zeros(len(layer))
        look: dict[str, Any] = {"c": fill, "cmap": SIGNED, "vmin": -limit, "vmax": limit}
        axes.scatter([place] * len(layer), height, s=1700, edgecolors=MUTED, zorder=2, **look)
        for label, up in zip(layer, height, strict=True):
            axes.text(place, up, label, ha="center", va="center", zorder=3)


def set_log_percent(axes: Axes) -> None:
    """A logarithmic axis of percentages, with ticks at 1, 2, 3 and 5 of each power of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def share_limits(panels: Sequence[Axes]) -> None:
    """The same vertical scale for all."""
    limits = np.array([axes.get_ylim() for axes in panels])
    for axes in panels:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def means_and_bars(groups: Iterable[Iterable[float]]) -> tuple[Floats, Floats]:
    """(N,) means of N groups, and (2, N) how far their 95 % intervals reach below and above, as `Axes.errorbar` takes them.

    Of fewer than three values, as of the quick budget's two seeds, no interval is drawn: it would be wider than the figure.
    """
    found = [summarize(group) for group in groups]
    means = np.array([one.mean for one in found])
    bars = np.array([means - [one.low for one in found], [one.high for one in found] - means])
    return means, np.where([one.n > 2 for one in found], bars, 0.0)
