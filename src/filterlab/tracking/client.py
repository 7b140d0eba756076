"""Client: MLflow's client of one store, opened and checked, and what is asked of a store."""

import contextlib
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
import requests
from mlflow.entities import LoggedModelStatus

from filterlab.errors import TrackingError, UserError
from filterlab.tracking import database
from filterlab.tracking.store import ARTIFACTS, DATABASE, IDENTITY

MODEL = "data/models"  # the folder of a logged model that has the files of models/
PAGE = 1000  # runs that MLflow gives in one call
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED")  # the second: a server with passwords, of a run that it has not


class Client:
    """One experiment of one store; made where it is missing and the store is written to.

    Args:
        place: how messages call the store.
        uri: as MLflow takes it.
        folder: of a local store, and the working directory; empty for a server.
        experiment: its name.
        writing: whether the store is to be written to.

    Raises:
        TrackingError: it can't be used. MLflow's and the network's own errors: see `message`.
    """

    def __init__(self, *, place: str, uri: str, folder: str, experiment: str, writing: bool):
        self.place, self.uri, self.folder = place, uri, folder
        if folder:
            os.chdir(folder)
            database.prepare(Path(folder), writing=writing)
            self.file = database.identity(Path(folder, DATABASE))
            uri = database.uri(DATABASE, of=self.file)
        mlflow.set_tracking_uri(uri)
        self.mlflow = mlflow.MlflowClient(uri)
        found = self.mlflow.get_experiment_by_name(experiment)
        if found is None and not writing:
            self.experiment = ""
        elif found is None:
            location = (Path(folder) / ARTIFACTS / experiment).as_uri() if folder else None
            self.experiment = create_experiment(self.mlflow, experiment, location)
        elif found.lifecycle_stage == "active":
            self.experiment = found.experiment_id
        else:
            raise TrackingError(
                f"the experiment `{experiment}` of the MLflow store {place} was deleted: bring it back with "
                f"`{self.command(f'experiments restore --experiment-id {found.experiment_id}')}`, "
                "or log into another one with tracking.experiment=NAME"
            )

    def replaced(self) -> bool:
        """Whether another file has the local store's name by now."""
        path = Path(self.folder, DATABASE)
        return bool(self.folder) and path.exists() and database.identity(path) != self.file

    def check_place(self) -> None:
        """Raises TrackingError where the local store is gone: MLflow would make its folder anew, in the old place."""
        if self.folder and not Path(self.place).exists():
            raise TrackingError(
                f"the MLflow store {self.place} is not there any longer: the repository was moved or deleted while the run was "
                "under way; give the command again where it is now"
            )

    def command(self, words: str) -> str:
        return database.mlflow(self.folder, words, MLFLOW_TRACKING_URI=self.uri)

    def exists(self, run_id: str) -> bool:
        try:
            return self.mlflow.get_run(run_id).info.lifecycle_stage == "active"
        except mlflow.MlflowException as error:
            if error.error_code in UNKNOWN:
                return False
            raise

    def find(self, identity: str) -> str:
        """MLflow's id of the run that has this identity, or this id; empty where there is none."""
        if self.exists(identity):
            return identity
        if not self.experiment:
            return ""
        found = self.mlflow.search_runs([self.experiment], f"tags.`{IDENTITY}` = '{identity}'", max_results=1)
        return str(found[0].info.run_id) if found else ""

    def search(self, *, tags: Mapping[str, str], status: str) -> list[dict[str, Any]]:
        """Runs of the experiment, oldest first: facts of their own, parameters, tags and the last value of each metric."""
        where = [f"tags.`{name}` = '{given}'" for name, given in tags.items()]
        where += [f"attributes.status = '{status}'"] if status else []
        found: list[dict[str, Any]] = []
        page: str | None = None
        while self.experiment:
            runs = self.mlflow.search_runs(
                [self.experiment], " AND ".join(where), max_results=PAGE, order_by=["start_time ASC"], page_token=page
            )
            for run in runs:
                facts = {"id": run.info.run_id, "name": run.info.run_name, "status": run.info.status}
                times = {"started": run.info.start_time, "ended": run.info.end_time}
                data = {"params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags}
                found.append(facts | times | data)
            if not (page := runs.token):
                break
        return found

    def read_artifact(self, *, run_id: str, path: str) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            return Path(self.mlflow.download_artifacts(run_id, path, scratch)).read_text(encoding="utf-8")

    def bring_model(self, *, run_id: str, folder: str) -> bool:
        """Copy the files of the run's model to a folder. False where it has none."""
        found = self.mlflow.search_logged_models([self.experiment], f"source_run_id = '{run_id}'") if self.experiment else []
        ready = [model.artifact_location for model in found if model.status == LoggedModelStatus.READY]
        if not ready:
            return False
        with tempfile.TemporaryDirectory() as scratch:
            for path in Path(mlflow.artifacts.download_artifacts(f"{ready[0]}/{MODEL}", dst_path=scratch)).iterdir():
                shutil.copyfile(path, Path(folder) / path.name)
        return True

    def history(self, *, run_id: str) -> dict[str, dict[int, float]]:
        """The run's metrics by name and step."""
        names = self.mlflow.get_run(run_id).data.metrics
        found = {name: {point.step: point.value for point in self.mlflow.get_metric_history(run_id, name)} for name in names}
        # MLflow's databases hold no infinity, but the largest number in its place.
        largest = sys.float_info.max
        back = {largest: math.inf, -largest: -math.inf}
        return {name: {step: back.get(value, value) for step, value in points.items()} for name, points in found.items()}


def create_experiment(client: mlflow.MlflowClient, name: str, location: str | None) -> str:
    """Make the experiment, or find it made by another process in between (a server has no lock of ours)."""
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


@contextlib.contextmanager
def timeouts(*, retries: int, seconds: int) -> Iterator[None]:
    """How often, and how long, MLflow asks a server, unless the environment says it."""
    ours = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries), "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}
    added = ours.keys() - os.environ.keys()
    os.environ.update({name: ours[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def message(error: Exception, *, place: str, folder: str) -> str:
    """An error in one sentence, with the variables to set where a server asks for a password."""
    if isinstance(error, UserError):
        return str(error)
    if not folder and (why := why_unreachable(error)):
        return f"the MLflow store {place} does not answer ({why}): is the server running, and is this its address?"
    # MLflow repeats what its database wrote, with the statement and its values on lines of their own.
    what = database.meaning(error) if folder else ""
    what = what or f"{type(error).__name__}: " + " ".join(str(error).partition("\n[SQL:")[0].split())
    if isinstance(error, mlflow.MlflowException) and error.error_code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
        what += " (set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to your name and password on this server)"
    return f"the MLflow store {place} failed: {what}"


def why_unreachable(error: Exception) -> str:
    """Why a server could not be reached, in the system's words; empty where it answered."""
    found = list(database.causes(error))
    if not any(isinstance(cause, requests.ConnectionError | requests.Timeout) for cause in found):
        return ""
    return next((cause.strerror for cause in found if isinstance(cause, OSError) and cause.strerror), "no answer in time")


def serve(questions: Iterator[tuple[str, dict[str, Any]]], answer: Callable[[Any], object], opened: dict[str, Any]) -> None:
    """Answer questions about a store, each ("ok", what was found) or ("error", a sentence), by the functions above."""
    client: Client | None = None
    for method, arguments in questions:
        try:
            if client is None:
                with timeouts(retries=1, seconds=5):
                    client = Client(**opened)
            answer(("ok", getattr(client, method)(**arguments)))
        except Exception as error:  # whatever mlflow, its store or its network raises goes to the parent
            answer(("error", message(error, place=opened["place"], folder=opened["folder"])))
