"""The trials of a sweep, grouped by setting: everything that was swept, but for the seed."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filterlab import tables
from filterlab.study.measure import Measure
from filterlab.study.scale import numbers
from filterlab.study.statistics import Paired, Summary, paired, summarize
from filterlab.study.trial import STATUSES, Trial

SEED = "seed"
LEAST = 3  # seeds that an interval takes: of two, Student's is 13 times as wide as their distance


@dataclass(frozen=True)
class Setting:
    """All trials with the same swept values but for the seed.

    Attributes:
        swept: those values, by key.
        values: the metric of each done trial that has a finite one, by seed; without seeds, by the trial's key.
        summary: of `values`; see `summary_of`.
        counts: number of trials by status.
        trials: the trials of `values`, the best first.
    """

    swept: dict[str, str]
    values: dict[str, float]
    summary: Summary
    counts: dict[str, int]
    trials: list[Trial]


def group(trials: Iterable[Trial], *, metric: str) -> list[Setting]:
    """The settings, best mean first; those without any value come last, in the order of their first trial."""
    compared = measure(metric)
    sign = -1 if compared.higher_is_better else 1
    groups: dict[tuple[tuple[str, str | float], ...], list[Trial]] = {}
    for trial in trials:
        setting = sorted((key, _value(text)) for key, text in trial.swept.items() if key != SEED)
        groups.setdefault(tuple(setting), []).append(trial)
    found = []
    for same in groups.values():
        measured = [trial for trial in same if trial.status == "done" and math.isfinite(trial.metrics.get(metric, math.nan))]
        values: dict[str, float] = {}
        for trial in measured:
            seed = trial.swept.get(SEED, trial.key)
            # A seed may come twice where commands of one sweep differ in a value that neither sweeps.
            values[f"{seed} {trial.key}" if seed in values else seed] = trial.metrics[metric]
        found.append(
            Setting(
                swept={key: text for key, text in same[0].swept.items() if key != SEED},
                values=values,
                summary=summary_of(values.values(), share=compared.share),
                counts=dict(Counter(trial.status for trial in same)),
                trials=sorted(measured, key=lambda trial: sign * trial.metrics[metric]),
            )
        )
    return sorted(found, key=lambda setting: sign * setting.summary.mean if setting.values else math.inf)


def summary_of(values: Iterable[float], *, share: bool) -> Summary:
    """Fewer than LEAST values have no interval (nan), and that of a share's mean ends at 0 and 1."""
    found = summarize(values)
    if found.n < LEAST:
        return dataclasses.replace(found, low=math.nan, high=math.nan)
    return dataclasses.replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0)) if share else found


def _value(text: str) -> str | float:
    """1e-3 and 0.001 are one value."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def compare_best(settings: Sequence[Setting]) -> Paired | None:
    """The first setting against the second; None where there are no two, or fewer than LEAST seeds that both have."""
    best = settings[:2]
    if len(best) < 2 or len(best[0].values.keys() & best[1].values.keys()) < LEAST:
        return None
    return paired(best[0].values, best[1].values)


def measure(metric: str) -> Measure:
    """How the metric is compared, written and drawn: best/validation/accuracy is the validation accuracy, in percent."""
    name = metric.removeprefix("best/").replace("/", " ").replace("_", " ")
    return Measure(name, higher_is_better=not metric.endswith("loss"), share=metric.endswith(("accuracy", "macro_f1")))


def describe_best(settings: Sequence[Setting], measure: Measure) -> str:
    """A sentence that compares the best two settings: which is better, or that these seeds can't tell."""
    measured = [setting for setting in settings if setting.values]
    if not measured:
        return f"No trial has a {measure.name} yet."
    if len(measured) == 1:
        return "There is one setting with a result: nothing to compare."
    first, second = setting_names(settings)[:2]
    unit = f"points of {measure.name}" if measure.share else measure.name
    sign = 1 if measure.higher_is_better else -1
    found = compare_best(settings)
    if found is None:
        lead = sign * (measured[0].summary.mean - measured[1].summary.mean)
        ahead = f"is ahead of {second} by {measure.difference(lead)[0]} {unit}" if lead else f"and {second} are level"
        return (
            f"{first} {ahead}, but whether that is more than chance can't be told: "
            "it takes three seeds or more of both, e.g. 'seed=range(5)'."
        )
    if math.isnan(found.p):
        if found.difference == 0:
            return f"{first} and {second} can't be told apart: they are equal in each of {found.n} paired seeds."
        ahead = measure.difference(abs(found.difference))[0]
        return (
            f"{first} and {second} differ by the same {ahead} {unit} in each of {found.n} paired seeds: "
            "without a spread there is no interval, and more seeds are needed to tell them apart."
        )
    ahead, *ends = measure.difference(*(sign * number for number in (found.difference, found.low, found.high)))
    low, high = ends if sign > 0 else ends[::-1]
    shown = f"{ahead} {unit} [{low}, {high}], {found.n} paired seeds, p = {found.p:.2g}"
    if not found.distinguishable:
        return f"{first} and {second} can't be told apart at 95 %: they differ by {shown}."
    if sign * found.difference < 0:
        return f"{first} has the best mean, but on the seeds that both have {second} is ahead: {shown}."
    chosen = (
        f" They were chosen as the best of {len(measured)} by these seeds, which flatters the first." if len(measured) > 2 else ""
    )
    return f"{first} beats {second} by {shown}.{chosen}"


