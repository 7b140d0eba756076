"""A run's trained network, whichever run: with its resolved config and its curves brought to a folder of its own, runs/<id>."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filterlab import files, seal, tables, tracking
from filterlab.config import compose, resolved, schema
from filterlab.errors import DataError, UserError
from filterlab.models import folder
from filterlab.runs.logging import PROCESSOR
from filterlab.sweeps import promotion
from filterlab.sweeps import sweep as sweeps
from filterlab.tracking import Found, Reader
from filterlab.training import curves

SHA = "filterlab.sha256."  # and a file's name: the tag of what the run has logged


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        settings: of the store that has the run, to log to it.
        config: that it was trained with.
        out: runs/<id>, which holds its models/, results/config.yaml and results/curves.csv.
    """

    run: Found
    settings: schema.Tracking
    config: schema.Config
    out: Path

    @property
    def name(self) -> str:
        """For messages and headings."""
        return f"{self.run.id[:8]} ({self.run.name})"


def bring(root: Path, *, run: str = "", sweep: str = "") -> Trained:
    """The run whose id begins with `run`, or the best of `sweep` by validation, as `filterlab promote --best` finds it.

    Raises:
        UserError: there is no such run, it has no trained network, or it is of another version of filterlab.
        DataError: what was logged is damaged. TrackingError: its store can't be reached.
    """
    if not sweep:
        return bring_all(root, [run])[0]
    settings = sweeps.find(root, sweep).tracking_settings()
    metric = sweeps.find(root, sweep).metric.removeprefix("best/")
    with tracking.reading(settings, root=root) as store:
        return bring_found(root, store, promotion.best_run(root, store, sweep=sweep, metric=metric), settings)


def bring_all(root: Path, runs: Sequence[str]) -> list[Trained]:
    """Those whose ids begin so. Raises as `bring` does."""
    settings = compose.compose(root / "conf", promotion.from_parameters(root)).tracking
    with tracking.reading(settings, root=root) as store:
        return [bring_found(root, store, promotion.find_run(store, run), settings) for run in runs]


def bring_found(root: Path, store: Reader, found: Found, settings: schema.Tracking) -> Trained:
    check_finished(found)
    config = promotion.read_config(store, found)
    out = root / sweeps.FOLDER / found.id
    bring_model(store, found, out / "models")
    bring_curves(store, found, out)
    files.write(out / resolved.RESOLVED, resolved.dump(config))
    return Trained(found, settings, config, out)


def check_finished(run: Found) -> None:
    """Raises UserError: it can have no trained network, or none yet."""
    if run.tags.get("filterlab.kind") == "sweep":
        name = run.tags.get("filterlab.sweep", run.name)
        raise UserError(f"run {run.id} is the sweep {name} itself: name one of its trainings, or the best: --sweep {name}")
    if "filterlab.code" not in run.tags:
        raise UserError(f"run {run.id} ({run.name}) is no training of filterlab's, and has no network: name another run")
    if run.status != "FINISHED":
        raise UserError(
            f"run {run.id} ({run.name}) is {run.status}, expected FINISHED: it has no trained network"
            + (" yet: wait for its end" if run.status == "RUNNING" else "; the command that began it goes on with it")
        )


def bring_model(store: Reader, run: Found, place: Path) -> None:
    """Copy its files, unless they are there. Raises UserError: it has none. DataError: they are not those that it has logged."""
    logged = {name.removeprefix(SHA): digest for name, digest in run.tags.items() if name.startswith(SHA)}
    if not logged or not all(is_file(place / name, digest) for name, digest in logged.items()):
        shutil.rmtree(place, ignore_errors=True)
        with files.blaming(place, verb="write"):
            place.mkdir(parents=True)
        if not store.bring_model(run, place):
            raise UserError(f"run {run.id} ({run.name}) has logged no trained network: it is no training of this filterlab's")
    remedy = f"what run {run.id} has logged is damaged: bring its store back from a copy, or train it again"
    for name, digest in logged.items():
        seal.read_bytes(place / name, sha256=digest, remedy=remedy)
    try:
        if folder.FIRST_LAYERS in folder.describe(place)["files"] and not (place / folder.FIRST_LAYERS).exists():
            folder.restore_first_layer(place)  # which a sweep's training has not logged
    except DataError as error:
        shutil.rmtree(place)
        raise DataError(f"run {run.id} ({run.name}) can't be read here: {str(error).partition('; ')[0]}; {remedy}") from error


def is_file(path: Path, digest: str) -> bool:
    return path.is_file() and seal.sha256(path.read_bytes()) == digest


def bring_curves(store: Reader, run: Found, out: Path) -> None:
    """Write results/curves.csv from the run's metrics: a sweep's training has logged no file of them.

    Raises DataError: it is not the file that the training wrote.
    """
    described = folder.describe(out / "models")["files"].get(curves.CURVES.name, "")
    if is_file(out / curves.CURVES, described):
        return
    logged, header = store.history(run), curves.names(run.params.get("trainer.monitor", "validation/accuracy"))
    names = header[1:-1]
    columns: Mapping[str, Mapping[int, float]] = {name: logged.get(name, {}) for name in names}
    best = run.metrics.get("best_epoch")
    epochs = sorted(columns["validation/loss"])
    rows = [[epoch, *(columns[name].get(epoch, "") for name in names), int(epoch == best)] for epoch in epochs]
    if tables.write(out / curves.CURVES, header, rows) != described:
        raise DataError(
            f"the metrics by epoch of run {run.id} ({run.name}) in the store are not those of its training: some were deleted or "
            "changed; bring the store back from a copy, or train it again"
        )


def find_data(root: Path, trained: Trained) -> Path:
    """The folder with the data that it was trained on, made if need be. Raises UserError: they are others, or are gone."""
    from filterlab.data import ready

    promotion.check_data(root, trained.run, trained.config)
    return ready.find(trained.config.data, root)


def ran(run: Found) -> dict[str, Any]:
    """What no rerun repeats, as results/run.json has it, from what the run has logged."""
    tags = {"commit": "mlflow.source.git.commit", "dirty": "filterlab.dirty", "processor": PROCESSOR}
    metrics = {"seconds": "training/seconds", "images_per_second": "training/images_per_second"}
    found: dict[str, Any] = {name: run.tags[tag] for name, tag in tags.items() if tag in run.tags}
    found |= {name: run.tags[name] for name in ("device", "precision") if name in run.tags}
    return {"run_id": run.id, **found, **{name: run.metrics[metric] for name, metric in metrics.items() if metric in run.metrics}}
