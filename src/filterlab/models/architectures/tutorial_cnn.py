"""The network of the lecture's exercise (2020), as Keras builds it."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, SIDE, value
from filterlab.models.plan import Model, Plan, activation, conv, dense, dropout, flatten, pool


@dataclass
class TutorialCNN(Model):
    """157,386 parameters for 28x28 images, 32 filters of 3x3 and 10 classes.

    The second convolution's filters are always 3x3: the lecture varies the first alone. Initial weights are Keras's default,
    from which the lecture's figures come: Glorot uniform.
    """

    filters: int = value("of both convolutions (the lecture tries 8, 16, 32)", ge=1, le=COUNT)
    kernel: int = value("side of the first convolution's filters, in pixels (the lecture tries 3, 9, 16)", ge=1, le=SIDE)

    def plan(self, *, classes: int) -> Plan:
        layers = [
            conv(self.filters, self.kernel, initial="glorot"),
            activation("relu"),
            conv(self.filters, 3, initial="glorot"),
            activation("relu"),
            pool(2),
            dropout(0.25),
            flatten(),
            dense(32, initial="glorot"),
            activation("relu"),
            dropout(0.25),
            dense(classes, initial="glorot"),
        ]
        return Plan(layers, draw_weights_last=True)


NAMES = {"tutorial_cnn": TutorialCNN}
