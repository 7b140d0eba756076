"""results/run.json: the MLflow run of the training that made models/, and what no rerun repeats (times, memory, device)."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filterlab import repository, seal
from filterlab.config import schema
from filterlab.errors import TrackingError
from filterlab.repository import folder_md5
from filterlab.tracking import NullRun, spool, store

RUN = Path("results/run.json")
SECONDS = Path("results/seconds.json")  # of the stages after it
TOLD = {"run_id": "run", "commit": "commit", "processor": "machine", "device": "device", "precision": "precision"}


def write(out: Path, run: NullRun, *, measured: Mapping[str, Any]) -> None:
    """Write it beside the models/ that the run trained. Raises DataError where it can't be written."""
    place = {"run_id": run.id, "experiment_id": run.experiment, "server": run.server}
    seal.write(out / RUN, {**place, "models": folder_md5(out / "models"), **measured})


def run_id(root: Path) -> str:
    """The MLflow run that trained the model in `root`; empty where tracking was off, or nothing was trained. As `trained_as`."""
    return trained_as(root)["run_id"]


def trained_as(root: Path) -> dict[str, str]:
    """The `run_id` of the run that trained the model in `root`, its `experiment_id`, and the `server` that has it.

    DVC brings models from its cache, results/run.json it never touches. Where that is another model's, or missing, the run is
    known by the model itself: by the MD5 of models/, with which training tags it. Raises DataError: results/run.json is damaged.
    """
    models = folder_md5(root / "models")
    if (root / RUN).exists():
        remedy = "remove it, and the run is found by the model that it trained"
        record = seal.read(root / RUN, keys=["run_id", "models"], remedy=remedy)
        if record["models"] == models:
            return {key: str(record.get(key, "")) for key in ("run_id", "experiment_id", "server")}
    return {"run_id": models, "experiment_id": "", "server": ""}


def address(settings: schema.Tracking, *, root: Path, out: Path) -> str:
    """Where MLflow shows the run that trained the model in `out`: an address, or why there is none."""
    try:
        located = store.locate(settings, root=root)
    except TrackingError as error:  # of parameters that came after the results
        return str(error)
    trained = trained_as(out)
    if spool.Spool(repository.home(root) / spool.FOLDER / trained["run_id"]).exists():
        return f"not yet: {spool.FOLDER}/{trained['run_id']} waits, and `filterlab sync` sends it"
    if located.folder:
        if found := store.find(located, trained["run_id"]):
            return f"make ui, then open {page('http://127.0.0.1:5000', *found)}"
        return f"no run {trained['run_id']} is in {store.DATABASE}: `filterlab pipeline` brings it back"
    if trained["experiment_id"] and trained["server"] == located.address:
        return page(located.address, trained["experiment_id"], trained["run_id"])
    return f"{located.address} (the run tagged {store.MODELS}={folder_md5(out / 'models')})"


def model_uri(settings: schema.Tracking, *, root: Path, out: Path) -> str:
    """What MLflow's load_model takes for the model in `out`, anywhere if the store is local; empty before it is logged."""
    try:
        located = store.locate(settings, root=root)
    except TrackingError:
        return ""
    trained = trained_as(out)
    if located.folder:
        found = store.find(located, trained["run_id"])
        return store.find_model(located, found[1]) if found else ""
    here = trained["experiment_id"] and trained["server"] == located.address
    return f"runs:/{trained['run_id']}/model" if here else ""


def page(server: str, experiment: str, run: str) -> str:
    """The address of the run among MLflow's pages for machine learning. Without its last part, it opens among those for
    generative AI.
    """
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"


def read(out: Path) -> dict[str, Any]:
    """What results/run.json holds; nothing, where it is of another model than is in `out`, which DVC has brought."""
    if not (out / RUN).exists():
        return {}
    record = seal.read(out / RUN, remedy="remove it, and the run is found by the model that it trained")
    return record if record.get("models") == folder_md5(out / "models") else {}


def told(ran: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What no rerun repeats, but for the times, for a page."""
    rows = [(name, str(ran[key])) for key, name in TOLD.items() if ran.get(key)]
    if ran.get("dirty") == "true":
        rows = [(name, f"{said}, and code that was never committed") if name == "commit" else (name, said) for name, said in rows]
    if "images_per_second" in ran:
        rows.append(("speed", f"{ran['images_per_second']:,.0f} images/s in training"))
    if "peak_memory_mib" in ran:
        rows.append(("memory", f"{ran['peak_memory_mib']:,} MiB at most"))
    return rows


def times(out: Path, ran: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Seconds that the training took, and each of the stages after it."""
    training = [("train", float(ran["seconds"]))] if "seconds" in ran else []
    return training + [(stage, float(taken)) for stage, taken in sorted(_seconds(out).items())] if ran else []


@contextmanager
def timed(out: Path, stage: str, run: NullRun) -> Iterator[None]:
    """Note how long the block takes, where it ends well: in the run, and beside the results in `out`."""
    begun = time.monotonic()
    yield
    taken = round(time.monotonic() - begun, 2)
    run.log_metrics({f"seconds/{stage}": taken})
    seal.write(out / SECONDS, {**_seconds(out), stage: taken})


def _seconds(out: Path) -> dict[str, Any]:
    return seal.read(out / SECONDS, remedy="remove it") if (out / SECONDS).exists() else {}
