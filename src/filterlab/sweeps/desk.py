"""`filterlab sweep plan | status | collect`: what a sweep will do, does and did."""

import dataclasses
import datetime
import statistics
from collections.abc import Sequence
from pathlib import Path

from filterlab import tracking
from filterlab.config import compose, schema
from filterlab.errors import DataError
from filterlab.study import table
from filterlab.sweeps import driver, points, survey
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.report import aligned
from filterlab.tracking import Found, NullRun

SHOWN = 10  # points that a plan prints
ALIKE = ["data.name", "data.take", "data.take_n", "model.name", "trainer.batch_size"]  # trainings that take as long an epoch


def plan(root: Path, words: Sequence[str]) -> None:
    """Print how many trainings the words ask for, how long they take as far as is known, the first points, what all share."""
    overrides = points.with_parameters(root / "conf", compose.read_parameters(root / "params.yaml"), words)
    asked = points.plan(root / "conf", overrides)
    if asked.searched:
        configs = [next(iter(asked.points.values()))[1]] * asked.settings.n_trials
        print(f"a search of {len(configs)} trainings over {', '.join(asked.keys)}")
    else:
        configs = [config for _, config in asked.points.values()]
        print(f"{len(configs)} trainings: every combination of {', '.join(asked.keys)}")
    with tracking.reading(asked.tracking, root=root) as store:
        print(duration(configs, store))
    print("\nWhat is searched lies between these:" if asked.searched else "")
    swept = [sweeps.swept(words, asked.keys) for words, _ in asked.points.values()]
    rows = [[str(place), *(at[key] for key in asked.keys)] for place, at in enumerate(swept[:SHOWN], start=1)]
    print(*aligned([["", *asked.keys], *rows]), sep="\n")
    if len(swept) > SHOWN:
        print(f"and {len(swept) - SHOWN} more")
    print("\nThe same in all, and other than in conf/:")
    others = differing([config for _, config in asked.points.values()], root / "conf")
    print(*aligned([[key, given] for key, given in others.items()]) or ["nothing"], sep="\n")


def differing(configs: Sequence[schema.Config], conf: Path) -> dict[str, str]:
    """By key, the values that all of `configs` share and that conf/ alone would not give."""
    default = values(compose.compose(conf, []))
    first, *rest = [values(config) for config in configs]
    common = {key: given for key, given in first.items() if all(other.get(key) == given for other in rest)}
    return {key: given for key, given in common.items() if default.get(key) != given}


def values(config: schema.Config) -> dict[str, str]:
    return {key: str(leaf) for key, leaf in compose.leaves(dataclasses.asdict(config))}


def duration(configs: Sequence[schema.Config], store: NullRun) -> str:
    """One sentence: the sum of the trainings' times, each that of the past runs most like it, for all its epochs."""
    past = [run for run in store.search("attributes.status = 'FINISHED'") if {"training/seconds", "epochs"} <= run.metrics.keys()]
    seconds = [found for config in configs if (found := estimate(config, past)) is not None]
    if not seconds:
        return "no past run is like one of them, so that their time can't be estimated"
    about = datetime.timedelta(seconds=round(sum(seconds) * len(configs) / len(seconds)))
    unknown = f"; {len(configs) - len(seconds)} are unlike any past run and are taken to be as long as the others"
    return f"about {about} (h:mm:ss) of training one after another, if none stops early, by the times of past runs" + (
        unknown if len(seconds) < len(configs) else ""
    )


def estimate(config: schema.Config, past: Sequence[Found]) -> float | None:
    """Seconds of max_epochs epochs, by the median of past trainings of such a network on such data; None without one."""
    asked = values(config)
    found = [
        run.metrics["training/seconds"] / run.metrics["epochs"]
        for run in past
        if all(run.params.get(key) == asked[key] for key in ALIKE)
    ]
    return statistics.median(found) * config.trainer.max_epochs if found else None


def status(root: Path, name: str) -> None:
    """Print a sweep's points and what failed ones said; without a name, a line for each sweep."""
    for each in [name] if name else sweeps.names(root):
        try:
            sweep = sweeps.find(root, each)
        except DataError as error:
            if name:
                raise
            print(error)  # of one sweep; the others are shown
            continue
        if not sweep.parent:
            print(f"{each}: not begun")
            continue
        with tracking.reading(sweep.settings(), root=root) as store:
            found = survey.survey(sweep, store)
            errors = survey.errors(store, sweep) if name else {}
        print(f"{each}: {survey.counts(found)}")
        if name:
            keys, measured = table.columns(found), table.measure(sweep.metric, sweep.direction)
            heading = ["status", measured.name, *table.short(keys).values(), "run, or what it said"]
            numbers = [f"{point.metrics[sweep.metric]:.4f}" if sweep.metric in point.metrics else "" for point in found]
            rows = [
                [point.status, number, *(point.swept.get(key, "") for key in keys), errors.get(point.run_id, point.run_id)]
                for point, number in zip(found, numbers, strict=True)
            ]
            print(*(f"  {line}" for line in aligned([heading, *rows])), sep="\n")
    if not name and not sweeps.names(root):
        print("no sweeps yet: filterlab train --multirun begins one")


def collect(root: Path, name: str) -> None:
    """Write the report of what is done by now, by jobs that a driver no longer waits for too, and log it to the parent run.

    Where a driver runs, that run is the driver's to write to, and it logs the whole report at its end.
    """
    sweep = sweeps.find(root, name)
    try:
        with sweeps.alone(sweep), driver.opened(sweep, sweep.settings(), root=root) as store:
            driver.collect(sweep, store, root=root)
    except sweeps.BusyError:
        with tracking.reading(sweep.settings(), root=root) as store:
            driver.write(sweep, store, root=root)
        print("  the sweep is being run: this report is in the folder alone, and MLflow gets the one of its end")
