"""What makes a filter answer most: for each channel of a layer the patches of images with its highest activations."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from filterlab.models.plan import Plan
from filterlab.visualization.receptive import Window

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor

HELD = 1 << 24  # numbers of maps that a batch may give: 64 MiB, however many channels there are


@dataclass(frozen=True)
class Strongest:
    """The strongest places of each of C channels, the highest first, one an image at most; k of them, or as many as images.

    indices: (C, k) of the images; positions: (C, k, 2), row and column of the unit in the layer's maps; activations: (C, k)
    """

    indices: NDArray[np.int64]
    positions: NDArray[np.int64]
    activations: NDArray[np.float32]


def answers(plan: Plan) -> dict[str, str]:
    """The layer where a convolution's answer is read, by the convolution's name: the norm that follows it, which may turn its
    sign around, or else itself; before the activation, which would make all that is weak equal.
    """
    after = dict(zip((layer.name for layer in plan.layers), plan.layers[1:], strict=False))
    return {
        layer.name: after[layer.name].name if after[layer.name].kind == "norm" else layer.name
        for layer in plan.layers
        if layer.kind == "conv"
    }


def strongest(predictor: "Predictor", images: NDArray[np.uint8], layer: str, *, k: int = 9) -> Strongest:
    """See `strongest_of`."""
    return strongest_of(predictor, images, [layer], k=k)[layer]


def strongest_of(predictor: "Predictor", images: NDArray[np.uint8], layers: Iterable[str], *, k: int = 9) -> dict[str, Strongest]:
    """Of each layer's channels (or units) the k images with the highest activation, and where in the image it is; one pass.

    images: (N, C, H, W), N >= 1. Of equal activations that of the earlier image counts as higher.
    Batch by batch: beside the maps of one batch, at most HELD numbers where one image has not more, the k best are held.
    Raises ValueError: there is no such layer.
    """
    layers = list(dict.fromkeys(layers))
    best: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    sides: dict[str, int] = {}
    with recorded(predictor, layers) as outputs, torch.inference_mode():
        for first, batch in batches(predictor, images, outputs):
            predictor(batch)
            for name in layers:
                maps = outputs.pop(name)
                maps = maps.float() if maps.ndim == 4 else maps.float()[:, :, None, None]
                sides[name] = maps.shape[3]
                highest, places = (found[:, :, 0, 0] for found in F.adaptive_max_pool2d(maps, 1, return_indices=True))
                images_here = torch.arange(first, first + len(batch))[:, None].expand_as(places)
                found = (highest, images_here, places)
                if name in best:
                    found = tuple(torch.cat(pair) for pair in zip(best[name], found, strict=True))  # type: ignore[assignment]
                order = found[0].sort(dim=0, descending=True, stable=True).indices[:k]
                best[name] = tuple(part.gather(0, order) for part in found)  # type: ignore[assignment]
    return {name: as_arrays(*best[name], side=sides[name]) for name in layers}


def as_arrays(highest: Tensor, images: Tensor, places: Tensor, *, side: int) -> Strongest:
    rows_columns = torch.stack([places // side, places % side], dim=-1)
    return Strongest(images.T.numpy(), rows_columns.transpose(0, 1).numpy(), highest.T.contiguous().numpy())


@contextmanager
def recorded(predictor: "Predictor", layers: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Within the block, in evaluation mode: what the layers gave last, by name. Raises ValueError: there is no such layer."""
    modules = dict(predictor.network.named_modules())
    outputs: dict[str, Tensor] = {}
    hooks = []
    predictor.eval().to(memory_format=torch.channels_last)  # as `predict` does: twice as fast on a CPU
    try:
        for name in layers:
            if not name or name not in modules:
                known = ", ".join(other for other, module in modules.items() if not [*module.children()])
                raise ValueError(f"the network has no layer {name!r}; there are {known}")

            def keep(module: nn.Module, inputs: object, output: Tensor, name: str = name) -> None:
                outputs[name] = output

            hooks.append(modules[name].register_forward_hook(keep))
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def batches(
    predictor: "Predictor", images: NDArray[np.uint8], outputs: dict[str, Tensor], *, most: int = 200
) -> Iterator[tuple[int, Tensor]]:
    """The images in batches whose recorded outputs and inputs stay within HELD numbers, each with its first image's number."""
    with torch.inference_mode():
        predictor(torch.from_numpy(images[:1]))
    numbers = sum(output.numel() for output in outputs.values()) + math.prod(images.shape[1:])
    size = max(1, min(most, HELD // numbers))
    for first in range(0, len(images), size):
        yield first, torch.from_numpy(images[first : first + size])


def crop(images: NDArray[np.uint8], found: Strongest, window: Window) -> NDArray[np.float32]:
    """(K, k, C, h, w): the pixels that those units see, as the images have them, nan beyond the border.

    Where the window is as long as the image or longer, the whole image stands along that axis.
    """
    return np.stack(
        [
            [patch(images[i], place, window) for i, place in zip(*of, strict=True)]
            for of in zip(found.indices, found.positions, strict=True)
        ]
    )


def first(found: Strongest) -> Strongest:
    """The strongest place alone of each channel."""
    return Strongest(found.indices[:, :1], found.positions[:, :1], found.activations[:, :1])


def patch(image: NDArray[np.uint8], place: NDArray[np.int64], window: Window) -> NDArray[np.float32]:
    """(C, h, w) of an image (C, H, W), of the unit in row place[0] and column place[1]; see `crop`."""
    sides = image.shape[1:]
    starts = [
        0 if span.size >= side else span.start + int(n) * span.jump for span, side, n in zip(window, sides, place, strict=True)
    ]
    sizes = [min(span.size, side) for span, side in zip(window, sides, strict=True)]
    cut = np.full((len(image), *sizes), np.nan, dtype=np.float32)
    here = [slice(max(0, -start), min(size, side - start)) for start, size, side in zip(starts, sizes, sides, strict=True)]
    there = [slice(start + part.start, start + part.stop) for start, part in zip(starts, here, strict=True)]
    cut[:, here[0], here[1]] = image[:, there[0], there[1]]
    return cut
