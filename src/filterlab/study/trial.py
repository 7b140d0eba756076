"""A trial: one training of a sweep."""

from dataclasses import dataclass, field

STATUSES = ("done", "running", "queued", "failed", "interrupted", "pruned", "not started")


@dataclass(frozen=True)
class Trial:
    """A training as its folder tells it.

    Attributes:
        key: 16 hex digits of the resolved configuration.
        swept: its value, as text, of each key with several values, e.g. {"optimizer.lr": "0.003", "seed": "0"}.
        status: one of STATUSES.
        started: seconds since 1970, UTC; 0 where it is queued or not started.
        run_id: MLflow's, or the run's identity where the store had not got it at the training's end; empty before.
        metrics: of the best epoch, e.g. "best/validation/accuracy", with "best_epoch" and "training/seconds".
        curve: the sweep's metric after each epoch.
        error: why it failed.
    """

    key: str
    swept: dict[str, str]
    status: str
    started: float = 0.0
    run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[float] = field(default_factory=list)
    error: str = ""
