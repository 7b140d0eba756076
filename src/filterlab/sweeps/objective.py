"""The objective of a sweep: a validation metric."""

import re

from filterlab.errors import ConfigError

DIRECTIONS = {"accuracy": "maximize", "loss": "minimize", "balanced_accuracy": "maximize", "macro_f1": "maximize"}


def check_objective(metric: str) -> str:
    """The metric's full name, by which a training returns it: validation/loss is short for best/validation/loss.

    Raises ConfigError: the metric is not of the validation set.
    """
    if not re.fullmatch(rf"(best/)?validation/({'|'.join(DIRECTIONS)})", metric):
        known = "best/validation/ and one of " + ", ".join(DIRECTIONS)
        raise ConfigError(
            [f"the metric is {metric!r}, expected {known}: no choice is made on the test set, nor on what was learnt by heart"]
        )
    return f"best/{metric.removeprefix('best/')}"


def direction_of(metric: str) -> str:
    """The direction in which a metric that `check_objective` gave is better: "maximize" or "minimize"."""
    return DIRECTIONS[metric.rpartition("/")[2]]
