"""Sender: the process that brings a run's spool to its store; preloaded.py forks one for each run.

Sending again what the store has already leaves it as it is: a run is known by its identity, parameters, tags, pictures and files
replace themselves, points are known by name and step, a model by its digests. So a sender that was killed at any moment is
followed by another one, that begins a little earlier.
"""

import contextlib
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from filterlab.errors import DataError, TrackingError, UserError
from filterlab.tracking import client, spool
from filterlab.tracking.client import Client
from filterlab.tracking.logged_model import LoggedModel
from filterlab.tracking.spool import BEGIN, Record, Sent, Spool
from filterlab.tracking.store import ERROR, IDENTITY, MODELS, RESTORED

BATCH = 1000  # metrics that MLflow takes in one call
TRIES = 5
LATEST = 10**13 - 1  # of several pictures of a step, the pages show the one of the latest time (in milliseconds)
DIGEST = 36  # characters of a data set's digest that MLflow keeps
LOOK = 0.2  # seconds between two looks for new records
WAIT = (0.5, 10.0)  # seconds after a failure until the store is asked again: at first, and at most
SAVE = 1.0  # seconds between two notes of how far the store has it


class Sender:
    """One spool and one store; the methods without _ and `deliver` are the records of run.py.

    Args:
        opened: what Client is made with.
    """

    def __init__(self, folder: Path, opened: Mapping[str, Any]):
        self.spool, self.opened = Spool(folder), dict(opened)
        self.client: Client | None = None
        self.run_id = ""
        self.sent = Sent()
        self.saved = 0.0
        self.points: list[Metric] = []
        self.read = 0  # bytes of the records up to the last of `points`
        self.logged: set[tuple[str, int]] = set()  # (name, step) that the store has of an earlier sending
        self.model: LoggedModel | None = None
        self.refused: list[str] = []  # why records could not be sent; in that case all are sent again, the next time

    @property
    def mlflow(self) -> mlflow.MlflowClient:
        assert self.client is not None
        return self.client.mlflow

    @property
    def experiment(self) -> str:
        assert self.client is not None
        return self.client.experiment

    def deliver(self) -> None:
        """Bring all that is in the spool to the store. Raises what MLflow and the network raise, or TrackingError."""
        self.points = []
        if self.client is None:
            self.client = Client(**self.opened)
            self._begin()
        self.client.check_place()
        try:
            for record in self.spool.read(self.sent.offset):
                self._apply(record)
            self._flush()
        finally:
            if self.run_id:
                self.spool.save_sent(replace(self.sent, offset=0) if self.refused else self.sent)

    def remove_if_done(self, *, held: bool = False) -> bool:
        """Remove the spool where its run is finished, or was only added to, all is sent, and nobody writes to it.

        held: this process is its writer too.
        """
        with contextlib.suppress(spool.BusyError), contextlib.nullcontext() if held else self.spool.held("writer"):
            ended = self.spool.ended()
            done = ended == "FINISHED" or (ended and self.spool.adds)
            if done and not self.refused and not any(self.spool.read(self.sent.offset)):
                self.spool.remove()
                return True
        return False

    def _begin(self) -> None:
        """Where an earlier sender has left off; from the start, where the store does not know the run any longer."""
        sent = self.spool.sent()
        if sent.to == self.opened["place"] and sent.run and self._client.exists(sent.run):
            self.sent, self.run_id = sent, sent.run
            last = [record for record in self.spool.read() if record.method in BEGIN and record.end <= sent.offset][-1:]
            if last and last[0].method == "create":
                self._load_logged()
        else:
            self.sent = Sent(to=self.opened["place"])
            if not self.spool.exists():  # the sender of the process before has sent this one's records as well
                self.run_id = self._client.find(self.spool.run)

    @property
    def _client(self) -> Client:
        assert self.client is not None
        return self.client

    def _apply(self, record: Record) -> None:
        if record.if_new and not self.sent.new:
            self._flush()
            return self._advance(record.end)
        if record.method == "log_metrics":
            points = record.arguments["points"]
            self.points += [
                Metric(name, number, record.at, step) for name, number, step in points if (name, step) not in self.logged
            ]
            self.read = record.end
            if len(self.points) >= BATCH:
                self._flush()
            return None
        self._flush()
        at = {"at": record.at} if record.method in ("create", "end", "log_child") else {}
        self._unless_refused(record.method, lambda: getattr(self, record.method)(**record.arguments, **at))
        return self._advance(record.end)

    def _flush(self) -> None:
        if self.read <= self.sent.offset:
            return
        for first in range(0, len(self.points), BATCH):
            batch = self.points[first : first + BATCH]
            self._unless_refused("log_metrics", lambda batch=batch: self.mlflow.log_batch(self.run_id, metrics=batch))
        self.points = []
        self._advance(self.read)

    def _unless_refused(self, method: str, do: Any) -> None:
        """What the store will never take must not keep back what comes after it: it is said, and stays in the spool."""
        try:
            do()
        except DataError as error:  # a file of the spool is missing or damaged: the rest is sent
            self.refused.append(str(error))
        except mlflow.MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE" or method in (*BEGIN, "end") or not self._client.exists(self.run_id):
                raise
            said = " ".join(str(error).split())[:500]
            self.refused.append(f"the MLflow store {self._client.place} refuses a {method}: {said}")

    def _advance(self, end: int) -> None:
        self.sent.offset, self.sent.run, self.sent.experiment = end, self.run_id, self.experiment
        if not self.refused and time.monotonic() - self.saved > SAVE:
            self.spool.save_sent(self.sent)
            self.saved = time.monotonic()

    # The records.

    def open(self, *, experiment: str, backend: str, server: str) -> None:
        """Where the run's process meant it to go, see Spool.meant_for."""

    def create(self, *, name: str, tags: dict[str, str], identity: str, parent: str, at: int) -> None:
        self.run_id = self._client.find(identity)
        if parent:
            tags = tags | {MLFLOW_PARENT_RUN_ID: self._client.find(parent) or self._make(parent, name="", tags={}, at=at)}
        if self.run_id:
            self._load_logged()
            self.mlflow.update_run(self.run_id, status="RUNNING", name=name or None)
            self.set_tags(tags={**tags, MLFLOW_RUN_NAME: name} if name else tags)
        else:
            self._check_children(identity)
            self.run_id = self._make(identity, name=name, tags=tags, at=at)

    def _make(self, identity: str, *, name: str, tags: dict[str, str], at: int) -> str:
        """A new run. Of two senders who make one at once, one finds the other's, and takes its own back."""
        while True:
            made = self.mlflow.create_run(
                self.experiment, run_name=name or None, tags=tags | {IDENTITY: identity}, start_time=at
            ).info.run_id
            found = self.mlflow.search_runs([self.experiment], f"tags.`{IDENTITY}` = '{identity}'")
            if [run.info.run_id for run in found] == [made]:
                return str(made)
            self.mlflow.delete_run(made)
            time.sleep(random.Random(made).uniform(0.05, 0.5))
            if other := self._client.find(identity):
                return other

    def _check_children(self, identity: str) -> None:
        """Raises TrackingError where the run that was to go on was deleted, and others are below it: they would be forgotten."""
        deleted = self.mlflow.search_runs(
            [self.experiment], f"tags.`{IDENTITY}` = '{identity}'", run_view_type=mlflow.entities.ViewType.DELETED_ONLY
        )
        for run in deleted:
            run_id = run.info.run_id
            if self.mlflow.search_runs([self.experiment], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'", max_results=1):
                raise TrackingError(
                    f"the run {run_id} of the MLflow store {self._client.place} was deleted, but not the runs below it: bring it "
                    f"back with `{self._client.command(f'runs restore --run-id {run_id}')}`, or begin under another name"
                )

    def _load_logged(self) -> None:
        """Load what the run has already: a training that goes on logs its epochs again, and nothing may be there twice."""
        data = self.mlflow.get_run(self.run_id).data
        if ERROR in data.tags:  # of the process before
            self.mlflow.delete_tag(self.run_id, ERROR)
        for name in data.metrics:
            self.logged |= {(name, point.step) for point in self.mlflow.get_metric_history(self.run_id, name)}

    def attach(self, *, run_id: str) -> None:
        waiting = Spool(self.spool.folder.with_name(run_id))
        if waiting.exists() and waiting.left(self.opened["place"]):  # of the training itself: it comes first
            with waiting.held("sender"):
                first = Sender(waiting.folder, self.opened)
                first.deliver()
                first.remove_if_done()
        if self._client.exists(run_id):
            self.run_id = run_id
            return
        last_first = ["start_time DESC"]
        known = {
            tag: self.mlflow.search_runs([self.experiment], f"tags.`{tag}` = '{run_id}'", order_by=last_first)
            for tag in (IDENTITY, MODELS, RESTORED)
        }
        whole = [run.info.run_id for tag in (MODELS, RESTORED) for run in known[tag] if run.info.status == "FINISHED"]
        if whole := [run.info.run_id for run in known[IDENTITY]] + whole:
            self.run_id = whole[0]
            return
        for each in known[RESTORED]:
            if each.info.status != "FINISHED":  # broke off while it was filled: all of it is made again
                self.mlflow.delete_run(each.info.run_id)
        self.run_id = self.mlflow.create_run(self.experiment, tags={RESTORED: run_id}).info.run_id
        self.sent.new = True

    def log_params(self, *, params: dict[str, str]) -> None:
        self.mlflow.log_batch(self.run_id, params=[Param(name, given) for name, given in params.items()])

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
            self.mlflow.log_artifacts(self.run_id, scratch, "images")
        self.mlflow.set_tag(self.run_id, MLFLOW_LOGGED_IMAGES, "True")

    def log_artifact(self, *, files: dict[str, str], folder: str) -> None:
        with self._laid_out(files) as scratch:
            self.mlflow.log_artifacts(self.run_id, scratch, folder or None)

    @contextlib.contextmanager
    def _laid_out(self, files: Mapping[str, str]) -> Iterator[str]:
        """The spool's files, given by SHA-256, under their names in a folder."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, digest in files.items():
                self.spool.copy(digest, Path(scratch) / name)
            yield scratch

    def set_tags(self, *, tags: dict[str, str]) -> None:
        self.mlflow.log_batch(self.run_id, tags=[RunTag(name, given) for name, given in tags.items()])

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: dict[str, Any]) -> None:
        data = Dataset(name=name, digest=digest[:DIGEST], source_type="local", source=source, profile=json.dumps(profile))
        tagged = [DatasetInput(data, [InputTag("mlflow.data.context", context)])]
        for again in range(TRIES):
            try:
                self.mlflow.log_inputs(self.run_id, datasets=tagged)
                return
            except mlflow.MlflowException as error:
                # Two runs that bring a store its first knowledge of a data set collide; the second try finds it there.
                if ("IntegrityError" not in str(error) and "UniqueViolation" not in str(error)) or again == TRIES - 1:
                    raise
                time.sleep(random.Random(self.run_id).uniform(0.05, 0.5))

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
    ) -> None:
        self.model = LoggedModel(self.mlflow, experiment=self.experiment, run_id=self.run_id, digests=digests)
        with self._laid_out(files) as folder, self._laid_out(code) as package:
            with self._laid_out({"example": example, "output": output}) as given:
                arrays = {path.name: np.load(path, allow_pickle=False) for path in Path(given).iterdir()}
            (weights,) = Path(folder).iterdir()
            sources = sorted(map(str, Path(package).iterdir()))
            self.model.log(folder=str(weights), loader=loader, code=sources, requirements=requirements, **arrays)
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
        child = self._client.find(identity)
        if not child:
            child = self._make(identity, name=name, tags=tags | {MLFLOW_PARENT_RUN_ID: self.run_id}, at=at)
        metrics = [Metric(key, number, at, step) for key, number, step in points]
        self.mlflow.log_batch(child, metrics=metrics[:BATCH], params=[Param(key, given) for key, given in params.items()])
        for first in range(BATCH, len(metrics), BATCH):
            self.mlflow.log_batch(child, metrics=metrics[first : first + BATCH])
        self.mlflow.set_terminated(child, end_time=at)

    def log_table(self, *, name: str, columns: list[str], data: list[list[Any]]) -> None:
        # MLflow's log_table would append to a table that is there already.
        self.mlflow.log_text(self.run_id, json.dumps({"columns": columns, "data": data}), name)
        tables = json.loads(self.mlflow.get_run(self.run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (table := {"path": name, "type": "table"}) not in tables:  # by this the UI knows what it can show as one
            self.mlflow.set_tag(self.run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*tables, table]))

    def end(self, *, status: str, at: int) -> None:
        """`status` empty: of a run that was added to, which is as it was, unless it is new."""
        if self.model is not None and status in ("", "FINISHED"):
            self.model.check()
        if status or self.sent.new:
            self.mlflow.set_terminated(self.run_id, status or "FINISHED", end_time=at)


class Session:
    """A sender at work for a run's process, which asks by a connection."""

    def __init__(self, connection: Connection, folder: Path, opened: dict[str, Any]):
        self.connection, self.sender = connection, Sender(folder, opened)
        self.others = [other for other in spool.find_below(folder.parent) if other.folder != folder]
        self.failure = ""  # that has been printed
        self.said = 0  # of sender.refused
        self.wait = WAIT[0]

    def run(self) -> None:
        """Until the run's process has ended; then for as long as the run is worth it, see `last`."""
        delay = LOOK
        while True:
            try:
                asked = self.connection.recv() if self.connection.poll(delay) else None
            except (EOFError, ConnectionResetError):
                return self.last()
            if asked is None:
                delay = LOOK if self.try_to_deliver() else self.wait
            elif asked == "once":
                with client.timeouts(retries=1, seconds=5):
                    self.answer(self.try_to_deliver(say=False))
            else:
                last = time.monotonic() + asked[1]
                while not (delivered := self.try_to_deliver()) and time.monotonic() < last:
                    time.sleep(min(self.wait, 1))
                removed = delivered and self.sender.remove_if_done()
                self.answer(delivered)
                if removed:
                    return None

    def say(self, *lines: str) -> None:
        """To the run's process, which prints it when it logs next."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(("say", "\n".join(f"filterlab: {line}" for line in lines)))

    def answer(self, delivered: bool) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if delivered:
                found = (self.sender.run_id, self.sender.experiment, self.sender.sent.new)
                self.connection.send(("ok", found))
            else:
                self.connection.send(("error", self.failure))

    def try_to_deliver(self, *, say: bool = True) -> bool:
        """Whether all has been sent; `say` once on stderr that the store can't be reached, and that it can be again."""
        try:
            with client.timeouts(retries=0, seconds=20):
                self.sender.deliver()
        except Exception as error:  # whatever mlflow, its store or its network raises: the spool keeps what it could not take
            place, folder = self.sender.opened["place"], self.sender.opened["folder"]
            failure, self.wait = client.message(error, place=place, folder=folder), min(2 * self.wait, WAIT[1])
            if say and not self.failure:
                self.say(failure, WAITING)
            self.failure = failure
            return False
        if say and len(self.sender.refused) > self.said:
            self.say(*self.sender.refused[self.said :])
            self.said = len(self.sender.refused)
        if say and not self.failure:
            self.send_another()
        if say and self.failure:
            self.say(f"the MLflow store {self.sender.opened['place']} has it all again")
        self.failure, self.wait = "", WAIT[0]
        return True

    def send_another(self) -> None:
        """One of the spools of this repository, for this store, that an earlier run has left behind."""
        while self.others:
            other = self.others.pop()
            with contextlib.suppress(UserError), other.held("sender"), other.held("writer"):
                if other.exists() and other.meant_for() == self.sender.spool.meant_for():
                    sender = Sender(other.folder, self.sender.opened)
                    sender.deliver()
                    sender.remove_if_done(held=True)
                    return

    def last(self) -> None:
        """The run's process is gone. Where it could not say how the run ended, it was killed."""
        for again in range(10):
            try:
                mark_killed(self.sender.spool)
                break
            except spool.BusyError:  # the system frees a dead process's locks a moment after its connections
                if again == 9:
                    return  # another process goes on with the run, and has a sender of its own
                time.sleep(LOOK)
        if self.try_to_deliver(say=False):
            self.sender.remove_if_done()


WAITING = "the work goes on, and what it logs is kept in spool/: it is sent when the store answers, or by `filterlab sync`"


def mark_killed(kept: Spool) -> None:
    """Say so in a spool whose writer was killed. Raises BusyError where it is being written to."""
    with kept.held("writer"):
        if kept.exists() and not kept.ended():
            writer = spool.Writer(kept)
            writer.add("end", status="KILLED")
            writer.flush()
            writer.close()


def serve(connection: Connection) -> None:
    """For the process at the other end: send a spool, or answer what it asks about a store; until it has gone."""
    connection.send(os.getpid())
    opened = connection.recv()
    # The parent's variables of now: what it tells MLflow may have changed since the process that this one is forked from.
    os.environ.clear()
    os.environ.update(opened.pop("environment"))
    if folder := opened.pop("spool"):
        with contextlib.ExitStack() as stack:
            hold_when_free(stack, Spool(Path(folder)))
            Session(connection, Path(folder), opened).run()
    else:
        client.serve(messages(connection), connection.send, opened)


def hold_when_free(stack: contextlib.ExitStack, kept: Spool) -> None:
    """Be the only sender: one that an earlier process of this run has left behind comes to its end first."""
    while True:
        try:
            return stack.enter_context(kept.held("sender"))
        except spool.BusyError:
            time.sleep(LOOK)


def messages(connection: Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    """Messages of the parent, until it closes its end or dies."""
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            yield connection.recv()
