"""The figures of a sweep, small and large: drawn without a warning, named, nothing on top of anything else."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from filterlab.study import parallel, scale, setting_filters, sweep_curves, swept_values
from filterlab.study.measure import Measure
from filterlab.study.statistics import summarize
from filterlab.visualization.style import ORANGE

SUBJECT = "models-12ab34, 12 trials"
ACCURACY = Measure("validation accuracy", higher_is_better=True, share=True)
LOSS = Measure("validation loss", higher_is_better=False, share=False)
DRAW = np.random.default_rng(0)
Rows = list[dict[str, str]]

SMALL: Rows = [
    {"model": model, "lr": lr} for model, lr in itertools.product(["cnn", "mlp"], ["0.001", "0.003"]) for _ in range(3)
]
GRID: Rows = [{"size": f"{a}", "filters": f"{b}"} for a, b in itertools.product([3, 5, 9], [4, 16, 64]) for _ in range(3)]
SEARCH: Rows = [
    {
        "lr": repr(10 ** DRAW.uniform(-5, 0)),
        "dropout": repr(DRAW.uniform(0, 0.6)),
        "optimizer": str(DRAW.choice(["sgd", "adam"])),
        "batch_size": str(DRAW.choice([32, 64, 512])),
    }
    for _ in range(40)
]
NAMES: Rows = [{"model": f"a_rather_long_name_of_a_model_{number}", "epochs": "3"} for number in range(40)]
MIXED: Rows = [{"model": "cnn", "lr": "0.1"}, {"model": "cnn", "lr": "0.2"}, {"model": "mlp"}]
LONG: Rows = [
    {f"{word}_is_a_long_key_of_the_configuration": text for word in "abcd"} for text in ("x", "a_value_just_as_long", "y")
]
MANY: Rows = [{f"key{key}": str(number % (key + 2)) for key in range(14)} for number in range(30)]
WIDE = np.where(np.arange(40) % 5 == 0, 0.1, DRAW.uniform(0.95, 0.995, 40))


def values(rows: Rows) -> np.ndarray:
    return DRAW.uniform(0.97, 0.995, len(rows))


def across(rows: Rows, given: np.ndarray, measure: Measure = ACCURACY) -> Figure:
    return parallel.draw_parallel(rows, given.tolist(), measure=measure, best=[int(np.argmax(given))], subject=SUBJECT)


def interval(given: np.ndarray) -> tuple[float, float, float]:
    found = summarize(given.tolist())
    return found.mean, found.low, found.high


def single(rows: Rows, given: np.ndarray, measure: Measure = ACCURACY) -> Figure:
    return swept_values.draw_swept_values(rows, given.tolist(), measure=measure, interval=interval, subject=SUBJECT)


def learned(settings: int, seeds: int, epochs: int, measure: Measure = ACCURACY) -> Figure:
    rise = 1 - 0.5 * np.exp(-np.arange(epochs) / 2)
    given = [
        (
            f"model=number_{place} lr=0.{place}",
            [(rise * (0.99 - place / 500 - seed / 1000))[: epochs - seed] for seed in range(seeds)],
        )
        for place in range(settings)
    ]
    return sweep_curves.draw_curves(given, heading="model, lr", measure=measure, total=settings, subject=SUBJECT)


def layers(*shapes: tuple[int, ...], image_shape: tuple[int, int, int] = (1, 28, 28), name: str = "model=cnn") -> Figure:
    given = [(name, "99.41 % ± 0.05", DRAW.normal(size=shape).astype(np.float32)) for shape in shapes]
    return setting_filters.draw_filters(
        given, heading="model, optimizer.lr", image_shape=image_shape, total=len(given), subject=SUBJECT
    )


CASES: dict[str, Callable[[], Figure]] = {}
for kind, draw in [("parallel", across), ("swept values", single)]:
    for name, rows in {
        "small": SMALL,
        "grid": GRID,
        "search": SEARCH,
        "names": NAMES,
        "mixed": MIXED,
        "long keys": LONG,
        "many keys": MANY,
    }.items():
        CASES[f"{kind}, {name}"] = lambda draw=draw, rows=rows: draw(rows, values(rows))
    CASES |= {
        f"{kind}, failed search": lambda draw=draw: draw(SEARCH, WIDE),
        f"{kind}, losses": lambda draw=draw: draw(SEARCH, 1.2 - WIDE, LOSS),
        f"{kind}, one": lambda draw=draw: draw(SMALL[:1], np.array([0.5])),
        f"{kind}, all the same": lambda draw=draw: draw(SMALL, np.ones(12)),
        f"{kind}, no error": lambda draw=draw: draw(SEARCH, np.where(WIDE > 0.99, 1.0, WIDE)),
    }
CASES |= {
    "curves": lambda: learned(4, 3, 10),
    "one epoch": lambda: learned(2, 1, 1),
    "many settings": lambda: learned(40, 2, 40),
    "loss curves": lambda: learned(3, 2, 8, LOSS),
    "filters of all sizes": lambda: layers((4, 1, 3, 3), (64, 1, 9, 9), (16, 1, 5, 5)),
    "40 settings' filters": lambda: layers(
        *[(32, 1, 5, 5)] * 40, name="model=a_name_that_is_far_too_long_for_any_row lr=0.00125"
    ),
    "colored filters": lambda: layers((8, 3, 5, 5), image_shape=(3, 16, 16)),
    "dense and convolution": lambda: layers((256, 784), (1, 1, 3, 3)),
    "many channels": lambda: layers((2, 20, 3, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_is_named_and_readable(case: str) -> None:
    figure = CASES[case]()
    words = [text.get_text() for text in figure.texts]
    assert any(SUBJECT in word for word in words)
    figure.draw_without_rendering()
    whole = figure.bbox
    boxes = []
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible() and inside_axes(text):
            assert text.get_fontsize() >= 9, text
            boxes.append((text.get_text(), text.get_window_extent()))
    boxes += [("filters", axes.get_window_extent()) for axes in figure.axes if axes.images and axes.axison and not axes.lines]
    for text, box in boxes:
        assert whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1 and whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1, text
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        overlap = min(first.x1, second.x1) - max(first.x0, second.x0), min(first.y1, second.y1) - max(first.y0, second.y0)
        assert min(overlap) < 1.5, (one, other)


def inside_axes(text: Text) -> bool:
    """matplotlib keeps tick labels of places outside of the axis, which it doesn't draw."""
    axes = text.axes
    if axes is None:
        return True
    for axis, place in ((axes.xaxis, 0), (axes.yaxis, 1)):
        if text in axis.get_ticklabels(which="both"):
            low, high = sorted(axis.get_view_interval())
            return bool(axis.get_visible() and axes.axison and low <= text.get_position()[place] <= high)
    return True


