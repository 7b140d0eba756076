"""Softmax regression: one dense layer on the pixels."""

from dataclasses import dataclass

from filterlab.models.plan import Model


@dataclass
class Softmax(Model):
    pass


NAMES = {"softmax": Softmax}
