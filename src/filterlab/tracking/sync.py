"""Sync: bring what waits in spools to a store."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filterlab.errors import DataError, TrackingError, UserError
from filterlab.tracking import senders, spool
from filterlab.tracking.spool import Spool
from filterlab.tracking.store import Settings, Store, locate

LOOK = 2.0  # seconds between two looks of --watch


@dataclass
class Target:
    """Settings of a store for `locate`."""

    backend: str
    uri: str
    experiment: str
    system_metrics: bool = False
    require: bool = False
    patience: float = 0.0


def find(paths: Sequence[Path], *, home: Path | None) -> list[Spool]:
    """Spools in these folders; without any, in the repository. Those of trainings first: the others add to their runs.

    Raises UserError: there is none in a folder.
    """
    if not paths:
        found = spool.find(home) if home else []
    else:
        found = []
        for path in paths:
            below = spool.find_below(path) or spool.find_below(path / spool.FOLDER)
            if not below:
                raise UserError(f"{path} holds no spool: expected a folder {spool.FOLDER}/, or one in it")
            found += below
    return sorted(found, key=lambda each: each.adds)


def sync(paths: Sequence[Path], settings: Settings, *, home: Path | None, to: str, watch: bool) -> None:
    """Send spools, and remove those whose run is finished; a line for each.

    Args:
        paths: folders; none: the repository's.
        settings: where spools go that were begun offline.
        home: the repository; None: this is none, and only a server can be meant.
        to: a server's address, instead of each spool's own store.
        watch: send what comes, until it is interrupted.

    Raises:
        TrackingError: a store can't be reached or refuses. DataError: a spool is damaged. All others have been sent.
    """
    os.environ.update({name: given for name, given in senders.UNLESS_SET.items() if name not in os.environ})
    paths = [path.resolve() for path in paths]
    # Now, for MLflow sets the variable itself.
    settings = Target(settings.backend, settings.uri or os.environ.get("MLFLOW_TRACKING_URI", ""), settings.experiment)
    said: dict[Path, str] = {}
    if not watch and not find(paths, home=home):
        print("nothing waits to be sent")
    while True:
        faults = {
            each.folder: fault for each in find(paths, home=home) if (fault := send(each, settings, home=home, to=to, said=said))
        }
        if len(faults) > 1 or watch:
            for folder, fault in faults.items():
                say(folder, f"not sent: {fault}", said)
        if not watch:
            break
        time.sleep(LOOK)
    for fault in faults.values():
        if len(faults) == 1:
            raise fault
        raise type(fault)(f"{len(faults)} spools could not be sent, or not whole: see above")


def say(spool: Path, news: str, said: dict[Path, str]) -> None:
    """Print what came of a spool, where that was not the last that was said of it."""
    if said.get(spool) != news:
        print(f"{spool.name}: {news}", flush=True)
        said[spool] = news


def send(kept: Spool, settings: Settings, *, home: Path | None, to: str, said: dict[Path, str]) -> UserError | None:
    """Send one, and print that it was. Gives why it could not be sent."""
    from filterlab.tracking import client
    from filterlab.tracking.sender import Sender
    from filterlab.tracking.session import mark_killed

    try:
        with contextlib.suppress(spool.BusyError):  # its run is under way
            mark_killed(kept)
        experiment, backend, server = kept.meant_for()
        store = choose(settings, home=home, backend=backend, server=to or server)
        place, folder = str(store), str(store.folder or "")
        opened = {"place": place, "uri": store.uri, "folder": folder, "experiment": experiment, "writing": True}
        with kept.held("sender"):
            if not (left := kept.left(place)):
                return None
            sender = Sender(kept.folder, opened)
            try:
                with client.timeouts(retries=1, seconds=20):
                    sender.deliver()
            except (UserError, AssertionError):
                raise
            except Exception as error:  # whatever mlflow, its store or its network raises
                raise TrackingError(client.message(error, place=place, folder=folder)) from error
            if sender.refused:
                raise DataError("; ".join(sender.refused))
            sender.remove_if_done()
        news = f"sent to {place}, {left} record{'s' * (left > 1)}"
    except spool.BusyError:
        news = "is being sent by another process"
    except (TrackingError, DataError) as error:
        if not kept.exists():  # another process has sent it meanwhile
            return None
        return error
    say(kept.folder, news, said)
    return None


def choose(settings: Settings, *, home: Path | None, backend: str, server: str) -> Store:
    """The server of that address; of what was begun offline, that of the settings; or the local store."""
    address = server
    if not address and backend == "offline":
        address = settings.uri
    target = Target("server" if address else "local", address, settings.experiment)
    if not address and home is None:
        raise UserError("this is no repository of filterlab's, which has a store of its own: name a server, --to URL")
    return locate(target, root=home or Path.cwd())
