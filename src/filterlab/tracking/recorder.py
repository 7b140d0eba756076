"""Recorder: the process that writes to MLflow what a Run sends; preloaded.py forks one for each run.

Messages are (method, arguments, asked). An answer goes back to what was asked, and for the first thing that fails; after
a failure nothing more is written. Only the parent's end of the pipe is trusted: it is ours, inherited, and not on a network.
"""

import contextlib
import json
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES, MLFLOW_PARENT_RUN_ID

from filterlab.errors import TrackingError
from filterlab.tracking import database
from filterlab.tracking.logged_model import LoggedModel
from filterlab.tracking.store import ARTIFACTS, ERROR, IDENTITY, MODELS, RESTORED

BATCH = 1000  # metrics that MLflow takes in one call
TRIES = 5
PAGE = 1000  # runs that MLflow gives in one call
SAMPLING = 5.0  # seconds between two samples of the system's metrics
LATEST = 10**13 - 1  # of several pictures of a step, the pages show the one of the latest time (in milliseconds)
DIGEST = 36  # characters of a data set's digest that MLflow keeps


class Recorder:
    """One run in one store; the methods are the messages of run.py."""

    def __init__(self) -> None:
        self.place = self.uri = self.folder = ""
        self.run_id = ""
        self.finished = True
        self.new = False
        self.logged: set[tuple[str, int]] = set()  # (name, step) that a resumed run has already
        self.params: set[str] = set()  # likewise
        self.points: list[Metric] = []
        self.monitor: SystemMetricsMonitor | None = None
        self.model: LoggedModel | None = None

    def open(self, *, place: str, uri: str, folder: str, experiment: str, writing: bool, environment: dict[str, str]) -> None:
        self.place, self.uri, self.folder = place, uri, folder
        # The parent's, of now: what it tells MLflow may have changed since the process that this one is forked from.
        os.environ.clear()
        os.environ.update(environment)
        mlflow.set_tracking_uri(uri)
        if folder:
            os.chdir(folder)
            database.prepare(Path(folder), writing=writing)
        with short_timeouts():
            self.client = mlflow.MlflowClient(uri)
            found = self.client.get_experiment_by_name(experiment)
            if found is None:
                location = (Path(folder) / ARTIFACTS / experiment).as_uri() if folder else None
                self.experiment = create_experiment(self.client, experiment, location)
            elif found.lifecycle_stage == "active":
                self.experiment = found.experiment_id
            else:
                raise TrackingError(
                    f"the experiment `{experiment}` of the MLflow store {place} was deleted: bring it back with "
                    f"`{self.command(f'experiments restore --experiment-id {found.experiment_id}')}`, "
                    "or log into another one with tracking.experiment=NAME"
                )

    def check_place(self) -> None:
        """Raises TrackingError where the local store is gone: MLflow would make its folder anew, in the old place."""
        if self.folder and not Path(self.place).exists():
            raise TrackingError(
                f"the MLflow store {self.place} is not there any longer: the repository was moved or deleted while the run was "
                "under way; give the command again where it is now"
            )

    def command(self, words: str) -> str:
        return database.mlflow(self.folder, words, MLFLOW_TRACKING_URI=self.uri)

    def create(self, *, name: str, tags: dict[str, str], identity: str, system_metrics: bool) -> None:
        self.run_id = self.find_earlier(identity) if identity else ""
        resumed = bool(self.run_id)
        if resumed:
            self.load_logged()
            self.client.update_run(self.run_id, status="RUNNING")
            self.set_tags(tags=tags)
        else:
            tags = tags | ({IDENTITY: identity} if identity else {})
            self.run_id = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        self.finished = False
        if system_metrics:
            self.monitor = SystemMetricsMonitor(self.run_id, sampling_interval=SAMPLING, resume_logging=resumed)
            self.monitor.start()

    def find_earlier(self, identity: str) -> str:
        """MLflow's id of the run that was begun with this identity; empty where there is none."""
        if self.exists(identity):
            return identity
        self.check_children(identity)
        found = self.client.search_runs([self.experiment], f"tags.`{IDENTITY}` = '{identity}'", max_results=1)
        return str(found[0].info.run_id) if found else ""

    def load_logged(self) -> None:
        """Load what the run has already: a resumed training logs its epochs again, and nothing may be there twice."""
        data = self.client.get_run(self.run_id).data
        if ERROR in data.tags:  # of the process before
            self.client.delete_tag(self.run_id, ERROR)
        self.params = set(data.params)
        for name in data.metrics:
            if not name.startswith("system/"):
                self.logged |= {(name, point.step) for point in self.client.get_metric_history(self.run_id, name)}

    def attach(self, *, run_id: str) -> None:
        if self.exists(run_id):
            self.run_id = run_id
            return
        last_first = ["start_time DESC"]
        restored = self.client.search_runs([self.experiment], f"tags.`{RESTORED}` = '{run_id}'", order_by=last_first)
        trained = self.client.search_runs([self.experiment], f"tags.`{MODELS}` = '{run_id}'", order_by=last_first)
        if whole := [found.info.run_id for found in [*trained, *restored] if found.info.status == "FINISHED"]:
            self.run_id = whole[0]
        else:
            for each in restored:
                if each.info.status in ("KILLED", "FAILED"):  # broke off while it was filled: all of it is made again
                    self.client.delete_run(each.info.run_id)
            self.run_id = self.client.create_run(self.experiment, tags={RESTORED: run_id}).info.run_id
            self.new, self.finished = True, False

    def exists(self, run_id: str) -> bool:
        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except mlflow.MlflowException as error:
            # The second is what a server that asks for passwords says of a run that it doesn't have.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
                return False
            raise

    def check_children(self, run_id: str) -> None:
        """Raises TrackingError where the run that was to go on was deleted, and others are below it: they would be forgotten."""
        below = self.client.search_runs([self.experiment], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'", max_results=1)
        if below:
            raise TrackingError(
                f"the run {run_id} of the MLflow store {self.place} was deleted, but not the runs below it: bring it back with "
                f"`{self.command(f'runs restore --run-id {run_id}')}`, or begin under another name"
            )

    def is_new(self) -> bool:
        return self.new

    def ready(self) -> tuple[str, str]:
        return self.run_id, self.experiment

    def log_params(self, *, params: dict[str, str]) -> None:
        self.client.log_batch(self.run_id, params=[Param(name, params[name]) for name in params.keys() - self.params])

    def log_metrics(self, *, points: list[tuple[str, float, int, int]]) -> None:
        self.points += [Metric(name, number, now, step) for name, number, now, step in points if (name, step) not in self.logged]
        if len(self.points) >= BATCH:
            self.flush()

    def flush(self) -> None:
        for first in range(0, len(self.points), BATCH):
            self.client.log_batch(self.run_id, metrics=self.points[first : first + BATCH])
        self.points = []

    def log_image(self, *, key: str, path: str, step: int) -> None:
        # MLflow's log_image would add a file to what this key and step have already, under a name with the time and chance in it.
        from mlflow.tracking.multimedia import compress_image_size
        from PIL import Image

        name = f"{key.replace('/', '~')}+step+{step}+timestamp+{LATEST}+picture"
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copyfile(path, Path(scratch) / f"{name}.png")
            with Image.open(path) as image:
                compress_image_size(image.convert("RGB")).save(Path(scratch) / f"{name}+compressed.webp")
            self.client.log_artifacts(self.run_id, scratch, "images")
        self.client.set_tag(self.run_id, MLFLOW_LOGGED_IMAGES, "True")

    def log_artifact(self, *, path: str, folder: str) -> None:
        log = self.client.log_artifacts if Path(path).is_dir() else self.client.log_artifact
        log(self.run_id, path, folder or None)

    def set_tags(self, *, tags: dict[str, str]) -> None:
        self.client.log_batch(self.run_id, tags=[RunTag(name, given) for name, given in tags.items()])

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: dict[str, Any]) -> None:
        data = Dataset(name=name, digest=digest[:DIGEST], source_type="local", source=source, profile=json.dumps(profile))
        tagged = [DatasetInput(data, [InputTag("mlflow.data.context", context)])]
        for again in range(TRIES):
            try:
                self.client.log_inputs(self.run_id, datasets=tagged)
                return
            except mlflow.MlflowException as error:
                # Two runs that bring a store its first knowledge of a data set collide; the second try finds it there.
                if ("IntegrityError" not in str(error) and "UniqueViolation" not in str(error)) or again == TRIES - 1:
                    raise
                time.sleep(random.Random(self.run_id).uniform(0.05, 0.5))

    def log_model(self, **given: Any) -> None:
        self.model = LoggedModel(self.client, experiment=self.experiment, run_id=self.run_id, digests=given.pop("digests"))
        self.model.log(**given)
        self.set_tags(tags=self.model.tags)

    def log_child(self, *, name: str, params: dict[str, str], points: list[tuple[str, float, int]], tags: dict[str, str]) -> None:
        tags = {**tags, MLFLOW_PARENT_RUN_ID: self.run_id}
        child = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        now = time.time_ns() // 1_000_000
        metrics = [Metric(key, number, now, step) for key, number, step in points]
        self.client.log_batch(child, metrics=metrics[:BATCH], params=[Param(key, given) for key, given in params.items()])
        for first in range(BATCH, len(metrics), BATCH):
            self.client.log_batch(child, metrics=metrics[first : first + BATCH])
        self.client.set_terminated(child)

    def search(self, *, where: str) -> list[dict[str, Any]]:
        """Runs of the experiment, oldest first: facts of their own, parameters, tags and the last value of each metric."""
        found: list[dict[str, Any]] = []
        page: str | None = None
        while True:
            runs = self.client.search_runs(
                [self.experiment], where, max_results=PAGE, order_by=["start_time ASC"], page_token=page
            )
            for run in runs:
                facts = {"id": run.info.run_id, "name": run.info.run_name, "status": run.info.status}
                times = {"started": run.info.start_time, "ended": run.info.end_time}
                data = {"params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags}
                found.append(facts | times | data)
            if not (page := runs.token):
                return found

    def curves(self, *, run_ids: list[str], metric: str) -> dict[str, list[tuple[int, float]]]:
        return {
            run_id: sorted((point.step, point.value) for point in self.client.get_metric_history(run_id, metric))
            for run_id in run_ids
        }

    def read_artifact(self, *, run_id: str, path: str) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            return Path(self.client.download_artifacts(run_id, path, scratch)).read_text(encoding="utf-8")

    def log_table(self, *, name: str, columns: dict[str, list[Any]]) -> None:
        # MLflow's log_table would append to a table that is there already.
        rows = [[none_of_nan(cell) for cell in row] for row in zip(*columns.values(), strict=True)]
        self.client.log_text(self.run_id, json.dumps({"columns": list(columns), "data": rows}), name)
        tables = json.loads(self.client.get_run(self.run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (table := {"path": name, "type": "table"}) not in tables:  # by this the UI knows what it can show as one
            self.client.set_tag(self.run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*tables, table]))

    def end(self, *, status: str) -> None:
        self.flush()
        if self.monitor is not None:
            self.monitor.finish()
        if not self.finished:
            if self.model is not None and status in ("", "FINISHED"):
                self.model.check()
            self.client.set_terminated(self.run_id, status or "FINISHED")
            self.finished = True


def none_of_nan(cell: Any) -> Any:
    """JSON has no such numbers."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


@contextlib.contextmanager
def short_timeouts() -> Iterator[None]:
    """Short timeouts: some 10 s in all for a server. (Otherwise minutes: one that goes away during a training may come back.)"""
    before = dict(os.environ)
    os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", MLFLOW_HTTP_REQUEST_TIMEOUT="5")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def create_experiment(client: mlflow.MlflowClient, name: str, location: str | None) -> str:
    """Make the experiment, or find it made by another process in between (a server has no lock of ours)."""
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def messages(connection: Connection) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Messages of the parent, until it closes its end or dies."""
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            yield connection.recv()


def send(connection: Connection, message: tuple[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a parent that has gone needs no answer
        connection.send(message)


def error_message(error: Exception, recorder: Recorder) -> str:
    """An error in one sentence, with the variables to set where a server asks for a password."""
    if isinstance(error, TrackingError):
        return str(error)
    if not recorder.folder and (why := why_unreachable(error)):
        return f"the MLflow store {recorder.place} does not answer ({why}): is the server running, and is this its address?"
    # MLflow repeats what its database wrote, with the statement and its values on lines of their own.
    what = database.meaning(error) if recorder.folder else ""
    what = what or f"{type(error).__name__}: " + " ".join(str(error).partition("\n[SQL:")[0].split())
    if isinstance(error, mlflow.MlflowException) and error.error_code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
        what += " (set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to your name and password on this server)"
    return f"the MLflow store {recorder.place} failed: {what}"


def why_unreachable(error: Exception) -> str:
    """Why a server could not be reached, in the system's words; empty where it answered."""
    found = list(database.causes(error))
    if not any(isinstance(cause, requests.ConnectionError | requests.Timeout) for cause in found):
        return ""
    return next((cause.strerror for cause in found if isinstance(cause, OSError) and cause.strerror), "no answer in time")


def serve(connection: Connection) -> None:
    recorder, failure = Recorder(), ""
    for method, arguments, asked in messages(connection):
        answer: Any = None
        if not failure:
            try:
                recorder.check_place()
                if method != "log_metrics":
                    recorder.flush()
                answer = getattr(recorder, method)(**arguments)
                if method == "log_metrics" and not connection.poll():
                    recorder.flush()
            except Exception as error:  # whatever mlflow, its store or its network raises goes to the parent
                failure = error_message(error, recorder)
                send(connection, ("error", failure))
                continue
        if asked:
            send(connection, ("error", failure) if failure else ("ok", answer))
    if failure:
        # What waits for a store that has failed would wait for nothing.
        recorder.points, recorder.monitor = [], None
    if not recorder.finished:
        # The run's end is all there is left to say, and nobody is there to be told where it can't be said.
        with short_timeouts(), contextlib.suppress(Exception):
            recorder.end(status="FAILED" if failure else "KILLED")
