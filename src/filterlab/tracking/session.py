"""Session: a sender at work for a run's process, in a process of its own, which preloaded.py forks for each run."""

import contextlib
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filterlab.errors import UserError
from filterlab.tracking import client, spool
from filterlab.tracking.sender import Sender
from filterlab.tracking.spool import Spool
from filterlab.tracking.writer import Writer

LOOK = 0.2  # seconds between two looks for new records
WAIT = (0.5, 10.0)  # seconds after a failure until the store is asked again: at first, and at most
TIMEOUT, SHORT = 20, 3  # seconds that a request may take; to a server that has left another run waiting
WAITING = "the work goes on, and what it logs is kept in spool/: it is sent when the store answers, or by `filterlab sync`"


class Session:
    """A sender and the connection by which the run's process asks it."""

    def __init__(self, connection: Connection, folder: Path, opened: dict[str, Any]):
        self.connection, self.sender = connection, Sender(folder, opened)
        self.others = [other for other in spool.find_below(folder.parent) if other.folder != folder]
        self.failure = ""  # that has been printed
        # The server has failed a run before this one, and its patience is used up: until it takes something, nobody waits for it.
        self.doubted = not opened["folder"] and any(self.left_behind(other) for other in self.others)
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
            elif self.doubted and self.failure:
                self.answer(False)
            elif asked == "once":
                with client.timeouts(retries=0 if self.doubted else 1, seconds=SHORT if self.doubted else 5):
                    self.answer(self.try_to_deliver(say=False))
            else:
                last = time.monotonic() + asked[1]
                while not (delivered := self.try_to_deliver()) and time.monotonic() < last and not self.doubted:
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
                sent = self.sender.sent
                self.connection.send(("ok", (sent.run, sent.experiment, sent.new)))
            else:
                self.connection.send(("error", self.failure))

    def try_to_deliver(self, *, say: bool = True) -> bool:
        """Whether all has been sent; `say` once on stderr that the store can't be reached, and that it can be again."""
        try:
            with client.timeouts(retries=0, seconds=SHORT if self.doubted else TIMEOUT):
                self.sender.deliver()
        except Exception as error:  # whatever mlflow, its store or its network raises: the spool keeps what it could not take
            place, folder = self.sender.opened["place"], self.sender.opened["folder"]
            failure, self.wait = client.message(error, place=place, folder=folder), min(2 * self.wait, WAIT[1])
            if say and not self.failure:
                self.say(failure, *([] if self.doubted else [WAITING]))
            self.failure = failure
            return False
        if say and len(self.sender.refused) > self.said:
            self.say(*self.sender.refused[self.said :])
            self.said = len(self.sender.refused)
        if say and not self.failure:
            self.send_another()
        if say and self.failure and not self.doubted:
            self.say(f"the MLflow store {self.sender.opened['place']} has it all again")
        self.failure, self.wait, self.doubted = "", WAIT[0], False
        return True

    def left_behind(self, other: Spool) -> bool:
        """Whether a run for this store has ended without it."""
        with contextlib.suppress(UserError):  # damaged, or its sender is at work
            ended = other.ended() and other.meant_for() == self.sender.spool.meant_for()
            if ended and other.left(self.sender.opened["place"]):
                with other.held("sender"):
                    return True
        return False

    def send_another(self) -> None:
        """One of the spools of this repository, for this store, that an earlier run has left behind."""
        while self.others:
            other = self.others.pop()
            try:
                with other.held("sender"), other.held("writer"):
                    if other.exists() and other.meant_for() == self.sender.spool.meant_for():
                        sender = Sender(other.folder, self.sender.opened)
                        sender.deliver()
                        sender.remove_if_done(held=True)
                        return
            except UserError:  # busy, or damaged
                continue
            except Exception:  # whatever the store raises: it may not take more of this run either, which says so then
                return

    def last(self) -> None:
        """The run's process is gone. Where it could not say how the run ended, it was killed."""
        for again in range(10):
            try:
                mark_killed(self.sender.spool)
                break
            except spool.GoneError:
                return
            except spool.BusyError:  # the system frees a dead process's locks a moment after its connections
                if again == 9:
                    return  # another process goes on with the run, and has a sender of its own
                time.sleep(LOOK)
        if self.try_to_deliver(say=False):
            self.sender.remove_if_done()


def mark_killed(kept: Spool) -> None:
    """Say so in a spool whose writer was killed. Raises BusyError where it is being written to, GoneError."""
    with kept.held("writer"):
        if kept.exists() and not kept.ended():
            writer = Writer(kept)
            writer.if_new = kept.adds  # the training that it adds to has ended, and not by this
            writer.add("end", status="KILLED")
            writer.flush()
            writer.close()


def serve(connection: Connection) -> None:
    """For the process at the other end: send a spool, or answer what it asks about a store; until it has gone."""
    try:
        connection.send(os.getpid())
        opened = connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError):  # killed as it began
        return
    # The parent's variables of now: what it tells MLflow may have changed since the process that this one is forked from.
    os.environ.clear()
    os.environ.update(opened.pop("environment"))
    if folder := opened.pop("spool"):
        with contextlib.suppress(spool.GoneError), contextlib.ExitStack() as stack:
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
