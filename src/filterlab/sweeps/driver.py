"""Runs a sweep: launches what is missing of it under its parent run, and says what came out.

Hydra makes the sweeper itself, and hands it no more than the configuration; so the sweep that is being run is found here,
by `driving`. There is one a process.
"""

import contextlib
import dataclasses
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import files, tracking
from filterlab.config import compose, resolved, schema
from filterlab.errors import DataError, UserError
from filterlab.models import folder
from filterlab.study.trial import Trial
from filterlab.sweeps import frozen, report, survey
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import NullRun

if TYPE_CHECKING:
    from filterlab.sweeps.search import Outcome

RUNNABLE = ["not started", "interrupted"]
NOTE = 8000  # characters that MLflow keeps of a tag


class UnfinishedError(UserError):
    """A sweep of which not every point is done."""

    exit_code = 6


@dataclass
class Driver:
    """What a sweeper needs: `asked` are the overrides of each point by its key, empty where a search makes them up."""

    sweep: Sweep
    store: NullRun
    asked: dict[str, list[str]]
    retry_failed: bool

    def todo(self) -> list[list[str]]:
        """Overrides of the points to run now; says what becomes of the others."""
        known = {point.key: point.status for point in survey.survey(self.sweep, self.store)}
        runnable = [*RUNNABLE, "failed"] if self.retry_failed else RUNNABLE
        todo = [words for key, words in self.asked.items() if known[key] in runnable]
        left = [status for key, status in known.items() if key in self.asked and status not in runnable]
        about = "".join(f", {left.count(status)} {status}" for status in dict.fromkeys(left))
        print(f"sweep {self.sweep.name}: {len(self.asked)} points{about}: {len(todo)} to run", flush=True)
        if "failed" in left:
            print("  --retry-failed runs the failed ones again", flush=True)
        return todo

    def trials(self, keys: Sequence[str]) -> "list[Outcome]":
        """The points as a search knows them, in the order they were begun; failed ones to be asked again, where that is asked."""
        from filterlab.sweeps.search import Outcome

        points = [point for point in survey.begun(self.sweep, self.store) if point.swept.keys() >= set(keys)]
        metric = self.sweep.metric
        curves = self.store.curves([point.run_id for point in points], metric.removeprefix("best/"))
        return [
            Outcome(
                values={key: point.swept[key] for key in keys},
                state="interrupted" if self.retry_failed and point.status == "failed" else point.status,
                value=point.metrics.get(metric),
                curve=[number for _, number in curves[point.run_id]],
            )
            for point in points
        ]


_driving: list[Driver] = []


def drives() -> bool:
    return bool(_driving)


def driving() -> Driver:
    assert _driving, "a sweeper of filterlab runs under `filterlab train --multirun`"
    return _driving[-1]


def run(
    sweep: Sweep,
    asked: dict[str, tuple[list[str], schema.Config]],
    *,
    data: Sequence[schema.Data],
    settings: schema.Tracking,
    root: Path,
    retry_failed: bool,
    launch: Callable[[], object],
) -> None:
    """Run what is missing, then write the report.

    Args:
        asked: the overrides and the configuration of each point, by key; empty for a search.
        data: what the trainings learn from; kept in the sweep's folder before anything is launched.
        launch: starts Hydra, whose sweeper asks for `driving()`.

    Raises:
        UnfinishedError: not every point is done. BusyError: the sweep is being run by another process.
        UserError: its trainings would be mixed with those of another one, or what it froze has been edited.
        DataError: the data are neither in the sweep's folder nor here; nothing has been launched then.
        TrackingError: the store can't be reached; nothing has been launched then.
    """
    check_fixed(sweep, searched=not asked)
    sweeps.check_frozen(sweep)
    for key, (words, config) in asked.items():
        sweep.points[key] = words
        files.write(sweep.point(key) / resolved.RESOLVED, resolved.dump(config))
    with sweeps.alone(sweep):
        frozen.freeze(sweep, data, root=root)
        with opened(sweep, settings, root=root) as store:
            driver = Driver(sweep, store, {key: words for key, (words, _) in asked.items()}, retry_failed)
            _driving.append(driver)
            try:
                launch()
            except KeyboardInterrupt as error:
                error.add_note("what is finished is kept: the same command runs the rest")
                raise
            finally:
                _driving.pop()
            points = collect(sweep, store, root=root)
            # A search goes on over trials that fail, and says itself where none was done.
            if left := [point for point in points if point.status not in ("done", "pruned") and point.key in asked]:
                raise UnfinishedError(unfinished(sweep, left, errors=survey.errors(store, sweep)))


def check_fixed(sweep: Sweep, *, searched: bool) -> None:
    """Raises UserError where an earlier command of this name fixed other values: its trainings would be mixed with these.

    Points are told apart by what is swept. A grid may fix what another command of its name sweeps; a search takes all trials
    of its name for its own.
    """
    told_apart = [] if searched else sweep.swept
    *earlier, now = map(fixed, sweep.commands)
    for before in earlier:
        if differ := [key for key in before | now if key not in told_apart and before.get(key) != now.get(key)]:
            said = ", ".join(f"{key} is {now.get(key, 'not given')} (was {before.get(key, 'not given')})" for key in differ)
            raise UserError(
                f"sweep {sweep.name} holds the trainings of another one: {said}. Say the same but for hydra.sweeper, sweep what "
                "differs, or give this one a name of its own: --sweep NAME"
            )


