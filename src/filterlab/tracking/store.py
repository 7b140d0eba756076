"""Where the history lives: one store, however a run was started."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from filterlab.errors import TrackingError


class Settings(Protocol):
    """What tracking is told; schema.Tracking fits."""

    backend: str
    uri: str
    experiment: str
    system_metrics: bool


@dataclass(frozen=True)
class Store:
    """uri: of the tracking store; artifacts: root of a local store's artifacts, None where a server keeps them."""

    uri: str
    artifacts: Path | None


def locate(settings: Settings, *, root: Path) -> Store:
    """The store of these settings; `root` is the repository's, whichever copy of it DVC runs in.

    DVC runs queued and temporary experiments in a copy below .dvc/tmp that it deletes afterwards, and names the
    original repository in DVC_ROOT: the history belongs there.

    Raises:
        TrackingError: a server is asked for and none is named, or with a password in its URL.
    """
    if settings.backend == "server":
        uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise TrackingError(
                "tracking is `server`, but no server is named: set MLFLOW_TRACKING_URI=http://host:port, "
                "or tracking.uri in the order's override, or choose `tracking: local`"
            )
        if urlsplit(uri).password:
            raise TrackingError(
                "the tracking server's URL holds a password, which would stand in files, logs and on screens: "
                "put name and password into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and the URL without them"
            )
        return Store(uri=uri, artifacts=None)
    home = Path(os.environ.get("DVC_ROOT") or root).resolve()
    return Store(uri=f"sqlite:///{home / 'mlflow.db'}", artifacts=home / "mlartifacts")
