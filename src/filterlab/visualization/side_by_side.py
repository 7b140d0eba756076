"""Small pictures of one network, to be laid beside another's: its first filters, and its maps of one image."""

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from filterlab.visualization.filters import colors, strongest
from filterlab.visualization.gallery import visible
from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import POSITIVE, SIGNED

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor

SHOWN, COLUMNS = 16, 8


def first_filters(weights: NDArray[np.float32], *, shape: tuple[int, int, int]) -> tuple[bytes, int]:
    """A PNG of the first layer's filters with the largest weights, and how many these are.

    weights: (K, C, H, W) of a convolution, (K, D) of a dense layer on images of `shape` (C, H, W), with C * H * W = D
    """
    tiles = weights if weights.ndim == 4 else weights.reshape(len(weights), *shape)
    shown = strongest(tiles, limit=SHOWN)
    if tiles.shape[1] == 3:
        return png(mosaic(colors(tiles[shown], axis=1), columns=COLUMNS).pixels), len(shown)
    return png(colored(mosaic(tiles[shown].mean(axis=1), columns=COLUMNS).pixels)), len(shown)


def maps(predictor: "Predictor", image: NDArray[np.uint8]) -> list[tuple[str, int, bytes]]:
    """Of the first and the last convolution, what they and their activation make of an image (C, H, W): the layer's name, how
    many maps it has, and a PNG of the strongest; none of a network without convolutions.
    """
    import torch

    from filterlab.visualization import feature_maps

    layers = feature_maps.record(predictor, torch.from_numpy(image[None]))
    last = {layer.group: layer for layer in layers}
    found = []
    for group in sorted({0, max(last, default=0)} & last.keys()):
        given = last[group].maps[0]
        pixels = mosaic(given[strongest(given, limit=SHOWN)], columns=COLUMNS).pixels
        found.append((last[group].name, len(given), png(colored(pixels))))
    return found


def picture(image: NDArray[np.uint8]) -> bytes:
    """(C, H, W) as a PNG of its own size."""
    shown = visible(image[None])[0]
    return png((255 * shown if shown.ndim == 3 else shown).round().astype(np.uint8))


def colored(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Red above 0 and blue below it, or bright above 0 where none is below; nan is transparent."""
    limit = float(np.nanmax(np.abs(pixels))) or 1.0
    signed = np.nanmin(pixels) < 0
    scaled = (pixels / limit + 1) / 2 if signed else pixels / limit
    drawn = colormaps[SIGNED if signed else POSITIVE](np.nan_to_num(scaled), bytes=True)
    drawn[np.isnan(pixels), 3] = 0
    return np.asarray(drawn)


def png(pixels: NDArray) -> bytes:
    """Of (H, W[, 3 or 4]) uint8, or floats in [0, 1]."""
    whole = pixels if pixels.dtype == np.uint8 else (255 * pixels).round().astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(whole).save(content, "png", optimize=True)
    return content.getvalue()
