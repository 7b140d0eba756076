"""What the channels of a layer look for, in one small picture a layer: for the page in which the network runs."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filterlab.visualization.strongest import shaded

SIDE = 64  # pixels that a tile has at most: of larger ones every second, third, ... pixel is taken


def png(pictures: NDArray[np.float32]) -> bytes:
    """(K, k, C, h, w) in 0..255, nan beyond an image's border -> a PNG of K rows of k tiles without gaps."""
    step = -(-max(pictures.shape[3:]) // SIDE)
    colored = np.stack([shaded(tiles[..., ::step, ::step]) for tiles in pictures])
    rows, columns, height, width, _ = colored.shape
    pixels = colored.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    content = io.BytesIO()
    Image.fromarray((255 * pixels).round().astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
