"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, section II.B)."""

from dataclasses import dataclass

from filterlab.config.section import value
from filterlab.models.plan import ACTIVATIONS, Model


@dataclass
class LeNet5(Model):
    activation: str = value("after each layer but the last", choices=ACTIVATIONS)


NAMES = {"lenet5": LeNet5}
