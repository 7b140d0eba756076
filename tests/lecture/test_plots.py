"""What the lecture's figures have in common: titles from Markdown, panels below them, means with their intervals."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from filterlab.lecture import plots
from filterlab.study.statistics import summarize
from filterlab.visualization.style import BLUE, HEADER, ORANGE


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_a_figure_has_the_title_of_its_topic_with_the_values_in_it() -> None:
    figure = plots.new_figure("line", "line", 11.5, 4.2, points=50, b0=1.0, b1=2.5, noise=0.3)
    assert texts(figure) == [
        "A line, found step by step",
        "50 points drawn from y = 1 + 2.5 x and noise of standard deviation 0.3",
    ]
    with pytest.raises(KeyError, match="points"):
        plots.new_figure("line", "line", 11.5, 4.2, b0=1.0, b1=2.5, noise=0.3)


def test_panels_with_long_labels_lie_below_the_title_and_beside_each_other() -> None:
    figure = plots.new_figure("bump", "bump", 9.0, 4.0)
    panels = plots.add_panels(figure, rows=2, columns=2)
    for axes in panels:
        axes.set(title="two\nlines", ylabel="a label", yticks=[0, 1], yticklabels=["a very long tick", "x"])
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox().transformed(figure.transFigure.inverted()) for axes in panels]
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 - HEADER / 5 + 1e-6 for box in boxes)
    assert boxes[0].x1 <= boxes[1].x0 and boxes[2].x1 <= boxes[3].x0 and boxes[2].y1 <= boxes[0].y0


def test_bars_reach_the_ends_of_the_intervals() -> None:
    groups = [[1.0, 2.0, 4.0], [5.0, 5.5, 7.0]]
    means, ends = plots.means_and_bars(groups)
    for place, found in enumerate(map(summarize, groups)):
        assert means[place] == found.mean
        np.testing.assert_allclose([means[place] - ends[0, place], means[place] + ends[1, place]], [found.low, found.high])
    assert plots.means_and_bars([[1.0, 3.0]])[1].tolist() == [[0.0], [0.0]], "two values are no interval"


def test_panels_share_the_widest_limits() -> None:
    panels = Figure().subplots(1, 2)
    panels[0].set_ylim(0, 3)
    panels[1].set_ylim(-1, 2)
    plots.share_limits(panels)
    assert [axes.get_ylim() for axes in panels] == [(-1, 3)] * 2


def test_a_network_has_a_line_for_each_weight_but_zero() -> None:
    figure = plots.new_figure("bump", "bump", 9.0, 4.0)
    (axes,) = plots.add_panels(figure)
    weights = [np.array([[1.0, 0.0], [-4.0, 2.0]]), np.array([[-2.0], [0.0]])]
    fills = [np.array([0.5, -1.0]), np.array([0.0, 1.0]), np.array([2.0])]
    plots.draw_network(axes, [["a", "b"], ["c", "d"], ["e"]], weights, fills=fills, written=True)
    lines = {tuple(line.get_xdata()): [] for line in axes.lines}  # type: ignore[arg-type, var-annotated]
    for line in axes.lines:
        lines[tuple(line.get_xdata())].append((line.get_linewidth(), line.get_color()))  # type: ignore[arg-type]
    assert lines == {(0, 1): [(1.5, ORANGE), (4.5, BLUE), (2.5, ORANGE)], (1, 2): [(2.5, BLUE)]}
    assert [text.get_text() for text in axes.texts] == ["+1", "-4", "+2", "-2", "a", "b", "c", "d", "e"]
    places = [tuple(place) for units in axes.collections for place in units.get_offsets()]
    assert places == [(0, 0.5), (0, -0.5), (1, 0.5), (1, -0.5), (2, 0)]
    assert [list(units.get_array()) for units in axes.collections] == [[0.5, -1.0], [0.0, 1.0], [2.0]]
