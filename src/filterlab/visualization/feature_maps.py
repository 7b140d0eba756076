"""Feature maps: an image after every convolution, activation and pooling of a network."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import INK, MARGIN, MUTED, POSITIVE, SIGNED, bare, panel, sheet, size, spaced

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor

CONVOLUTIONS = (nn.Conv2d,)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.Tanh, nn.Sigmoid)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)

LAYERS = 12  # columns of the figure at most
CHANNELS = 6  # rows


@dataclass(frozen=True)
class Layer:
    """maps: (N, C, H, W) float32 for N images; group: index of the convolution whose filters made these channels."""

    name: str
    maps: NDArray[np.float32]
    group: int


def record(predictor: "Predictor", images: torch.Tensor) -> list[Layer]:
    """The maps of images (N, C, H, W) uint8 after each convolution, activation and pooling of the network, in the order they
    are computed.

    Outputs that are no maps (of a dense layer's activation) are left out; a network without a convolution gives [].
    """
    layers: list[Layer] = []
    groups = [-1]
    hooks = []
    for name, module in predictor.network.named_modules():
        if isinstance(module, CONVOLUTIONS + ACTIVATIONS + POOLINGS):

            def keep(module: nn.Module, inputs: tuple, output: torch.Tensor, name: str = name) -> None:
                if isinstance(module, CONVOLUTIONS):
                    groups.append(groups[-1] + 1)
                if output.ndim == 4 and groups[-1] >= 0:
                    # Copied: an activation computed in place would overwrite the convolution's maps.
                    layers.append(Layer(name=name, maps=output.detach().float().cpu().clone().numpy(), group=groups[-1]))

            hooks.append(module.register_forward_hook(keep))
    predictor.eval()
    try:
        with torch.inference_mode():
            predictor(images)
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def channels(layers: list[Layer], *, index: int, limit: int) -> dict[int, NDArray[np.int64]]:
    """For each group the channels that answer image number `index` most: those with the highest value anywhere in their map at
    the group's last layer, in their own order.

    All layers of a group show the same channels, so that a row follows one filter through activation and pooling.
    """
    last = {layer.group: layer for layer in layers}
    order = {group: np.argsort(-layer.maps[index].max(axis=(1, 2)), kind="stable") for group, layer in last.items()}
    return {group: np.sort(indices[:limit]) for group, indices in order.items()}


def draw_feature_maps(
    layers: list[Layer],
    image: NDArray[np.floating],
    *,
    index: int,
    label: str,
    subject: str,
    untrained: list[Layer] | None = None,
) -> Figure:
    """The path of image number `index` of those recorded: the image, then a column a layer, a row a channel.

    image: (H, W), or in colour (H, W, 3) in [0, 1]. label: the image's class.
    layers: not empty. untrained: the same of the network before training, which is drawn below.
    Each layer has one color scale in each of the two, from 0 or symmetric about it.
    """
    places = spaced(len(layers), limit=LAYERS)
    shown = [layers[i] for i in places]
    picked = channels(layers, index=index, limit=CHANNELS)
    rows = max(len(picked[layer.group]) for layer in shown)
    tile, gap, number = 0.88, 0.11, 0.32  # inches; `number`: room for the channels' numbers before each group
    starts = [layer.group != before for layer, before in zip(shown, [-1] + [layer.group for layer in shown], strict=False)]
    first = 1.9
    lefts = first + np.cumsum([number * starts[i] + (tile + gap) * (i > 0) for i in range(len(shown))])
    height = rows * (tile + gap) - gap
    blocks = [("trained", shown)] if untrained is None else [("trained", shown), ("untrained", [untrained[i] for i in places])]
    block = height + 0.75
    what = f"Shown: {len(shown)} of {len(layers)} layers" if len(shown) < len(layers) else f"All {len(layers)} layers with maps"
    sheet_ = sheet(
        f"What the network sees of “{label}”",
        caption=f"{subject}. {what}; the {CHANNELS} channels (numbered) with the highest values, a row each up to the next "
        "convolution. Red: above 0, blue: below. Black: 0",
        width=float(lefts[-1]) + tile + MARGIN,
        height=len(blocks) * block - 0.15 + MARGIN,
    )
    across = sheet_.get_size_inches()[0]
    axes = panel(sheet_, left=0, bottom=MARGIN, width=across, height=len(blocks) * block - 0.15)
    bare(axes)
    axes.set(xlim=(0, across), ylim=(len(blocks) * block - 0.75, -0.6))
    for place, (kind, columns) in enumerate(blocks):
        top = place * block
        if place == 0:
            _tile(axes, image, left=MARGIN, top=0, width=1.15, cmap="gray", low=0.0, high=float(image.max()) or 1.0)
            axes.text(MARGIN, -0.1, f"image\n{size(*image.shape[:2])}", fontsize=9.5, color=INK, va="bottom", linespacing=1.3)
        if len(blocks) > 1:
            words = f"{kind}\nnetwork"
            axes.text(MARGIN, top + (1.35 if place == 0 else 0.1), words, fontsize=11, weight="bold", color=INK, va="top")
        if place:
            picked = channels(untrained or [], index=index, limit=CHANNELS)
        for layer, left, start in zip(columns, lefts, starts, strict=True):
            picks = picked[layer.group]
            high = float(np.abs(layer.maps[index, picks]).max()) or 1.0
            signed = bool(layer.maps.min() < 0)
            column = mosaic(layer.maps[index, picks], columns=1).pixels
            cmap, low = (SIGNED, -high) if signed else (POSITIVE, 0.0)
            _tile(axes, column, left=left, top=top, width=tile, cmap=cmap, low=low, high=high)
            if place == 0:
                words = f"{_short(layer.name)}\n{layer.maps.shape[1]} of {size(*layer.maps.shape[2:])}"
                axes.text(left, -0.1, words, fontsize=9.5, color=INK, va="bottom", linespacing=1.3)
            if start:
                pitch = column.shape[0] / column.shape[1] * tile / len(picks)
                for row, channel in enumerate(picks):
                    at = top + (row + 0.45) * pitch
                    axes.text(left - 0.05, at, str(channel), fontsize=9, color=MUTED, ha="right", va="center")
    return sheet_


def _tile(axes: Axes, pixels: NDArray, *, left: float, top: float, width: float, cmap: str, low: float, high: float) -> None:
    height = width * pixels.shape[0] / pixels.shape[1]
    extent = (left, left + width, top + height, top)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(pixels, cmap=cmap, vmin=low, vmax=high, interpolation="nearest", aspect="auto", extent=extent)
    axes.set(xlim=limits[0], ylim=limits[1])


def _short(name: str) -> str:
    """group1.block12.conv2 -> g1.b12.conv2, which a column has room for."""
    return re.sub(r"([a-z])[a-z_]*(\d*)\.", r"\1\2.", name)
