"""What a sweep says: tables of its points and settings, its best two compared, and figures."""

import json
import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filterlab import files
from filterlab.study import table
from filterlab.study.measure import Measure
from filterlab.study.table import Setting
from filterlab.study.trial import STATUSES, Trial

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

ROWS = 20  # settings of the summary
FIGURES = ("parallel", "swept_values", "curves", "filters")


def write(
    points: Sequence[Trial],
    *,
    name: str,
    metric: str,
    direction: str,
    curves: Mapping[str, Sequence[float]],
    first_layers: "Mapping[str, NDArray[np.float32]]",
    image_shape: tuple[int, int, int],
    folder: Path,
) -> list[Path]:
    """Write the report of a sweep into `folder`, over an earlier one, and give the paths of what it consists of.

    points.csv, settings.csv, comparison.json, summary.txt; then, of the points that are done, as far as there is something to
    draw: parallel.png, swept_values.png, curves.png and filters.png.

    Args:
        name: the sweep's.
        metric, direction: what points are compared by; "max" or "min".
        curves: by run id, the metric by epoch, on validation examples.
        first_layers: by the point's key, weights of the first layer: a convolution's (K, C, H, W) or a dense layer's (K, D).
        image_shape: (C, H, W), with C * H * W = D.
    """
    settings = table.settings(points, metric=metric, direction=direction)
    measure = table.measure(metric, direction)
    table.write_points(points, folder / "points.csv")
    table.write_settings(settings, folder / "settings.csv")
    files.write(folder / "comparison.json", json.dumps(compared(settings, metric, direction), indent=2) + "\n")
    files.write(folder / "summary.txt", summary(points, settings, name=name, measure=measure))
    paths = [folder / file for file in ("points.csv", "settings.csv", "comparison.json", "summary.txt")]
    for stem in FIGURES:
        (folder / f"{stem}.png").unlink(missing_ok=True)  # of an earlier report, of other points
    if any(setting.values for setting in settings):
        from filterlab.visualization import png

        done = sum(point.status == "done" for point in points)
        subject = f"{name}, {done} of {len(points)} points done" if done < len(points) else f"{name}, {_points(done)}"
        drawn = figures(
            settings,
            metric=metric,
            measure=measure,
            curves=curves,
            first_layers=first_layers,
            image_shape=image_shape,
            subject=subject,
        )
        for stem, figure in drawn:
            path = folder / f"{stem}.png"
            png.write(figure, path)
            paths.append(path)
    return paths


def compared(settings: Sequence[Setting], metric: str, direction: str) -> dict[str, object]:
    """The best two settings for comparison.json; what can't be told is null."""
    found = table.comparison(settings)
    best = [(named, setting) for named, setting in zip(table.named(settings), settings, strict=True) if setting.values][:2]
    return {
        "metric": metric,
        "direction": direction,
        "settings": [
            {"name": named, "swept": setting.swept, "n": setting.summary.n, "mean": setting.summary.mean}
            for named, setting in best
        ],
        "paired": found
        and {
            "seeds": found.n,
            "difference": found.difference,
            "low": _finite(found.low),
            "high": _finite(found.high),
            "p": _finite(found.p),
            "distinguishable": found.distinguishable,
        },
        "words": table.sentence(settings, table.measure(metric, direction)),
    }


def _finite(number: float) -> float | None:
    return None if math.isnan(number) else number


def summary(points: Sequence[Trial], settings: Sequence[Setting], *, name: str, measure: Measure) -> str:
    """For the terminal: the best 20 settings, what is not done of each, and the comparison of the best two, 100 columns wide."""
    counts = Counter(point.status for point in points)
    about = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    lines = [f"sweep {name}: {_points(len(points))}" + (f" ({about})" if about else "")]
    shown = settings[:ROWS]
    if shown:
        lines += ["", *aligned(_cells(shown, measure)), ""]
    if len(settings) > ROWS:
        lines += [f"the first {ROWS} of {len(settings)} settings; all are in settings.csv", ""]
    lost = counts["done"] - sum(setting.summary.n for setting in settings)
    if lost:
        lines += [f"{lost} done without a finite {measure.name}: left out", ""]
    if not counts["done"]:
        lines += ["no point is done: no figures", ""]
    lines += textwrap.wrap(table.sentence(settings, measure), width=100, break_long_words=False)
    return "\n".join(lines) + "\n"


def _points(n: int) -> str:
    return "1 point" if n == 1 else f"{n} points"


