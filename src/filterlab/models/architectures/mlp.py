"""The multilayer perceptron."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, value
from filterlab.models.plan import ACTIVATIONS, Model


@dataclass
class MLP(Model):
    hidden: list[int] = value("width of each hidden layer, in units; [] gives softmax regression", ge=1, le=COUNT, most=1_000)
    activation: str = value("after each hidden layer", choices=ACTIVATIONS)


NAMES = {"mlp": MLP}
