"""The store, and its runs that are RUNNING."""

import functools
from collections.abc import Iterator
from pathlib import Path

from filterlab import repository
from filterlab.config import resolved
from filterlab.doctor import locks
from filterlab.doctor.finding import Finding
from filterlab.errors import DataError, TrackingError, UserError
from filterlab.sweeps import status
from filterlab.sweeps import sweep as sweeps
from filterlab.tracking import checkup, spool, store
from filterlab.tracking.checkup import Running

SHOWN = 3  # runs that a line names


def check_store(root: Path) -> Iterator[Finding]:
    """A local one: whole, of our schema, its artifacts there. A server: it answers."""
    if (place := located(root)) is None:
        yield Finding("tracking asks no store")
        return
    try:
        if not place.folder:
            yield Finding(f"{place.address} answers: MLflow {checkup.ask(place.address)}")
        elif not (place.folder / store.DATABASE).exists():
            yield Finding(f"{store.DATABASE} is not here yet: the first run makes it")
        else:
            yield Finding(f"{store.DATABASE}: {checkup.check(place.folder)}")
    except TrackingError as error:
        local = "put it back from a backup, or move it away and a new one is made; docs/reliability.md, docs/server.md"
        yield Finding(str(error), local if place.folder else "start it, or correct MLFLOW_TRACKING_URI; docs/server.md")


def located(root: Path) -> store.Store | None:
    """The store of the resolved config, or the local one; None where tracking is off."""
    try:
        settings = resolved.load(root).tracking
    except UserError:  # of which the line "config" tells
        return store.Store(address="", folder=repository.home(root))
    return None if settings.backend in ("off", "offline") else store.locate(settings, root=root)


def check_running(root: Path) -> Iterator[Finding]:
    """Whether the process of each run that the store has as RUNNING is there."""
    place = located(root)
    if place is None or (place.folder and not (place.folder / store.DATABASE).exists()):
        yield Finding("none is RUNNING")
        return
    try:
        found = checkup.running(place.folder) if place.folder else checkup.running_at(place.address, experiment(root))
    except TrackingError:
        yield Finding("the store can't be asked, as said above")
        return
    dead = [*checkup.gone(found), *(run for run in found if is_left_parent(root, run))]
    dead = [run for run in dead if not being_sent(root, run)]
    for run in dead[:SHOWN]:
        yield Finding(
            f"{run.name} ({run.id}) is RUNNING, and its process is gone",
            "the same command goes on with it",
            functools.partial(kill, root, place.folder, [run]) if place.folder else None,
        )
    if more := dead[SHOWN:]:
        yield Finding(
            f"{len(more)} more are RUNNING, and their processes are gone",
            "the same commands go on with them",
            functools.partial(kill, root, place.folder, more) if place.folder else None,
        )
    if not dead:
        yield Finding(f"{len(found)} RUNNING" + ", each with its process, as far as can be known here" * bool(found))


def experiment(root: Path) -> str:
    return resolved.load(root).tracking.experiment


def check_spools(root: Path) -> Iterator[Finding]:
    """What no store has got yet, and nobody is bringing to one."""
    waiting: dict[str, int] = {}
    for kept in spool.find(repository.home(root)):
        try:
            left = kept.left()
        except DataError as error:
            yield Finding(str(error), "then `filterlab sync`")
            continue
        if left and not at_work(kept):
            waiting[kept.folder.name] = left
    if waiting:
        names = ", ".join(list(waiting)[:SHOWN]) + f", and {len(waiting) - SHOWN} more" * (len(waiting) > SHOWN)
        count, records = len(waiting), sum(waiting.values())
        yield Finding(
            f"{count} spool{'s wait' if count > 1 else ' waits'}, {records:,} record{'s' * (records > 1)} that no store has got: "
            f"{spool.FOLDER}/ {names}",
            "`filterlab sync` sends them",
        )
    else:
        yield Finding("nothing waits to be sent")


def at_work(kept: spool.Spool) -> str:
    """Who writes to a spool, or sends it; empty where nobody does."""
    return locks.holder(kept.folder / "writer.lock") or locks.holder(kept.folder / "sender.lock")


def being_sent(root: Path, run: Running) -> bool:
    """Whether a sender that outlives the run's process will say how it ended."""
    return bool(at_work(spool.Spool(repository.home(root) / spool.FOLDER / run.tags.get(store.IDENTITY, run.id))))


def is_left_parent(root: Path, run: Running) -> bool:
    """Whether it is a sweep's own run, and nobody drives the sweep."""
    if run.tags.get("filterlab.kind") != "sweep":
        return False
    return not locks.holder(root / sweeps.FOLDER / run.tags.get(status.SWEEP, "") / "driver.lock")


def kill(root: Path, folder: Path, runs: list[Running]) -> str:
    dead = [run for run in runs if not being_sent(root, run)]
    for run in dead:
        checkup.mark_killed(folder, run.id)
    return f"{', '.join(run.name or run.id for run in dead)}: KILLED in {store.DATABASE}; the same command still goes on with it"
