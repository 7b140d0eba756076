"""Softmax regression: one dense layer on the pixels."""

from dataclasses import dataclass

from filterlab.models.plan import Model, Plan, dense, flatten


@dataclass
class Softmax(Model):
    def plan(self, *, classes: int) -> Plan:
        return Plan([flatten(), dense(classes)])


NAMES = {"softmax": Softmax}