def _cells(settings: Sequence[Setting], measure: Measure) -> list[list[str]]:
    """Heading and rows, columns that would be empty left out."""
    keys = list(dict.fromkeys(key for setting in settings for key in setting.swept))
    ends = table.short(keys)
    spread = any(setting.summary.n > 1 for setting in settings)
    scale, digits = (100, 2) if measure.share else (1, 4)
    cells = [["", *[ends[key] for key in keys], measure.label, *(["± std", "95 % interval"] if spread else []), "n", "not done"]]

    def written(number: float) -> str:
        if math.isnan(number):
            return ""
        return f"{scale * number:.{digits}f}" if measure.share else f"{number:#.{digits}g}"

    for place, setting in enumerate(settings, start=1):
        found = setting.summary
        interval = "" if math.isnan(found.low) else f"[{written(found.low)}, {written(found.high)}]"
        undone = ", ".join(f"{setting.counts[status]} {status}" for status in STATUSES[1:] if status in setting.counts)
        std = f"{scale * found.std:.{digits}f}" if measure.share else f"{found.std:.2g}"
        spreads = [f"± {std}" if found.n > 1 else "", interval] if spread else []
        cells.append(
            [
                str(place),
                *[table.brief(setting.swept.get(key, "")) for key in keys],
                written(found.mean),
                *spreads,
                str(found.n),
                undone,
            ]
        )
    return cells if any(row[-1] for row in cells[1:]) else [row[:-1] for row in cells]


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width, numbers to the right."""
    from filterlab.study.scale import numbers

    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [numbers([cell for cell in column[1:] if cell]) is not None for column in columns]
    lines = (
        "  ".join(cell.rjust(width) if to else cell.ljust(width) for cell, width, to in zip(row, widths, right, strict=True))
        for row in cells
    )
    return [line.rstrip() for line in lines]


def figures(
    settings: Sequence[Setting],
    *,
    metric: str,
    measure: Measure,
    curves: Mapping[str, Sequence[float]],
    first_layers: "Mapping[str, NDArray[np.float32]]",
    image_shape: tuple[int, int, int],
    subject: str,
) -> "Iterator[tuple[str, Figure]]":
    """Each with its file's name without the ending; at least one setting has a value, and the first is the best."""
    from filterlab.study import parallel, setting_filters, sweep_curves, swept_values

    points = [point for setting in settings for point in setting.points]
    keys = [key for key in table.columns(points) if key != table.SEED] or [table.SEED]
    ends = table.short(keys)
    swept = [{ends[key]: point.swept[key] for key in keys if key in point.swept} for point in points]
    values = [point.metrics[metric] for point in points]

    def interval(given: "NDArray[np.float64]") -> tuple[float, float, float]:
        found = table.summary_of(given.tolist(), share=measure.share)
        return found.mean, found.low, found.high

    if any(swept):
        best = range(len(settings[0].points)) if len(points) > len(settings[0].points) else []
        yield "parallel", parallel.figure(swept, values, measure=measure, best=best, subject=subject)
        yield "swept_values", swept_values.figure(swept, values, measure=measure, interval=interval, subject=subject)
    heading, names = _names(settings)
    called = list(zip(names, settings, strict=True))
    learned = [(named, [curve for point in setting.points if (curve := curves.get(point.run_id))]) for named, setting in called]
    if begun := [(named, trainings) for named, trainings in learned if trainings]:
        yield "curves", sweep_curves.figure(begun, heading=heading, measure=measure, total=len(settings), subject=subject)
    layers = [
        (named, _mean(setting, measure), next(first_layers[point.key] for point in setting.points if point.key in first_layers))
        for named, setting in called
        if any(point.key in first_layers for point in setting.points)
    ]
    if layers:
        yield (
            "filters",
            setting_filters.figure(layers, heading=heading, image_shape=image_shape, total=len(settings), subject=subject),
        )


def _names(settings: Sequence[Setting]) -> tuple[str, list[str]]:
    """What settings are called in figures: where the keys are too many to be repeated, a heading and the values alone."""
    keys = list(dict.fromkeys(key for setting in settings for key in setting.swept))
    if len(keys) < 3:
        return "", table.named(settings)
    ends = table.short(keys)
    names = [", ".join(table.brief(setting.swept.get(key, "")) or "none" for key in keys) for setting in settings]
    return ", ".join(ends[key] for key in keys), names


def _mean(setting: Setting, measure: Measure) -> str:
    found = setting.summary
    return f"{measure.show(found.mean)} ± {measure.show(found.std)}" if found.n > 1 else measure.show(found.mean)
