"""The network of the lecture's exercise (2020), as Keras builds it."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, SIDE, value
from filterlab.models.plan import Model


@dataclass
class TutorialCNN(Model):
    filters: int = value("of both convolutions (the lecture tries 8, 16, 32)", ge=1, le=COUNT)
    kernel: int = value("side of the first convolution's filters, in pixels (the lecture tries 3, 9, 16)", ge=1, le=SIDE)


NAMES = {"tutorial_cnn": TutorialCNN}
