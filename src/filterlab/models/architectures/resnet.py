"""The residual network for small images (He, Zhang, Ren, Sun, arXiv 1512.03385, section 4.2), and the plain one beside it."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, value
from filterlab.models.plan import Model


@dataclass
class ResNet(Model):
    depth: int = value("number of weighted layers: 6n + 2", ge=8, le=1202)
    width: int = value("filters of the first of the three groups; the others have twice and four times as many", ge=1, le=COUNT)
    residual: bool = value("add each block's input to its output")


NAMES = {"resnet": ResNet}