def test_numbers_lie_where_they_should() -> None:
    axis = scale.swept(["1", "10", "1000", ""], merit=[0, 0, 0, 0])
    assert axis.kind == "log"
    np.testing.assert_allclose(axis.places, [0, 1 / 3, 1, np.nan], atol=1e-12)
    assert [label for _, label in axis.ticks] == ["1", "10", "1000"]
    axis = scale.swept(["-1", "19", "9"], merit=[0, 0, 0])
    assert (axis.kind, axis.places.tolist()) == ("linear", [0, 1, 0.5])
    assert scale.swept(["1", "20", "0"], merit=[0, 0, 0]).kind == "linear"
    assert scale.swept(["1", "1e-3", "inf"], merit=[0, 0, 0]).kind == "named"


def test_names_lie_in_the_order_of_their_mean_merit() -> None:
    axis = scale.swept(["b", "a", "c", "b"], merit=[1.0, 0.6, 0.9, 0.0])
    assert axis.kind == "named"
    assert axis.ticks == [(0.0, "b"), (0.5, "a"), (1.0, "c")]
    assert axis.places.tolist() == [0, 0.5, 1, 0]


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1.0), (0.013, 0.9), (1.0, 1.0), (3e-4, 2.9e-3), (1e-9, 1e9)])
def test_round_numbers_are_round_and_inside(low: float, high: float) -> None:
    found = scale.round_numbers(low, high)
    assert found == sorted(found)
    assert all(low * 0.999 <= value <= high * 1.001 and float(f"{value:.1e}") == pytest.approx(value) for value in found)
    assert len(found) >= 3 or high == low