def fixed(command: Sequence[str]) -> dict[str, Any]:
    """The values by key that are the same in all of a command's trainings."""
    given = [override for override in compose.parse(command) if not override.is_sweep_override()]
    values = {override.get_key_element(): override.value() for override in given if not compose.is_hydras(override)}
    return {key: each for key, each in values.items() if key.partition(".")[0] != "tracking"}


@contextmanager
def opened(sweep: Sweep, settings: schema.Tracking, *, root: Path) -> Iterator[NullRun]:
    """The sweep's parent run for as long as the sweep runs: begun, or gone on with."""
    sweep.tracking = dataclasses.asdict(settings)
    quiet = dataclasses.replace(settings, system_metrics=False)
    tags = {**sweep.tags, survey.SWEEP: sweep.name, "filterlab.kind": "sweep", "filterlab.swept": ", ".join(sweep.swept)}
    with tracking.start(quiet, root=root, name=sweep.name, tags=tags, identity=sweep.parent or sweep.id) as store:
        store.wait()
        sweep.parent = store.id
        sweep.save()
        yield store


def collect(sweep: Sweep, store: NullRun, *, root: Path) -> list[Trial]:
    """Write the report, log it to the parent run, and give the points that it is of."""
    points, paths = write(sweep, store, root=root)
    done = [point for point in points if point.status == "done"]
    step = len(done)  # a later report of the same points says the same
    for path in paths:
        if path.suffix == ".png":
            store.log_image(f"sweep/{path.stem}", path)
    if points:
        store.log_table("points.json", survey.as_columns(points, metric=sweep.metric))
    store.log_artifact(sweep.folder / "report")
    store.set_tags({"filterlab.points": survey.counts(points), tracking.NOTE: note(sweep)})
    if values := [value for point in done if math.isfinite(value := point.metrics.get(sweep.metric, math.nan))]:
        store.log_metrics({sweep.metric: max(values) if sweep.direction == "max" else min(values)}, step=step)
    return points


def note(sweep: Sweep) -> str:
    """For the parent run's page, in Markdown: the report's summary, and the command that goes on with the sweep."""
    summary = (sweep.folder / "report/summary.txt").read_text(encoding="utf-8")
    again = shlex.join(["filterlab", "train", "--multirun", "--sweep", sweep.name, *sweep.commands[-1]])
    return "\n".join([f"    {line}" for line in [*summary.splitlines(), "", again]])[:NOTE]


def write(sweep: Sweep, store: NullRun, *, root: Path) -> tuple[list[Trial], list[Path]]:
    """Write report/ from what the store knows, print its summary, and give the points and the report's files."""
    points = survey.survey(sweep, store)
    done = [point for point in points if point.status == "done"]
    stepwise = sweep.metric.removeprefix("best/")
    curves = store.curves([point.run_id for point in done], stepwise)
    folder = sweep.folder / "report"
    paths = report.write(
        points,
        name=sweep.name,
        metric=sweep.metric,
        direction=sweep.direction,
        curves={run_id: [number for _, number in curve] for run_id, curve in curves.items()},
        first_layers={point.key: layer for point in done if (layer := first_layer(sweep, point)) is not None},
        image_shape=image_shape(sweep, done),
        folder=folder,
    )
    summary = (folder / "summary.txt").read_text(encoding="utf-8")
    print(f"\n{summary.rstrip()}\n\n  report  {folder.relative_to(root)}/", flush=True)
    return points, paths


def first_layer(sweep: Sweep, point: Trial) -> Any:
    """Weights of the first layer at the best epoch, float32; None where the training's files are on another machine, or damaged,
    which is said."""
    models = sweep.point(point.key) / "models"
    if not models.exists():
        return None
    try:
        return folder.first_layers(models)[int(point.metrics["best_epoch"])]
    except DataError as error:
        print(f"  left out of the report's filters: {error}", flush=True)
        return None


def image_shape(sweep: Sweep, points: Sequence[Trial]) -> tuple[int, int, int]:
    """Channels, height and width of the images that the points were trained on."""
    for point in points:
        models = sweep.point(point.key) / "models"
        with contextlib.suppress(DataError):  # first_layer has said it
            data = folder.describe(models)["data"]
            return data["channels"], data["height"], data["width"]
    return 1, 28, 28


def unfinished(sweep: Sweep, left: Sequence[Trial], *, errors: dict[str, str]) -> str:
    lines = [f"{survey.counts(left)} of sweep {sweep.name}"]
    for point in left[:10]:
        at = " ".join(f"{name}={given}" for name, given in point.swept.items())
        why = f": {errors[point.run_id].splitlines()[0]}" if point.run_id in errors else ""
        lines.append(f"  {point.status:<12}{at}{why}")
    if len(left) > 10:
        lines.append(f"  and {len(left) - 10} more: filterlab sweep status {sweep.name}")
    what = {point.status for point in left}
    if what & {*RUNNABLE}:
        lines.append("the same command runs what is missing")
    if "failed" in what:
        lines.append("with --retry-failed it runs what failed as well")
    return "\n".join(lines)
