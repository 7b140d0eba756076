"""The optimizers: their settings, and torch.optim's optimizer that each builds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterlab.config.section import Names, Section, value

if TYPE_CHECKING:  # the configuration reads the settings, and does without torch
    import torch

    Parameters = Iterable[torch.nn.Parameter]


@dataclass
class Optimizer(Section):
    name: str = value("the algorithm", text="name")
    lr: float = value("learning rate (of the one-cycle schedule: its peak)", ge=1e-30, le=1e6)
    weight_decay: float = value("L2 penalty (adamw: decoupled)", ge=0, le=1e6)

    def build(self, parameters: "Parameters") -> "torch.optim.Optimizer":
        """The optimizer of `parameters` with these settings."""
        raise NotImplementedError


@dataclass
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Nesterov's or the classical one)."""

    momentum: float = value("share of the last step kept", ge=0, lt=1)
    nesterov: bool = value("look ahead before the gradient is taken; needs momentum > 0")

    def disagreements(self) -> Iterator[str]:
        if self.nesterov and self.momentum == 0:
            yield "optimizer.nesterov is true and optimizer.momentum is 0: nesterov needs momentum > 0"

    def build(self, parameters: "Parameters") -> "torch.optim.Optimizer":
        from torch.optim import SGD

        return SGD(parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov)


@dataclass
class Adam(Optimizer):
    """Adam: Kingma, Ba (arXiv 1412.6980); weight decay is an L2 penalty on the loss."""

    beta1: float = value("decay of the mean gradient", ge=0, lt=1)
    beta2: float = value("decay of the mean squared gradient", ge=0, lt=1)
    eps: float = value("added to the denominator", ge=1e-30, le=1)

    def build(self, parameters: "Parameters") -> "torch.optim.Optimizer":
        from torch.optim import Adam

        return Adam(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay: Loshchilov, Hutter (arXiv 1711.05101)."""

    def build(self, parameters: "Parameters") -> "torch.optim.Optimizer":
        from torch.optim import AdamW

        return AdamW(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass
class Adadelta(Optimizer):
    """Adadelta: Zeiler (arXiv 1212.5701)."""

    rho: float = value("decay of the running averages", ge=0, lt=1)
    eps: float = value("added to the denominators", ge=1e-30, le=1)

    def build(self, parameters: "Parameters") -> "torch.optim.Optimizer":
        from torch.optim import Adadelta

        return Adadelta(parameters, self.lr, self.rho, self.eps, self.weight_decay)


NAMES: dict[str, type[Optimizer]] = Names({"sgd": SGD, "adam": Adam, "adamw": AdamW, "adadelta": Adadelta})
