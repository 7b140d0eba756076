"""The residual network for small images (He, Zhang, Ren, Sun, arXiv 1512.03385, section 4.2), and the plain one beside it."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from filterlab.models.architectures import resnet as settings
from filterlab.models.global_pool import GlobalAverage
from filterlab.models.shapes import blocks_per_group


class AddShortcut(nn.Module):
    """Adds a block's input to its output. Shortcuts have no parameters (the paper's option A): where a block halves the maps
    and doubles the channels, its input gives every second pixel and zeros for the new channels. So the networks with and
    without shortcuts have the same parameters and differ in nothing else.
    """

    def forward(self, maps: Tensor, block_input: Tensor) -> Tensor:
        stride = 1 if maps.shape[2:] == block_input.shape[2:] else 2
        shortcut = block_input[:, :, ::stride, ::stride]
        return maps + F.pad(shortcut, (0, 0, 0, 0, 0, maps.shape[1] - shortcut.shape[1]))


class Block(nn.Module):
    """(N, channels, H, W) -> (N, filters, ceil(H / stride), ceil(W / stride)): two convolutions of 3x3 and the shortcut."""

    def __init__(self, channels: int, filters: int, *, stride: int, residual: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.add = AddShortcut() if residual else None
        self.act2 = nn.ReLU()

    def forward(self, block_input: Tensor) -> Tensor:
        maps = self.act1(self.norm1(self.conv1(block_input)))
        maps = self.norm2(self.conv2(maps))
        if self.add is not None:
            maps = self.add(maps, block_input)
        return self.act2(maps)


class ResNet(nn.Sequential):
    """(N, C, H, W) float32, any size -> logits (N, classes). With model.residual false: the paper's plain network.

    Raises ShapeError if the depth is not 6n + 2.
    """

    def __init__(self, model: settings.ResNet, *, channels: int, height: int, width: int, classes: int):
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(channels, model.width, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(model.width),
            act1=nn.ReLU(),
        )
        below = model.width
        for group in (1, 2, 3):
            filters = model.width * 2 ** (group - 1)
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for block in range(1, blocks_per_group(model) + 1):
                stride = 2 if group > 1 and block == 1 else 1
                blocks[f"block{block}"] = Block(below, filters, stride=stride, residual=model.residual)
                below = filters
            parts[f"group{group}"] = nn.Sequential(blocks)
        parts["global_average"] = GlobalAverage()
        parts["fc1"] = nn.Linear(below, classes)
        super().__init__(parts)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                # fan_out keeps the variance of the gradients, which a hundred layers would otherwise shrink or blow up
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
