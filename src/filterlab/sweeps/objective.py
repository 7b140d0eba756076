"""What settings are compared by: always a validation metric."""

import re

from filterlab.errors import ConfigError

USUAL = {"accuracy": "maximize", "loss": "minimize"}
EXAMPLE = "best/validation/accuracy"


def check(metric: str, *, direction: str) -> str:
    """The metric's full name, by which a training returns it: validation/loss is short for best/validation/loss.

    Raises ConfigError: the metric is not of the validation set, or the direction ("maximize", "minimize") is not its own.
    """
    faults = []
    parts = re.split(r"\W|_", metric)
    if "test" in parts:
        faults.append(f"the metric is {metric!r}: no choice is made on the test set; name a validation metric, e.g. {EXAMPLE}")
    elif "train" in parts or "training" in parts:
        faults.append(f"the metric is {metric!r}: what was learnt by heart scores best; name a validation metric, e.g. {EXAMPLE}")
    elif not re.fullmatch(rf"(best/)?validation/({'|'.join(USUAL)})", metric):
        faults.append(f"the metric is {metric!r}, expected {' or '.join(f'best/validation/{name}' for name in USUAL)}")
    expected = USUAL.get(parts[-1])
    if direction not in USUAL.values():
        faults.append(f"the direction is {direction!r}, expected {' or '.join(USUAL.values())}")
    elif expected and direction != expected:
        faults.append(f"the direction is {direction!r}, expected {expected} for {metric}")
    if faults:
        raise ConfigError(faults)
    return f"best/{metric.removeprefix('best/')}"
