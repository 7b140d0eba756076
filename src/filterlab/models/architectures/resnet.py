"""The residual network for small images (He, Zhang, Ren, Sun, arXiv 1512.03385, section 4.2), and the plain one beside it."""

from dataclasses import dataclass

from filterlab.config.section import COUNT, value
from filterlab.models.plan import Layer, Model, Plan, ShapeError, activation, add, conv, dense, global_average, norm, with_names


@dataclass
class ResNet(Model):
    """Three groups of n blocks of two convolutions, the first convolution and the last layer: depth = 6n + 2.

    With residual false: the paper's plain network, which has the same parameters and differs in nothing else.
    """

    depth: int = value("number of weighted layers: 6n + 2", ge=8, le=1202)
    width: int = value("filters of the first of the three groups; the others have twice and four times as many", ge=1, le=COUNT)
    residual: bool = value("add each block's input to its output")

    def plan(self, *, classes: int) -> Plan:
        blocks, rest = divmod(self.depth - 2, 6)
        if rest or blocks < 1:
            below = 6 * max(blocks, 1) + 2
            raise ShapeError(f"depth {self.depth} is not 6n + 2; the nearest are {below} and {below + 6}")
        layers = with_names([*convolution(self.width), activation("relu")])
        for group in (1, 2, 3):
            for block in range(1, blocks + 1):
                within, block_input = f"group{group}.block{block}", layers[-1].name
                filters, stride = self.width * 2 ** (group - 1), 2 if group > 1 and block == 1 else 1
                parts = [*convolution(filters, stride=stride), activation("relu"), *convolution(filters)]
                if self.residual:
                    parts.append(add(f"{within}.norm2", block_input))
                layers += with_names([*parts, activation("relu")], within=within)
        return Plan([*layers, global_average(), dense(classes)], draw_weights_last=True)


def convolution(filters: int, *, stride: int = 1) -> list[Layer]:
    """3x3 with batch norm. The fan-out keeps the variance of the gradients, which a hundred layers would shrink or blow up."""
    return [conv(filters, 3, stride=stride, padding=1, bias=False, initial="he_fan_out"), norm()]


NAMES = {"resnet": ResNet}