def swept_keys(trials: Iterable[Trial] | Iterable[Setting]) -> list[str]:
    """The swept keys in the order they appear in; the seed last."""
    keys = dict.fromkeys(key for trial in trials for key in trial.swept)
    return [key for key in keys if key != SEED] + [SEED] * (SEED in keys)


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """By key, the end of it that no other key ends with: optimizer.lr -> lr."""
    found = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        others = [other for other in keys if other != key]
        found[key] = next((end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others)), key)
    return found


def short_value(text: str) -> str:
    """A number that was drawn rather than chosen, in three digits."""
    value = _value(text)
    return f"{value:.3g}" if isinstance(value, float) and len(text) > 7 else text


def setting_names(settings: Sequence[Setting]) -> list[str]:
    """What each setting is called, e.g. "model=cnn lr=0.003"."""
    ends = short_keys(swept_keys(settings))
    return [
        " ".join(f"{ends[key]}={short_value(text)}" for key, text in setting.swept.items()) or "the only setting"
        for setting in settings
    ]


def describe_selection(shown: int, total: int) -> str:
    """Which settings a figure shows, for its caption."""
    if total == 1:
        return "One setting"
    return f"The best {shown} of {total} settings, best first" if shown < total else f"All {total} settings, best first"


def align(cells: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a text table, columns of equal width; the first row is the heading. Numbers are aligned to the right."""
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [numbers([cell for cell in column[1:] if cell]) is not None for column in columns]
    lines = (
        "  ".join(cell.rjust(width) if to else cell.ljust(width) for cell, width, to in zip(row, widths, right, strict=True))
        for row in cells
    )
    return [line.rstrip() for line in lines]


def trial_columns(trials: Sequence[Trial], *, metrics: Iterable[str]) -> dict[str, list[object]]:
    """A row a trial: the swept keys' columns, then status, these metrics, run_id and key."""
    columns: dict[str, list[object]] = {key: [trial.swept.get(key, "") for trial in trials] for key in swept_keys(trials)}
    columns["status"] = [trial.status for trial in trials]
    columns |= {name: [trial.metrics.get(name) for trial in trials] for name in metrics}
    return columns | {"run_id": [trial.run_id for trial in trials], "key": [trial.key for trial in trials]}


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """CSV with all metrics, see `trial_columns`."""
    columns = trial_columns(trials, metrics=sorted({name for trial in trials for name in trial.metrics}))
    tables.write(path, columns, zip(*columns.values(), strict=True))


def write_settings(settings: Sequence[Setting], path: Path) -> None:
    """CSV: a row a setting, best first: its swept values, n, mean, std, low and high of the metric, its trials by status, and
    the run id of its best trial. low and high: the mean's 95 % interval, see `summary_of`. What n values can't tell is empty."""
    columns: dict[str, list[object]] = {key: [found.swept.get(key, "") for found in settings] for key in swept_keys(settings)}
    for name in ("n", "mean", "std", "low", "high"):
        columns[name] = ["" if math.isnan(number := getattr(found.summary, name)) else number for found in settings]
    columns |= {status: [found.counts.get(status, 0) for found in settings] for status in STATUSES}
    columns["best_run_id"] = [found.trials[0].run_id if found.trials else "" for found in settings]
    tables.write(path, columns, zip(*columns.values(), strict=True))
