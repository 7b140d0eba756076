"""A run as its store has it: what each record of a spool does to it.

A record that the store has already leaves the run as it is: a run is known by its identity, parameters, tags, pictures and files
replace themselves, points are known by name and step, a model by its digests.
"""

import contextlib
import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from filterlab.errors import TrackingError
from filterlab.tracking.client import Client
from filterlab.tracking.logged_model import LoggedModel
from filterlab.tracking.spool import Record, Spool
from filterlab.tracking.steps import Steps
from filterlab.tracking.store import ERROR, IDENTITY, MODELS, RESTORED

BATCH = 1000  # metrics that MLflow takes in one call
TRIES = 5
LATEST = 10**13 - 1  # of several pictures of a step, the pages show the one of the latest time (in milliseconds)
DIGEST = 36  # characters of a data set's digest that MLflow keeps


class StoredRun:
    """Of one spool; the methods from `open` on are the records of run.py.

    Attributes:
        id: MLflow's; empty until it has been found or made.
        new: whether it was made anew, to add to.
        finished: whether the store has had the run's end already, which stays.
    """

    def __init__(self, client: Client, kept: Spool):
        self.client, self.spool = client, kept
        self.mlflow, self.experiment = client.mlflow, client.experiment
        self.id, self.new, self.finished = "", False, False
        self.logged = Steps()  # of the points that the store has of an earlier sending
        self.model: LoggedModel | None = None

    def apply(self, record: Record) -> None:
        at = {"at": record.at} if record.method in ("create", "end", "log_child") else {}
        getattr(self, record.method)(**record.arguments, **at)

    def points(self, record: Record) -> list[Metric]:
        """Of a record log_metrics: those that the store has not got."""
        points = record.arguments["points"]
        return [Metric(name, number, record.at, step) for name, number, step in points if (name, step) not in self.logged]

    def log_points(self, points: Sequence[Metric], *, run_id: str = "") -> None:
        """Of this run, or of one below it."""
        for first in range(0, len(points), BATCH):
            self.mlflow.log_batch(run_id or self.id, metrics=points[first : first + BATCH])

    def open(self, *, experiment: str, backend: str, server: str) -> None:
        """Where the run's process meant it to go, see Spool.meant_for."""

    def create(self, *, name: str, tags: dict[str, str], identity: str, parent: str, at: int) -> None:
        self.id, new = self.client.find(identity), False
        if parent:
            tags = tags | {MLFLOW_PARENT_RUN_ID: self.client.find(parent) or self._make(parent, name="", tags={}, at=at)[0]}
        if not self.id:
            self._check_children(identity)
            self.id, new = self._make(identity, name=name, tags=tags, at=at)
        if not new:  # a training that goes on, or one below it has made this run, as its parent
            self.load_logged(at=at)
        if not new and not self.finished:
            self.mlflow.update_run(self.id, status="RUNNING", name=name or None)
            self.set_tags(tags={**tags, MLFLOW_RUN_NAME: name} if name else tags)

    def _make(self, identity: str, *, name: str, tags: dict[str, str], at: int) -> tuple[str, bool]:
        """A run of this identity, and whether it is new: of two senders who make one at once, one takes its own back."""
        while True:
            made = self.mlflow.create_run(
                self.experiment, run_name=name or None, tags=tags | {IDENTITY: identity}, start_time=at
            ).info.run_id
            found = self.mlflow.search_runs([self.experiment], f"tags.`{IDENTITY}` = '{identity}'")
            if [run.info.run_id for run in found] == [made]:
                return str(made), True
            self.mlflow.delete_run(made)
            time.sleep(random.Random(made).uniform(0.05, 0.5))
            if other := self.client.find(identity):
                return other, False

    def _check_children(self, identity: str) -> None:
        """Raises TrackingError where the run that was to go on was deleted, and others are below it: they would be forgotten."""
        deleted = self.mlflow.search_runs(
            [self.experiment], f"tags.`{IDENTITY}` = '{identity}'", run_view_type=mlflow.entities.ViewType.DELETED_ONLY
        )
        for run in deleted:
            run_id = run.info.run_id
            if self.mlflow.search_runs([self.experiment], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'", max_results=1):
                raise TrackingError(
                    f"the run {run_id} of the MLflow store {self.client.place} was deleted, but not the runs below it: bring it "
                    f"back with `{self.client.command(f'runs restore --run-id {run_id}')}`, or begin under another name"
                )

    def load_logged(self, *, at: int) -> None:
        """Load what the run has already: a training that goes on logs its epochs again, and nothing may be there twice.

        at: when it began to, in the records that follow. The store may have it FINISHED later than that: by a newer copy of them.
        """
        run = self.mlflow.get_run(self.id)
        data, self.finished = run.data, run.info.status == "FINISHED" and (run.info.end_time or 0) >= at
        if ERROR in data.tags:  # of the process before
            self.mlflow.delete_tag(self.id, ERROR)
        for name in data.metrics:
            self.logged.add((name, point.step) for point in self.mlflow.get_metric_history(self.id, name))

    def attach(self, *, run_id: str) -> None:
        if self.client.exists(run_id):
            self.id = run_id
            return
        last_first = ["start_time DESC"]
        known = {
            tag: self.mlflow.search_runs([self.experiment], f"tags.`{tag}` = '{run_id}'", order_by=last_first)
            for tag in (IDENTITY, MODELS, RESTORED)
        }
        whole = [run.info.run_id for tag in (MODELS, RESTORED) for run in known[tag] if run.info.status == "FINISHED"]
        if whole := [run.info.run_id for run in known[IDENTITY]] + whole:
            self.id = whole[0]
            return
        for each in known[RESTORED]:
            if each.info.status != "FINISHED":  # broke off while it was filled: all of it is made again
                self.mlflow.delete_run(each.info.run_id)
        self.id = self.mlflow.create_run(self.experiment, tags={RESTORED: run_id}).info.run_id
        self.new = True

    def log_params(self, *, params: dict[str, str]) -> None:
        self.mlflow.log_batch(self.id, params=[Param(name, given) for name, given in params.items()])

    def log_image(self, *, key: str, file: str, step: int) -> None:
        # MLflow's log_image would add a file to what this key and step have already, under a name with the time and chance in it.
        from mlflow.tracking.multimedia import compress_image_size
        from PIL import Image

        name = f"{key.replace('/', '~')}+step+{step}+timestamp+{LATEST}+picture"
        with tempfile.TemporaryDirectory() as scratch:
            picture = Path(scratch) / f"{name}.png"
            self.spool.copy(file, picture)
            with Image.open(picture) as image:
                compress_image_size(image.convert("RGB")).save(Path(scratch) / f"{name}+compressed.webp")
            self.mlflow.log_artifacts(self.id, scratch, "images")
        self.mlflow.set_tag(self.id, MLFLOW_LOGGED_IMAGES, "True")

    def log_artifact(self, *, files: dict[str, str], folder: str) -> None:
        with self._laid_out(files) as scratch:
            self.mlflow.log_artifacts(self.id, scratch, folder or None)

    @contextlib.contextmanager
    def _laid_out(self, files: Mapping[str, str]) -> Iterator[str]:
        """The spool's files, given by SHA-256, under their names in a folder."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, digest in files.items():
                self.spool.copy(digest, Path(scratch) / name)
            yield scratch

    def set_tags(self, *, tags: dict[str, str]) -> None:
        self.mlflow.log_batch(self.id, tags=[RunTag(name, given) for name, given in tags.items()])

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: dict[str, Any]) -> None:
        data = Dataset(name=name, digest=digest[:DIGEST], source_type="local", source=source, profile=json.dumps(profile))
        tagged = [DatasetInput(data, [InputTag("mlflow.data.context", context)])]
        for again in range(TRIES):
            try:
                self.mlflow.log_inputs(self.id, datasets=tagged)
                return
            except mlflow.MlflowException as error:
                # Two runs that bring a store its first knowledge of a data set collide; the second try finds it there.
                if ("IntegrityError" not in str(error) and "UniqueViolation" not in str(error)) or again == TRIES - 1:
                    raise
                time.sleep(random.Random(self.id).uniform(0.05, 0.5))

    def log_model(
        self,
        *,
        files: dict[str, str],
        digests: dict[str, str],
        loader: str,
        code: dict[str, str],
        example: str,
        output: str,
        requirements: list[str],
        metadata: dict[str, Any] | None = None,  # which the spools of an earlier version lack
    ) -> None:
        self.model = LoggedModel(self.mlflow, experiment=self.experiment, run_id=self.id, digests=digests)
        with self._laid_out(files) as folder, self._laid_out(code) as package:
            with self._laid_out({"example": example, "output": output}) as given:
                arrays = {path.name: np.load(path, allow_pickle=False) for path in Path(given).iterdir()}
            (weights,) = Path(folder).iterdir()
            sources = sorted(map(str, Path(package).iterdir()))
            kept = {Path(name).name: self.spool.file(digest) for name, digest in files.items()}
            about = {"requirements": requirements, "metadata": metadata or {}}
            self.model.log(folder=str(weights), kept=kept, loader=loader, code=sources, **about, **arrays)
        self.set_tags(tags=self.model.tags)

    def log_child(
        self,
        *,
        name: str,
        identity: str,
        params: dict[str, str],
        points: list[tuple[str, float, int]],
        tags: dict[str, str],
        at: int,
    ) -> None:
        child = self.client.find(identity)
        if not child:
            child, _ = self._make(identity, name=name, tags=tags | {MLFLOW_PARENT_RUN_ID: self.id}, at=at)
        self.mlflow.log_batch(child, params=[Param(key, given) for key, given in params.items()])
        self.log_points([Metric(key, number, at, step) for key, number, step in points], run_id=child)
        self.mlflow.set_terminated(child, end_time=at)

    def log_table(self, *, name: str, columns: list[str], data: list[list[Any]]) -> None:
        # MLflow's log_table would append to a table that is there already.
        self.mlflow.log_text(self.id, json.dumps({"columns": columns, "data": data}), name)
        tables = json.loads(self.mlflow.get_run(self.id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (table := {"path": name, "type": "table"}) not in tables:  # by this the UI knows what it can show as one
            self.mlflow.set_tag(self.id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*tables, table]))

    def end(self, *, status: str, at: int) -> None:
        """`status` empty: of a run that was added to, which is as it was, unless it is new."""
        if self.model is not None and status in ("", "FINISHED"):
            self.model.check()
        if (status or self.new) and not self.finished:
            self.mlflow.set_terminated(self.id, status or "FINISHED", end_time=at)
