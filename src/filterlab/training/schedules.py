"""The schedules: their settings, and the learning rate that each builds, as a factor of the optimizer's."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from filterlab.config.section import COUNT, Names, Section, value

Factor = Callable[[int], float]


@dataclass
class Schedule(Section):
    name: str = value("how the learning rate moves over the training", text="name")

    def build(self, *, steps: int, steps_per_epoch: int) -> Factor:
        """step in [0, steps) -> factor of the learning rate, in [0, 1]."""
        raise NotImplementedError


@dataclass
class Constant(Schedule):
    """Constant learning rate."""

    def build(self, *, steps: int, steps_per_epoch: int) -> Factor:
        return lambda step: 1.0


@dataclass
class OneCycle(Schedule):
    """One-cycle schedule: Smith, Topin (arXiv 1708.07120), with cosine annealing in both phases, as PyTorch's OneCycleLR does."""

    warmup: float = value("share of the steps spent rising to lr", gt=0, lt=1)
    start_div: float = value("the first learning rate is lr / start_div", gt=1, le=1e12)
    end_div: float = value("the last learning rate is lr / (start_div * end_div)", gt=1, le=1e12)

    def build(self, *, steps: int, steps_per_epoch: int) -> Factor:
        start, end = 1 / self.start_div, 1 / (self.start_div * self.end_div)
        peak = max(self.warmup * steps - 1, 1e-9)
        fall = max(max(steps - 1, 1) - peak, 1e-9)
        return lambda step: anneal(start, 1.0, step / peak) if step <= peak else anneal(1.0, end, min((step - peak) / fall, 1.0))


@dataclass
class Cosine(Schedule):
    """Cosine annealing with linear warmup: Loshchilov, Hutter (arXiv 1608.03983), equation 5, for one period."""

    warmup: float = value("share of the steps spent rising linearly to lr", ge=0, lt=1)
    floor: float = value("the last learning rate, as a share of lr", ge=0, le=1)

    def build(self, *, steps: int, steps_per_epoch: int) -> Factor:
        rise = self.warmup * steps
        fall = max(max(steps - 1, 1) - rise, 1e-9)
        return lambda step: (step + 1) / (rise + 1) if step < rise else anneal(1.0, self.floor, min((step - rise) / fall, 1.0))


@dataclass
class Step(Schedule):
    """Step decay: the learning rate drops by a factor every few epochs."""

    every: int = value("epochs between two drops", ge=1, le=COUNT)
    factor: float = value("the learning rate is multiplied by this at each drop", gt=0, le=1)

    def build(self, *, steps: int, steps_per_epoch: int) -> Factor:
        return lambda step: self.factor ** (step // steps_per_epoch // self.every)


def anneal(start: float, end: float, share: float) -> float:
    """From start (share 0) to end (share 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


NAMES: dict[str, type[Schedule]] = Names({"constant": Constant, "one_cycle": OneCycle, "cosine": Cosine, "step": Step})
