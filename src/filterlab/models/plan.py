"""What every architecture is made of."""

from dataclasses import dataclass

from filterlab.config.section import Section, value

ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid", "identity"]


@dataclass
class Model(Section):
    name: str = value("the architecture: a name that a module of filterlab.models.architectures gives it", text="name")
