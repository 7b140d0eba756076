"""The network of the lecture's exercise (2020), as Keras builds it."""

from collections import OrderedDict

from torch import nn

from filterlab.models.architectures import tutorial_cnn as settings
from filterlab.models.shapes import flat_size


class TutorialCNN(nn.Sequential):
    """(N, C, H, W) float32 -> logits (N, classes). 157,386 parameters for 28x28 images, 32 filters of 3x3 and 10 classes.

    The second convolution's filters are always 3x3: the lecture varies the first alone.
    Raises ShapeError if the images are too small.
    """

    def __init__(self, model: settings.TutorialCNN, *, channels: int, height: int, width: int, classes: int):
        flat = flat_size(model, channels=channels, height=height, width=width, classes=classes)
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(channels, model.filters, model.kernel),
                act1=nn.ReLU(),
                conv2=nn.Conv2d(model.filters, model.filters, 3),
                act2=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                drop1=nn.Dropout(0.25),
                flatten=nn.Flatten(),
                fc1=nn.Linear(flat, 32),
                act3=nn.ReLU(),
                drop2=nn.Dropout(0.25),
                fc2=nn.Linear(32, classes),
            )
        )
        # Keras's defaults, from which the lecture's figures come: Glorot uniform, limit sqrt(6 / (fan_in + fan_out)), where a
        # convolution's fans are its kernel's area times its input and output channels, as PyTorch counts them too.
        for layer in self:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.get_parameter("bias"))