def test_thinned_keeps_both_ends_and_the_distance() -> None:
    ticks = [(place / 100, str(place)) for place in range(101)]
    kept = scale.thinned(ticks, gap=0.3)
    assert [label for _, label in kept] == ["0", "30", "60", "100"]
    assert scale.thinned(ticks[:1], gap=0.3) == ticks[:1]
    assert scale.thinned(ticks[:20], gap=0.3) == ticks[:1]


@pytest.mark.parametrize("move", [scale.spread, scale.scattered])
def test_points_of_one_place_are_moved_apart_and_no_further_than_asked(move: Callable[..., np.ndarray]) -> None:
    places = np.array([0.0, 1, 1, 1, np.nan, 1, 1])
    merit = np.array([5.0, 1, 5, 2, 0, 4, 3])
    moved = move(places, merit, width=0.2)
    assert moved[[0, 4]].tolist() == [0, 0]
    np.testing.assert_allclose(np.sort(moved[places == 1]), [-0.1, -0.05, 0, 0.05, 0.1])
    in_order = np.diff(moved[[1, 3, 6, 5, 2]]) > 0
    assert in_order.all() == (move is scale.spread)


def test_shares_far_apart_are_drawn_by_their_error() -> None:
    found, word = ACCURACY.scale([0.1, 0.9, 0.99, 0.999])
    assert "error" in word
    np.testing.assert_allclose(np.diff(found.forward([0.9, 0.99, 0.999])), [1, 1])
    assert dict((label, round(place, 6)) for place, label in found.ticks)["99"] == 2
    found, word = ACCURACY.scale([0.98, 0.99])
    assert word == ""
    assert found.forward([0.98, 0.99]).tolist() == [0.98, 0.99]
    assert "98.4" in [label for _, label in found.ticks]


def test_the_best_is_the_darkest_line_whichever_way_is_better() -> None:
    for measure in (ACCURACY, LOSS):
        given = np.array([0.2, 0.3, 0.8, 0.9])
        merit = measure.merit(given)
        figure = parallel.draw_parallel(MANY[:4], given.tolist(), measure=measure, best=[int(np.argmax(merit))], subject=SUBJECT)
        ordinary, best = (part for part in figure.axes[0].collections if isinstance(part, LineCollection))
        shades = np.asarray(ordinary.get_array())
        assert shades.tolist() == sorted(shades)  # drawn from worst to best
        ends = [path.vertices[-1, 1] for path in ordinary.get_paths()]
        assert (np.diff(ends) > 0).all() == measure.higher_is_better
        assert len(best.get_paths()) == 1


def test_means_and_intervals_are_those_of_the_value() -> None:
    given = np.linspace(0.97, 0.99, 12)
    figure = single(SMALL, given)
    panel = next(axes for axes in figure.axes if axes.get_xlabel() == "lr")
    picked = [given[[row["lr"] == lr for row in SMALL]] for lr in ("0.001", "0.003")]
    means = [line.get_ydata()[0] for line in panel.lines if line.get_color() == ORANGE]
    np.testing.assert_allclose(means, [part.mean() for part in picked])
    ends = [segments.get_segments()[0][:, 1] for segments in panel.collections]
    np.testing.assert_allclose(ends, [interval(part)[1:] for part in picked])


def test_a_curve_is_the_mean_of_its_seeds_as_far_as_all_go() -> None:
    figure = sweep_curves.draw_curves(
        [("a", [[0.5, 0.6, 0.7], [0.7, 0.7]])], measure=ACCURACY, total=1, heading="", subject=SUBJECT
    )
    (line,) = figure.axes[0].lines
    assert line.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(line.get_ydata(), [0.6, 0.65])


def test_each_row_of_filters_has_its_own_scale() -> None:
    small, large = DRAW.normal(size=(2, 4, 1, 3, 3)).astype(np.float32) * [[[[[0.01]]]], [[[[1]]]]]
    figure = setting_filters.draw_filters(
        [("a", "1", small), ("b", "2", large)], image_shape=(1, 28, 28), heading="", total=2, subject=SUBJECT
    )
    for axes, weights in zip(figure.axes, (small, large), strict=False):
        (image,) = axes.images
        assert image.get_clim() == (-1, 1)
        shown = np.ma.filled(image.get_array(), np.nan)
        assert np.nanmax(np.abs(shown)) == 1
        np.testing.assert_allclose(np.unique(shown[~np.isnan(shown)]), np.unique(weights / np.abs(weights).max()), rtol=1e-5)
