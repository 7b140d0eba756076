"""Topic 10: the lecture's edge filter on its window of a seven, and pooling, every integer of it."""

import numpy as np
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from filterlab.lecture.context import Context
from filterlab.lecture.plots import add_panels, new_figure, show_image
from filterlab.lecture.result import Result, equal
from filterlab.visualization.style import INK

WINDOW = [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 3, 7, 6, 6], [0, 0, 9, 10, 10, 10], [0, 0, 3, 4, 3, 4]]
FILTERED = [[3, 7, 3, -1], [12, 17, 4, -1], [15, 21, 4, -1]]
POOLED = [[17, 17, 4], [21, 21, 4]]
EDGE = np.array([[-1, 0, 1]] * 3)


def apply_edge_filter(context: Context) -> Result:
    seven = context.test.images[0, 0]
    cut = window(seven)
    filtered = correlate(cut, EDGE)
    pooled = max_pool(filtered)
    whole = correlate(seven.astype(np.int64), EDGE)
    return Result(
        checks=[
            equal("label of the image", int(context.test.labels[0]), 7),
            equal("the window, in tenths", cut.tolist(), WINDOW),
            equal("filtered", filtered.tolist(), FILTERED),
            equal("pooled", pooled.tolist(), POOLED),
            equal("flipping the filter negates every entry", bool((correlate(cut, EDGE[::-1, ::-1]) == -filtered).all()), True),
        ],
        figures={"window": plot_numbers(cut, filtered, pooled), "seven": plot_seven(seven, whole)},
    )


def window(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(5, 6): rows 5-9, columns 4-9 of a (28, 28) image, in tenths of 255."""
    return np.round(image[5:10, 4:10] / 25.5).astype(np.int64)


def correlate(image: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Valid, stride 1: (H, W) and (R, S) -> (H - R + 1, W - S + 1)."""
    return np.einsum("ijuv,uv->ij", sliding_window_view(image, weights.shape), weights)


def max_pool(maps: NDArray[np.int64]) -> NDArray[np.int64]:
    """2x2, stride 1: (H, W) -> (H - 1, W - 1)."""
    return sliding_window_view(maps, (2, 2)).max(axis=(2, 3))


def plot_numbers(cut: NDArray[np.int64], filtered: NDArray[np.int64], pooled: NDArray[np.int64]) -> Figure:
    drawn = new_figure("edge_filter", "window", 11.5, 3.4)
    grids = {"the window, 5x6": cut, "the filter, 3x3": EDGE, "filtered, 3x4": filtered, "pooled, 2x3": pooled}
    widths = [grid.shape[1] for grid in grids.values()]
    for axes, (name, grid) in zip(add_panels(drawn, columns=4, width_ratios=widths), grids.items(), strict=True):
        gray = grid is cut
        show_image(axes, grid, name, limit=10 if gray else 21, gray=gray)
        axes.set_anchor("N")
        for (row, column), value in np.ndenumerate(grid):
            dark = value < 6 if gray else abs(value) > 13
            axes.text(column, row, str(value), ha="center", va="center", fontsize=12, color="white" if dark else INK)
    return drawn


def plot_seven(seven: NDArray[np.uint8], whole: NDArray[np.int64]) -> Figure:
    drawn = new_figure("edge_filter", "seven", 9.0, 4.3)
    left, right = add_panels(drawn, columns=2)
    show_image(left, seven, "the image", limit=255, gray=True)
    show_image(right, whole, "filtered, 26x26", limit=765)
    left.plot([3.5, 9.5, 9.5, 3.5, 3.5], [4.5, 4.5, 9.5, 9.5, 4.5], color="#e69f00")
    return drawn
