"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, section II.B)."""

from dataclasses import dataclass

from filterlab.config.section import value
from filterlab.models.plan import ACTIVATIONS, Model, Plan, activation, conv, dense, flatten, pool


@dataclass
class LeNet5(Model):
    """61,706 parameters for 28x28 images and 10 classes.

    As usual today: each map of the second convolution sees all six below (the paper's table I leaves some out), averages are
    pooled without trained coefficients, and the last layer is dense instead of radial basis functions. The first convolution
    pads 28x28 to the paper's 32x32. PyTorch's initial weights stay: uniform and scaled by the fan-in, as in the paper.
    """

    activation: str = value("after each layer but the last", choices=ACTIVATIONS)

    def plan(self, *, classes: int) -> Plan:
        return Plan(
            [
                conv(6, 5, padding=2),
                activation(self.activation),
                pool(2, of="average"),
                conv(16, 5),
                activation(self.activation),
                pool(2, of="average"),
                flatten(),
                dense(120),
                activation(self.activation),
                dense(84),
                activation(self.activation),
                dense(classes),
            ]
        )


NAMES = {"lenet5": LeNet5}
