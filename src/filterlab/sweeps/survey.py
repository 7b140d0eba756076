"""What the store knows of a sweep: done, running, queued, failed, interrupted points, and those that are not started."""

from collections.abc import Iterable, Mapping

from filterlab.slurm import queued_jobs
from filterlab.study.trial import Trial
from filterlab.sweeps import sweep as sweeps
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


def survey(sweep: Sweep, store: NullRun) -> list[Trial]:
    """A sweep's points in the order they were begun, then those that were asked for and have not begun.

    Args:
        store: a handle that can search.
    """
    points = {point.key: point for point in begun(sweep, store)}
    waiting = queued(sweep)
    held_keys, unknown = {key for key, _ in waiting}, [swept for key, swept in waiting if not key]
    for key, words in sweep.points.items():
        swept = sweeps.swept(words, sweep.swept)
        held = key in held_keys or swept in unknown
        if key not in points or (held and points[key].status in ("failed", "interrupted")):
            points[key] = not_begun(key, swept, "queued" if held else "not started")
    known = [point.swept for point in points.values() if point.status in ("done", "pruned", "running", "queued")]
    return [*points.values(), *(not_begun("", swept, "queued") for swept in unknown if swept not in known)]


def begun(sweep: Sweep, store: NullRun) -> list[Trial]:
    """The points that have a run, in the order they were begun; of one tried again, the try that was done, else the last."""
    runs = store.search(f"tags.`{SWEEP}` = '{sweep.name}' AND tags.`mlflow.parentRunId` = '{sweep.parent}'")
    open_ended = [run for run in runs if run.status not in TERMINAL]
    alive = dict(zip([run.id for run in open_ended], process.alive([run.tags for run in open_ended]), strict=True))
    points: dict[str, Trial] = {}
    for run in runs:
        point = read(run, alive=alive.get(run.id, False))
        if point.key not in points or points[point.key].status != "done":
            points[point.key] = point
    return list(points.values())


def read(run: Found, *, alive: bool) -> Trial:
    status = TERMINAL.get(run.status, "running" if alive else "interrupted")
    if status == "done" and run.tags.get(STATE) == "pruned":
        status = "pruned"
    return Trial(
        key=run.tags[KEY],
        swept={name.removeprefix(SWEPT): given for name, given in run.tags.items() if name.startswith(SWEPT)},
        status=status,
        run_id=run.id,
        metrics={name: number for name, number in run.metrics.items() if not name.startswith(("system/", "step/"))},
        seconds=(run.ended - run.started) / 1000 if run.ended else None,
    )


def not_begun(key: str, swept: dict[str, str], status: str) -> Trial:
    return Trial(key=key, swept=swept, status=status, run_id="", metrics={}, seconds=None)


def queued(sweep: Sweep) -> list[tuple[str, dict[str, str]]]:
    """Key and swept values of the trainings that a scheduler holds; the key is empty where no command asked for that point."""
    jobs = {job: overrides for overrides, job in sweeps.submitted(sweep)}
    alive = queued_jobs(list(jobs))
    keys = {frozenset(words): key for key, words in sweep.points.items()}
    return [(keys.get(frozenset(jobs[job]), ""), sweeps.swept(jobs[job], sweep.swept)) for job in jobs if job in alive]


def counts(points: Iterable[Trial]) -> str:
    """E.g. "12 done, 1 failed"."""
    found: dict[str, int] = {}
    for point in points:
        found[point.status] = found.get(point.status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in found.items()) or "none begun"


def errors(store: NullRun, sweep: Sweep) -> dict[str, str]:
    """What failed trainings said, by run id."""
    found = store.search(f"tags.`{SWEEP}` = '{sweep.name}' AND attributes.status = 'FAILED'")
    return {run.id: run.tags.get("filterlab.error", "no message") for run in found}


def as_columns(points: list[Trial], *, metric: str) -> dict[str, list[object]]:
    """For MLflow's table: a row a point."""
    names = list(dict.fromkeys(name for point in points for name in point.swept))
    columns: dict[str, list[object]] = {name: [point.swept.get(name, "") for point in points] for name in names}
    columns |= {"status": [point.status for point in points], metric: [point.metrics.get(metric) for point in points]}
    return columns | {"run": [point.run_id for point in points], "point": [point.key for point in points]}
