"""Sender: what brings a spool to a store, as far as it gets; session.py is it at work for a run's process.

Sending again what the store has already leaves it as it is, as stored.py says. So a sender that was killed at any moment is
followed by another one, that begins a little earlier.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric

from filterlab.errors import DataError
from filterlab.tracking import spool
from filterlab.tracking.client import Client
from filterlab.tracking.spool import BEGIN, Record, Sent, Spool
from filterlab.tracking.stored import BATCH, StoredRun

SAVE = 1.0  # seconds between two notes of how far the store has it


class Sender:
    """One spool and one store.

    Args:
        opened: what Client is made with.
    """

    def __init__(self, folder: Path, opened: Mapping[str, Any]):
        self.spool, self.opened = Spool(folder), dict(opened)
        self.run: StoredRun | None = None
        self.sent = Sent()
        self.saved = 0.0
        self.points: list[Metric] = []
        self.read = 0  # bytes of the records up to the last of `points`
        self.refused: list[str] = []  # why records could not be sent; in that case all are sent again, the next time

    def deliver(self) -> None:
        """Bring all that is in the spool to the store. Raises what MLflow and the network raise, or TrackingError."""
        self.points = []
        if self.run and self.run.client.replaced():
            self.run = None
        run = self.run = self.run or self._begin()
        run.client.check_place()
        try:
            for record in self.spool.read(self.sent.offset):
                self._apply(run, record)
            self._flush(run)
        finally:
            if run.id:
                self.spool.save_sent(replace(self.sent, offset=0) if self.refused else self.sent)

    def remove_if_done(self, *, held: bool = False) -> bool:
        """Remove the spool where its run is finished, or was only added to, all is sent, and nobody writes to it.

        held: this process is its writer too.
        """
        with (
            contextlib.suppress(spool.BusyError, spool.GoneError),
            contextlib.nullcontext() if held else self.spool.held("writer"),
        ):
            ended = self.spool.ended()
            done = ended == "FINISHED" or (ended and self.spool.adds)
            if done and not self.refused and not any(self.spool.read(self.sent.offset)):
                self.spool.remove()
                return True
        return False

    def _begin(self) -> StoredRun:
        """Where an earlier sender has left off; from the start, where the store does not know the run any longer."""
        run, sent = StoredRun(Client(**self.opened), self.spool), self.spool.sent()
        if sent.to == self.opened["place"] and sent.run and run.client.exists(sent.run):
            run.id, run.new = sent.run, sent.new
            last = [record for record in self.spool.read() if record.method in BEGIN and record.end <= sent.offset][-1:]
            if last and last[0].method == "create":
                run.load_logged(at=last[0].at)
        else:
            if not self.spool.exists():  # the sender of the process before has sent this one's records as well
                run.id = run.client.find(self.spool.run)
            sent = Sent(to=self.opened["place"], experiment=run.client.experiment, run=run.id)
        self.sent = sent
        return run

    def _apply(self, run: StoredRun, record: Record) -> None:
        if record.if_new and not run.new:
            self._flush(run)
            return self._advance(run, record.end)
        if record.method == "log_metrics":
            self.points += run.points(record)
            self.read = record.end
            if len(self.points) >= BATCH:
                self._flush(run)
            return None
        self._flush(run)
        if record.method == "attach":
            self._send_first(self.spool.folder.with_name(record.arguments["run_id"]))
        self._unless_refused(run, record.method, lambda: run.apply(record))
        return self._advance(run, record.end)

    def _send_first(self, folder: Path) -> None:
        """What waits of the training itself, where this adds to its run."""
        waiting = Sender(folder, self.opened)
        if waiting.spool.exists() and waiting.spool.left(self.opened["place"]):
            with waiting.spool.held("sender"):
                waiting.deliver()
                waiting.remove_if_done()

    def _flush(self, run: StoredRun) -> None:
        if self.read <= self.sent.offset:
            return
        self._unless_refused(run, "log_metrics", lambda: run.log_points(self.points))
        self.points = []
        self._advance(run, self.read)

    def _unless_refused(self, run: StoredRun, method: str, do: Callable[[], object]) -> None:
        """What the store will never take must not keep back what comes after it: it is said, and stays in the spool."""
        try:
            do()
        except DataError as error:  # a file of the spool is missing or damaged: the rest is sent
            self.refused.append(str(error))
        except mlflow.MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE" or method in (*BEGIN, "end") or not run.client.exists(run.id):
                raise
            said = " ".join(str(error).split())[:500]
            self.refused.append(f"the MLflow store {run.client.place} refuses a {method}: {said}")

    def _advance(self, run: StoredRun, end: int) -> None:
        self.sent = Sent(to=self.opened["place"], experiment=run.client.experiment, run=run.id, new=run.new, offset=end)
        if not self.refused and time.monotonic() - self.saved > SAVE:
            self.spool.save_sent(self.sent)
            self.saved = time.monotonic()
