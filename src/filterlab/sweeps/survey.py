"""What the store knows of a sweep: done, running, queued, failed, interrupted and missing points."""

from collections.abc import Iterable, Mapping

from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.point import Point
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import Found, NullRun, process

SWEEP, KEY, STATE, SWEPT = "filterlab.sweep", "filterlab.point", "filterlab.state", "swept."
TERMINAL = {"FINISHED": "done", "FAILED": "failed", "KILLED": "interrupted"}


def tags(sweep: Sweep, *, key: str, swept: Mapping[str, str]) -> dict[str, str]:
    """What a training of the sweep is found by."""
    return {
        **sweep.tags,
        "mlflow.parentRunId": sweep.parent,
        SWEEP: sweep.name,
        KEY: key,
        **{f"{SWEPT}{name}": given for name, given in swept.items()},
    }


def survey(sweep: Sweep, store: NullRun, *, asked: Mapping[str, Mapping[str, str]] | None = None) -> list[Point]:
    """A sweep's points in the order they were begun, then those of `asked` that were not, in its order.

    Args:
        store: a handle that can search.
        asked: key -> swept values of the points of a command. Where it is None, the trainings that a scheduler holds
            and that have not begun are found by what was submitted.
    """
    points: dict[str, Point] = {}
    for run in store.search(f"tags.`{SWEEP}` = '{sweep.name}' AND tags.`mlflow.parentRunId` = '{sweep.parent}'"):
        point = read(run)
        if point.key not in points or points[point.key].status != "done":  # of a point tried again, the try that was done
            points[point.key] = point
    waiting = list(queued(sweep))
    for key, swept in (asked or {}).items():
        held = dict(swept) in waiting
        if key not in points or (held and points[key].status in ("failed", "interrupted")):
            points[key] = Point(
                key=key, swept=dict(swept), status="queued" if held else "missing", run_id="", metrics={}, seconds=None
            )
    if asked is None:
        known = [point.swept for point in points.values() if point.status in ("done", "running")]
        for number, swept in enumerate(swept for swept in waiting if swept not in known):
            points[f"queued{number:010d}"] = Point(key="", swept=swept, status="queued", run_id="", metrics={}, seconds=None)
    return list(points.values())


def read(run: Found) -> Point:
    status = TERMINAL.get(run.status, "running")
    if status == "running" and not process.alive(run.tags):
        status = "interrupted"
    if status == "done" and run.tags.get(STATE) == "pruned":
        status = "pruned"
    return Point(
        key=run.tags[KEY],
        swept={name.removeprefix(SWEPT): given for name, given in run.tags.items() if name.startswith(SWEPT)},
        status=status,
        run_id=run.id,
        metrics={name: number for name, number in run.metrics.items() if not name.startswith(("system/", "step/"))},
        seconds=(run.ended - run.started) / 1000 if run.ended else None,
    )


def queued(sweep: Sweep) -> Iterable[dict[str, str]]:
    """Swept values of the trainings that a scheduler holds."""
    jobs = {job: overrides for overrides, job in sweeps.submitted(sweep)}
    alive = process.queued(list(jobs))
    return [sweeps.swept(jobs[job], sweep.swept) for job in jobs if job in alive]


def counts(points: Iterable[Point]) -> str:
    """E.g. "12 done, 1 failed"."""
    found: dict[str, int] = {}
    for point in points:
        found[point.status] = found.get(point.status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in found.items()) or "none begun"


def errors(store: NullRun, sweep: Sweep) -> dict[str, str]:
    """What failed trainings said, by run id."""
    found = store.search(f"tags.`{SWEEP}` = '{sweep.name}' AND attributes.status = 'FAILED'")
    return {run.id: run.tags.get("filterlab.error", "no message") for run in found}


def as_columns(points: list[Point], *, metric: str) -> dict[str, list[object]]:
    """For MLflow's table: a row a point."""
    names = list(dict.fromkeys(name for point in points for name in point.swept))
    columns: dict[str, list[object]] = {name: [point.swept.get(name, "") for point in points] for name in names}
    columns |= {"status": [point.status for point in points], metric: [point.metrics.get(metric) for point in points]}
    return columns | {"run": [point.run_id for point in points], "point": [point.key for point in points]}
