"""Topic 10: the lecture's edge filter on its window of a seven, and pooling, every integer of it."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from filterlab.lecture.lab import Lab
from filterlab.lecture.topic import Findings, Formula, Page, Shown, equal
from filterlab.visualization.style import INK, MARGIN, SIGNED, bare, panel, sheet

PAGE = Page(
    says="""\
A filter is a small window of weights that slides over the picture. At each place it multiplies what lies below it with its
weights and adds the products up: one number, large where the picture looks like the filter. Three rows of (-1, 0, +1) answer
strongly where dark lies to the left and bright to the right: an upright edge.

The window of the slides, near the tip of a seven, is the first test image of MNIST, rows 5 to 9, columns 4 to 9, its pixels
rounded to tenths of the brightest. The filter turns its 5x6 numbers into 3x4, and taking the largest of each 2x2 neighborhood
into 2x3. The highest values are the strongest dark-left, bright-right edges; pooling keeps that there is one and forgets
exactly where.""",
    formulas=[
        Formula(
            r"a_{ij} = \sum_{u=1}^{3} \sum_{v=1}^{3} w_{uv}\, x_{i+u-1,\; j+v-1}",
            "cross-correlation, which deep learning calls convolution (Goodfellow, Bengio, Courville 2016, equation 9.6)",
        ),
        Formula(r"p_{ij} = \max\left(a_{ij},\, a_{i,j+1},\, a_{i+1,j},\, a_{i+1,j+1}\right)", "max pooling, 2x2, stride 1"),
    ],
    correction="""\
The slide's caption calls the filtered window 3x5. Its picture and the formula have 3x4: six columns leave room for four places of
a filter three wide. And it is a cross-correlation: a convolution in the mathematical sense flips the filter first, which for this
one changes the sign of every number.""",
)
WINDOW = [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 3, 7, 6, 6], [0, 0, 9, 10, 10, 10], [0, 0, 3, 4, 3, 4]]
FILTERED = [[3, 7, 3, -1], [12, 17, 4, -1], [15, 21, 4, -1]]
POOLED = [[17, 17, 4], [21, 21, 4]]
EDGE = np.array([[-1, 0, 1]] * 3)


def run(lab: Lab) -> Findings:
    seven = lab.test.images[0, 0]
    cut = window(seven)
    filtered = correlate(cut, EDGE)
    pooled = max_pool(filtered)
    whole = correlate(seven.astype(np.int64), EDGE)
    return Findings(
        checks=[
            equal("label of the image", int(lab.test.labels[0]), 7),
            equal("the window, in tenths", cut.tolist(), WINDOW),
            equal("filtered", filtered.tolist(), FILTERED),
            equal("pooled", pooled.tolist(), POOLED),
            equal("flipping the filter negates every entry", bool((correlate(cut, EDGE[::-1, ::-1]) == -filtered).all()), True),
        ],
        figures={"window": numbers(cut, filtered, pooled), "seven": picture(seven, whole)},
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


def numbers(cut: NDArray[np.int64], filtered: NDArray[np.int64], pooled: NDArray[np.int64]) -> Shown:
    drawn = sheet("The window, filtered, pooled", caption="MNIST test image 0, rows 5-9, columns 4-9", width=11.5, height=3.4)
    left, cell = MARGIN, 0.5
    for grid, name, cmap, limits in [
        (cut, "the window, 5x6", "gray", (0, 10)),
        (EDGE, "the filter, 3x3", SIGNED, (-21, 21)),
        (filtered, "filtered, 3x4", SIGNED, (-21, 21)),
        (pooled, "pooled, 2x3", SIGNED, (-21, 21)),
    ]:
        rows, columns = grid.shape
        axes = panel(drawn, left=left, bottom=2.9 - rows * cell, width=columns * cell, height=rows * cell)
        bare(axes)
        axes.imshow(grid, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
        for (row, column), value in np.ndenumerate(grid):
            dark = value < 6 if cmap == "gray" else abs(value) > 13
            axes.text(column, row, str(value), ha="center", va="center", fontsize=12, color="white" if dark else INK)
        axes.set_title(name, fontsize=11, color=INK)
        left += columns * cell + 0.55
    return Shown(
        drawn,
        "Each number of the filtered window is the sum of nine products. Red: brighter to the right than to the left; blue: the "
        "other way round. The window is drawn in gray, the others on one color scale.",
    )


def picture(seven: NDArray[np.uint8], whole: NDArray[np.int64]) -> Shown:
    drawn = sheet(
        "The same filter on the whole seven", caption="MNIST test image 0, and its upright edges", width=9.0, height=4.3
    )
    shown: list[tuple[NDArray[np.integer], str, str, int]] = [
        (seven, "the image", "gray", 255),
        (whole, "filtered, 26x26", SIGNED, 765),
    ]
    for place, (image, name, cmap, limit) in enumerate(shown):
        axes = panel(drawn, left=MARGIN + place * 4.3, bottom=0.2, width=3.8, height=3.8)
        bare(axes)
        axes.imshow(image, cmap=cmap, vmin=0 if cmap == "gray" else -limit, vmax=limit)
        axes.set_title(name, fontsize=11, color=INK)
    axes = drawn.axes[0]
    axes.plot([3.5, 9.5, 9.5, 3.5, 3.5], [4.5, 4.5, 9.5, 9.5, 4.5], color="#e69f00", linewidth=2)
    return Shown(
        drawn,
        "Left edges of the strokes in red, right edges in blue; level strokes leave nothing but their ends. The frame "
        "is the window above.",
    )
