"""`filterlab sweep plan | status | collect`; cancel has a module of its own."""

import dataclasses
import datetime
import statistics
from collections.abc import Sequence
from pathlib import Path

from filterlab import tracking
from filterlab.config import compose, schema
from filterlab.errors import DataError
from filterlab.study import table
from filterlab.study.trial import Trial
from filterlab.sweeps import collect, driver, watch
from filterlab.sweeps import status as statuses
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.trials import add_parameters, compose_sweep
from filterlab.tracking import Found, Reader

SHOWN = 10  # trials that a plan prints
ALIKE = ["data.name", "data.take", "data.take_n", "model.name", "trainer.batch_size"]  # trainings that take as long an epoch


def print_plan(root: Path, overrides: Sequence[str]) -> None:
    """Print how many trainings the overrides ask for, their estimated duration, the first of them, and what all share."""
    conf = root / "conf"
    sweep = compose_sweep(conf, add_parameters(conf, compose.read_parameters(root / "params.yaml"), overrides))
    configs = [config for _, config in sweep.trials.values()]
    searched = sweep.space is not None
    n = sweep.sweeper.n_trials if searched else len(configs)
    if searched:
        print(f"a search of {n} trainings over {', '.join(sweep.keys)}")
    else:
        print(f"{n} trainings: every combination of {', '.join(sweep.keys)}")
    with tracking.reading(sweep.tracking, root=root) as store:
        print(estimate_duration(configs[:1] * n if searched else configs, store))
    print("\nWhat is searched lies between these:" if searched else "")
    swept = [sweeps.swept_values(overrides, sweep.keys) for overrides, _ in sweep.trials.values()]
    rows = [[str(number), *values.values()] for number, values in enumerate(swept[:SHOWN], start=1)]
    print(*table.align([["", *sweep.keys], *rows]), sep="\n")
    if len(swept) > SHOWN:
        print(f"and {len(swept) - SHOWN} more")
    print("\nThe same in all, and other than in conf/:")
    common = set.intersection(*(set(flat(config).items()) for config in configs)) - set(flat(compose.compose(conf, [])).items())
    shared = [[key, value] for key, value in flat(configs[0]).items() if (key, value) in common]
    print(*table.align(shared) or ["nothing"], sep="\n")


def flat(config: schema.Config) -> dict[str, str]:
    """A configuration's values, as text, by dotted key."""
    return {key: str(leaf) for key, leaf in compose.leaves(dataclasses.asdict(config))}


def estimate_duration(configs: Sequence[schema.Config], store: Reader) -> str:
    """A sentence: the sum of the trainings' times, each that of the past runs most like it, for all its epochs."""
    past = [run for run in store.search(status="FINISHED") if {"training/seconds", "epochs"} <= run.metrics.keys()]
    seconds = [found for config in configs if (found := estimate_seconds(config, past)) is not None]
    if not seconds:
        return "no past run is like one of them, so that their time can't be estimated"
    about = datetime.timedelta(seconds=round(sum(seconds) * len(configs) / len(seconds)))
    unknown = len(configs) - len(seconds)
    return (
        f"about {about} (h:mm:ss) of training one after another, if none stops early, by the times of past runs"
        + f"; {unknown} are unlike any past run and are taken to be as long as the others" * (unknown > 0)
    )


def estimate_seconds(config: schema.Config, past: Sequence[Found]) -> float | None:
    """Seconds of max_epochs epochs, by the median of past trainings of such a network on such data; None without one."""
    values = flat(config)
    epochs = [
        run.metrics["training/seconds"] / run.metrics["epochs"]
        for run in past
        if all(run.params.get(key) == values[key] for key in ALIKE)
    ]
    return statistics.median(epochs) * config.trainer.max_epochs if epochs else None


def print_status(root: Path, name: str) -> None:
    """Print a sweep's trials and the errors of failed ones; without a name, a line for each sweep."""
    if name:
        print_sweep(sweeps.find(root, name), trials=True)
    elif not (names := sweeps.list_names(root)):
        print("no sweeps yet: filterlab train --multirun begins one")
    else:
        for each in names:
            try:
                print_sweep(sweeps.find(root, each), trials=False)
            except DataError as error:  # of one sweep; the others are shown
                print(error)


def print_sweep(sweep: sweeps.Sweep, *, trials: bool) -> None:
    """Print how many trials of a sweep are in which status; with `trials`, a table of them too."""
    if not sweep.commands:
        print(f"{sweep.name}: not started")
        return
    found = statuses.find_trials(sweep)
    print(f"{sweep.name}: {statuses.count_statuses(found)}")
    if trials:
        print(*rows(sweep, found), sep="\n")


def rows(sweep: sweeps.Sweep, trials: Sequence[Trial]) -> list[str]:
    """The lines of a table of trials."""
    keys = table.swept_keys(trials)
    heading = ["status", table.measure(sweep.metric).name, *table.short_keys(keys).values(), "run, or error"]
    numbers = [f"{trial.metrics[sweep.metric]:.4f}" if sweep.metric in trial.metrics else "" for trial in trials]
    cells = [
        [trial.status, number, *(trial.swept.get(key, "") for key in keys), (trial.error.splitlines() or [trial.run_id])[0]]
        for trial, number in zip(trials, numbers, strict=True)
    ]
    return [f"  {line}" for line in table.align([heading, *cells])]


def watch_status(root: Path, name: str) -> None:
    """Show a sweep until it ends, those of its trials that run first."""
    sweep = sweeps.find(root, name)

    def table_of(trials: Sequence[Trial]) -> list[str]:
        shown = sorted(trials, key=lambda trial: watch.ORDER.index(trial.status))
        return rows(sweep, shown)

    watch.watch(root, name, table=table_of)


def collect_report(root: Path, name: str) -> None:
    """Write the report of what is done by now, by jobs that a driver no longer waits for too, and log it to the parent run.

    Where a driver runs, that run is the driver's to write to, and it logs the whole report at its end.
    """
    sweep = sweeps.find(root, name)
    settings = sweep.tracking_settings()
    try:
        with sweeps.locked(sweep), driver.parent_run(sweep, settings, root=root) as store:
            collect.log_report(sweep, store, root=root)
    except sweeps.BusyError:
        collect.write_report(sweep, root=root)
        print("  the sweep is being run: this report is in the folder alone, and MLflow gets the one of its end")
