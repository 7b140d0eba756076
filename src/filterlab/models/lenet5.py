"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, section II.B)."""

from collections import OrderedDict

from torch import nn

from filterlab.models.activations import activation
from filterlab.models.architectures import lenet5 as settings
from filterlab.models.shapes import flat_size


class LeNet5(nn.Sequential):
    """(N, C, H, W) float32 -> logits (N, classes). 61,706 parameters for 28x28 images and 10 classes.

    As usual today: each map of the second convolution sees all six below (the paper's table I leaves some out), averages are
    pooled without trained coefficients, and the last layer is dense instead of radial basis functions. The first convolution
    pads 28x28 to the paper's 32x32. PyTorch's initial weights stay: uniform and scaled by the fan-in, as in the paper.
    Raises ShapeError if the images are too small.
    """

    def __init__(self, model: settings.LeNet5, *, channels: int, height: int, width: int, classes: int):
        flat = flat_size(model, channels=channels, height=height, width=width, classes=classes)
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(channels, 6, 5, padding=2),
                act1=activation(model.activation),
                pool1=nn.AvgPool2d(2),
                conv2=nn.Conv2d(6, 16, 5),
                act2=activation(model.activation),
                pool2=nn.AvgPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(flat, 120),
                act3=activation(model.activation),
                fc2=nn.Linear(120, 84),
                act4=activation(model.activation),
                fc3=nn.Linear(84, classes),
            )
        )
