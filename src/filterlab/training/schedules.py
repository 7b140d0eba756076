"""The learning rate over a training, as a factor of the configured one, for each optimizer step."""

import math
from collections.abc import Callable

from filterlab.config import schema


def factor(schedule: schema.Schedule, *, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """step in [0, steps) -> factor of the learning rate, in (0, 1].

    one_cycle follows Smith, Topin (arXiv 1708.07120) with cosine annealing in both phases, as PyTorch's OneCycleLR does;
    cosine follows Loshchilov, Hutter (arXiv 1608.03983), equation 5, for one period.
    """
    last = max(steps - 1, 1)
    match schedule:
        case schema.Constant():
            return lambda step: 1.0
        case schema.OneCycle(warmup=warmup, start_div=start, end_div=end):
            peak = max(warmup * steps - 1, 1e-9)
            return lambda step: (
                anneal(1 / start, 1.0, step / peak)
                if step <= peak
                else anneal(1.0, 1 / (start * end), min((step - peak) / max(last - peak, 1e-9), 1.0))
            )
        case schema.Cosine(warmup=warmup, floor=floor):
            rise = warmup * steps
            return lambda step: (
                (step + 1) / (rise + 1) if step < rise else anneal(1.0, floor, min((step - rise) / max(last - rise, 1e-9), 1.0))
            )
        case schema.Step(every=every, factor=drop):
            return lambda step: drop ** (step // steps_per_epoch // every)
    raise TypeError(f"no schedule for {type(schedule).__name__}; there are {', '.join(schema.FAMILIES['schedule'])}")


def anneal(start: float, end: float, share: float) -> float:
    """From start (share 0) to end (share 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
