"""The torch module of each kind of layer, and its initial weights."""

from torch import Tensor, nn
from torch.nn import functional as F

from filterlab.models.plan import Layer, pair

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


def module(layer: Layer, *, channels: int) -> nn.Module:
    """A new module for maps or vectors of so many channels. It never works in place: a hook that keeps the map below finds it
    unchanged.
    """
    of = layer.settings
    match layer.kind:
        case "conv":
            sides, padding = pair(of["kernel"]), pair(of["padding"])
            return nn.Conv2d(channels, of["filters"], sides, of["stride"], padding, of["dilation"], of["groups"], of["bias"])
        case "dense":
            return nn.Linear(channels, of["units"])
        case "norm":
            return nn.BatchNorm2d(channels)
        case "activation":
            return ACTIVATIONS[of["function"]]()
        case "pool":
            return POOLS[of["of"]](of["kernel"], of["stride"])
        case "dropout":
            return nn.Dropout(of["probability"])
    return {"add": AddShortcut, "flatten": nn.Flatten, "global_max": GlobalMax, "global_average": GlobalAverage}[layer.kind]()


def draw(module: nn.Module, layer: Layer) -> None:
    """Initial weights as the layer asks for them, in place of those that PyTorch drew; see plan.dense."""
    initial = layer.settings.get("initial", "torch")
    if initial == "torch":
        return
    weight = module.get_parameter("weight")
    if initial == "glorot":
        nn.init.xavier_uniform_(weight)
    else:
        nn.init.kaiming_normal_(weight, mode="fan_out" if initial == "he_fan_out" else "fan_in", nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.get_parameter("bias"))


class GlobalMax(nn.Module):
    """(N, C, H, W) -> (N, C), each map's largest value."""

    def forward(self, maps: Tensor) -> Tensor:
        # amax is ten times slower on the way back: 8 ms for 256 x 128 maps of 7x7 (CPU, 2 cores, channels_last)
        return F.adaptive_max_pool2d(maps, 1).flatten(1)


class GlobalAverage(nn.Module):
    """(N, C, H, W) -> (N, C), each map's mean."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


class AddShortcut(nn.Module):
    """Adds a block's input to its output. Shortcuts have no parameters (the paper's option A): where a block halves the maps
    and doubles the channels, its input gives every second pixel and zeros for the new channels. So the networks with and
    without shortcuts have the same parameters and differ in nothing else.
    """

    def forward(self, maps: Tensor, block_input: Tensor) -> Tensor:
        if maps.ndim == 2:  # vectors of one size
            return maps + block_input
        stride = 1 if maps.shape[2:] == block_input.shape[2:] else 2
        shortcut = block_input[:, :, ::stride, ::stride]
        return maps + F.pad(shortcut, (0, 0, 0, 0, 0, maps.shape[1] - shortcut.shape[1]))
