"""The multilayer perceptron."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, value
from filterlab.models.plan import ACTIVATIONS, Model, Plan, activation, dense, flatten, initial_weights


@dataclass
class MLP(Model):
    hidden: list[int] = value("width of each hidden layer, in units; [] gives softmax regression", ge=1, le=COUNT, most=1_000)
    activation: str = value("after each hidden layer", choices=ACTIVATIONS)

    def plan(self, *, classes: int) -> Plan:
        layers = [flatten()]
        for units in self.hidden:
            layers += [dense(units, initial=initial_weights(activation=self.activation)), activation(self.activation)]
        return Plan([*layers, dense(classes)])


NAMES = {"mlp": MLP}
