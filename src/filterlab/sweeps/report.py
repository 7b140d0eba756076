"""The report of a sweep: tables of its trials and settings, its best two settings compared, figures, and a page of all that."""

import json
import math
import textwrap
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
SHOWN = 100  # trials of the page
FIGURES = ("parallel", "swept_values", "curves", "filters")
SAYS = {  # those of the page, which draws the curves itself
    "parallel": ("All at once", "A line is a training: the values that it had, and at the right how good it was."),
    "swept_values": ("Value by value", "A point is a training; what else it had differs, so that a value may only look good."),
    "filters": ("First layers", "The filters with the largest weights of each setting's first training."),
}


def write(
    trials: Sequence[Trial],
    *,
    name: str,
    metric: str,
    first_layers: "Mapping[str, NDArray[np.float32]]",
    image_shape: tuple[int, int, int],
    folder: Path,
) -> list[Path]:
    """Write the report of a sweep into `folder`, over an earlier one, and give the paths of what it consists of.

    trials.csv, settings.csv, comparison.json, summary.txt; then, of the trials that are done, as far as there is something to
    draw: parallel.png, swept_values.png, curves.png and filters.png; and report.html.

    Args:
        name: the sweep's.
        metric: what trials are compared by.
        first_layers: by the trial's key, weights of the first layer: a convolution's (K, C, H, W) or a dense layer's (K, D).
        image_shape: (C, H, W), with C * H * W = D.
    """
    settings = table.group(trials, metric=metric)
    table.write_trials(trials, folder / "trials.csv")
    table.write_settings(settings, folder / "settings.csv")
    files.write(folder / "comparison.json", json.dumps(comparison(settings, metric), indent=2) + "\n")
    files.write(folder / "summary.txt", summarize(trials, settings, name=name, measure=table.measure(metric)))
    paths = [folder / file for file in ("trials.csv", "settings.csv", "comparison.json", "summary.txt")]
    for stem in FIGURES:
        (folder / f"{stem}.png").unlink(missing_ok=True)  # of an earlier report, of other trials
    if any(setting.values for setting in settings):
        from filterlab.visualization import png

        done = sum(trial.status == "done" for trial in trials)
        subject = f"{name}, {done} of {len(trials)} trials done" if done < len(trials) else f"{name}, {_trials(done)}"
        for stem, figure in draw_figures(settings, metric, first_layers, image_shape=image_shape, subject=subject):
            png.write(figure, folder / f"{stem}.png")
            paths.append(folder / f"{stem}.png")
    drawn = [path for path in paths if path.stem in SAYS]
    files.write(folder / "report.html", render(trials, settings, name=name, metric=metric, figures=drawn))
    return [*paths, folder / "report.html"]


def render(trials: Sequence[Trial], settings: Sequence[Setting], *, name: str, metric: str, figures: Sequence[Path]) -> str:
    """The page; the same text for the same trials."""
    from filterlab.pages import page

    measure, best = table.measure(metric), settings[0].summary if settings and settings[0].values else None
    keys, counts = table.swept_keys(trials), {status: sum(trial.status == status for trial in trials) for status in STATUSES}

    def worse(trial: Trial) -> tuple[bool, float]:
        value = trial.metrics.get(metric, math.nan)
        return trial.status != "done", -float(measure.merit(value)) if math.isfinite(value) else math.inf

    return page.render(
        "sweep.html.jinja",
        name=name,
        measure=measure.name,
        best=best
        and {
            "name": table.setting_names(settings)[0],
            "mean": measure.show(best.mean),
            "interval": "" if math.isnan(best.low) else f"{measure.show(best.low)} to {measure.show(best.high)}",
        },
        counts=[(status, number) for status, number in counts.items() if number],
        words=table.describe_best(settings, measure),
        settings=_cells(settings[:ROWS], measure) if settings else [],
        left_out=max(0, len(settings) - ROWS),
        curves=_curves(settings, measure),
        figures=[(*SAYS[path.stem], page.image(path, maker=f"filterlab sweep collect {name}")) for path in figures],
        keys=[table.short_keys(keys)[key] for key in keys],
        trials=[
            {
                "cells": [table.short_value(trial.swept.get(key, "")) for key in keys],
                "value": measure.show(trial.metrics[metric]) if metric in trial.metrics else "",
                "epoch": f"{trial.metrics['best_epoch']:.0f}" if "best_epoch" in trial.metrics else "",
                "status": trial.status,
                "error": textwrap.shorten(trial.error, 120),
                "run": trial.run_id[:8],
            }
            for trial in sorted(trials, key=worse)[:SHOWN]
        ],
        trials_left_out=max(0, len(trials) - SHOWN),
        promoted=metric.rpartition("/")[2],
    )


def _curves(settings: Sequence[Setting], measure: Measure) -> dict[str, object] | None:
    """Of the best settings the mean over their seeds, epoch by epoch, for as long as all of them trained."""
    from filterlab.pages.chart import COLORS, Line, chart

    named = zip(table.setting_names(settings), settings, strict=True)
    found = [(name, [trial.curve for trial in setting.trials if trial.curve]) for name, setting in named]
    lines = [
        Line(name or "all", [sum(values) / len(values) for values in zip(*curves, strict=False)], color)
        for color, (name, curves) in enumerate([each for each in found if each[1]][:COLORS])
    ]
    return chart(measure.name.capitalize(), lines, share=measure.share) if lines else None


