"""A trial: one training of a sweep."""

from dataclasses import dataclass, field

STATUSES = ("done", "running", "queued", "failed", "interrupted", "pruned", "not started")


@dataclass(frozen=True)
class Trial:
    """A training as the store knows it.

    Attributes:
        key: 16 hex digits of the resolved configuration.
        swept: its value, as text, of each key with several values, e.g. {"optimizer.lr": "0.003", "seed": "0"}.
        status: one of STATUSES.
        run_id: empty where it is queued or not started.
        metrics: of the best epoch, e.g. "best/validation/accuracy", with "best_epoch" and "training/seconds".
    """

    key: str
    swept: dict[str, str]
    status: str
    run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