def comparison(settings: Sequence[Setting], metric: str) -> dict[str, object]:
    """The best two settings for comparison.json; what can't be told is null."""
    measure, found = table.measure(metric), table.compare_best(settings)
    best = [(name, setting) for name, setting in zip(table.setting_names(settings), settings, strict=True) if setting.values]
    paired = found and {
        "seeds": found.n,
        "difference": found.difference,
        **{name: None if math.isnan(number := getattr(found, name)) else number for name in ("low", "high", "p")},
        "distinguishable": found.distinguishable,
    }
    return {
        "metric": metric,
        "direction": "max" if measure.higher_is_better else "min",
        "settings": [
            {"name": name, "swept": setting.swept, "n": setting.summary.n, "mean": setting.summary.mean}
            for name, setting in best[:2]
        ],
        "paired": paired,
        "words": table.describe_best(settings, measure),
    }


def summarize(trials: Sequence[Trial], settings: Sequence[Setting], *, name: str, measure: Measure) -> str:
    """For the terminal: the best 20 settings, what is not done of each, and the comparison of the best two, 100 columns wide."""
    counts = {status: sum(trial.status == status for trial in trials) for status in STATUSES}
    about = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    lines = [f"sweep {name}: {_trials(len(trials))}" + (f" ({about})" if about else "")]
    if settings:
        lines += ["", *table.align(_cells(settings[:ROWS], measure)), ""]
    if len(settings) > ROWS:
        lines += [f"the first {ROWS} of {len(settings)} settings; all are in settings.csv", ""]
    if lost := counts["done"] - sum(setting.summary.n for setting in settings):
        lines += [f"{lost} done without a finite {measure.name}: left out", ""]
    if not counts["done"]:
        lines += ["no trial is done: no figures", ""]
    lines += textwrap.wrap(table.describe_best(settings, measure), width=100, break_long_words=False)
    return "\n".join(lines) + "\n"


def _trials(n: int) -> str:
    return "1 trial" if n == 1 else f"{n} trials"


def _cells(settings: Sequence[Setting], measure: Measure) -> list[list[str]]:
    """Heading and rows of the summary's table; columns that would be empty are left out."""
    keys = table.swept_keys(settings)
    ends = table.short_keys(keys)
    scale, digits = (100, 2) if measure.share else (1, 4)

    def written(number: float) -> str:
        return "" if math.isnan(number) else f"{scale * number:.{digits}f}" if measure.share else f"{number:#.{digits}g}"

    heading = ["", *[ends[key] for key in keys], measure.label, "± std", "95 % interval", "n", "not done"]
    rows = []
    for number, setting in enumerate(settings, start=1):
        found = setting.summary
        std = f"{scale * found.std:.{digits}f}" if measure.share else f"{found.std:.2g}"
        rows.append(
            [
                str(number),
                *[table.short_value(setting.swept.get(key, "")) for key in keys],
                written(found.mean),
                f"± {std}" if found.n > 1 else "",
                "" if math.isnan(found.low) else f"[{written(found.low)}, {written(found.high)}]",
                str(found.n),
                ", ".join(f"{setting.counts[status]} {status}" for status in STATUSES[1:] if status in setting.counts),
            ]
        )
    shown = [place for place, name in enumerate(heading) if name == measure.label or any(row[place] for row in rows)]
    return [[row[place] for place in shown] for row in [heading, *rows]]


def draw_figures(
    settings: Sequence[Setting],
    metric: str,
    first_layers: "Mapping[str, NDArray[np.float32]]",
    *,
    image_shape: tuple[int, int, int],
    subject: str,
) -> "Iterator[tuple[str, Figure]]":
    """Each with its file's name without the ending; at least one setting has a value, and the first is the best."""
    from filterlab.study import parallel, setting_filters, sweep_curves, swept_values

    measure = table.measure(metric)
    trials = [trial for setting in settings for trial in setting.trials]
    keys = [key for key in table.swept_keys(trials) if key != table.SEED] or [table.SEED]
    ends = table.short_keys(keys)
    swept = [{ends[key]: trial.swept[key] for key in keys if key in trial.swept} for trial in trials]
    values = [trial.metrics[metric] for trial in trials]

    def interval(given: "NDArray[np.float64]") -> tuple[float, float, float]:
        found = table.summary_of(given.tolist(), share=measure.share)
        return found.mean, found.low, found.high

    if any(swept):
        best = range(len(settings[0].trials)) if len(trials) > len(settings[0].trials) else []
        yield "parallel", parallel.draw_parallel(swept, values, measure=measure, best=best, subject=subject)
        yield ("swept_values", swept_values.draw_swept_values(swept, values, measure=measure, interval=interval, subject=subject))
    heading, names = _names(settings)
    learned, layers = [], []
    for name, setting in zip(names, settings, strict=True):
        if trainings := [trial.curve for trial in setting.trials if trial.curve]:
            learned.append((name, trainings))
        if weights := [first_layers[trial.key] for trial in setting.trials if trial.key in first_layers]:
            layers.append((name, _mean(setting, measure), weights[0]))
    total = len(settings)
    if learned:
        yield "curves", sweep_curves.draw_curves(learned, heading=heading, measure=measure, total=total, subject=subject)
    if layers:
        yield (
            "filters",
            setting_filters.draw_filters(layers, heading=heading, image_shape=image_shape, total=total, subject=subject),
        )


def _names(settings: Sequence[Setting]) -> tuple[str, list[str]]:
    """What settings are called in figures: where the keys are too many to be repeated, a heading and the values alone."""
    keys = table.swept_keys(settings)
    if len(keys) < 3:
        return "", table.setting_names(settings)
    ends = table.short_keys(keys)
    names = [", ".join(table.short_value(setting.swept.get(key, "")) or "none" for key in keys) for setting in settings]
    return ", ".join(ends[key] for key in keys), names


def _mean(setting: Setting, measure: Measure) -> str:
    found = setting.summary
    return f"{measure.show(found.mean)} ± {measure.show(found.std)}" if found.n > 1 else measure.show(found.mean)
