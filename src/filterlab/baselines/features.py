"""Features that somebody thought of: what an image is turned into before a support vector machine sees it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (N, 1, H, W)
Features = NDArray[np.float32]  # (N, D)


def pixels(images: Images) -> Features:
    """(N, H * W) in [0, 1]: the image itself."""
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


def edges(images: Images) -> Features:
    """The lecture's edge filter, three rows of (-1, 0, 1), upright and level, each with both signs; ReLU; 2x2 max-pool.

    (N, 4 * R * S) in [0, 3], R = (H - 2) // 2, S = (W - 2) // 2: 676 for 28x28 pixels. The filters are valid ones, stride 1; of
    an odd number of rows or columns the last is left out by the pool.
    """
    scaled = np.divide(images[:, 0], 255, dtype=np.float32)
    right = _brighter_to_the_right(scaled)
    down = _brighter_to_the_right(scaled.swapaxes(1, 2)).swapaxes(1, 2)
    maps = np.maximum(np.stack([right, -right, down, -down], axis=1), 0)
    rows, columns = maps.shape[2] // 2, maps.shape[3] // 2
    squares = maps[:, :, : 2 * rows, : 2 * columns].reshape(len(maps), 4, rows, 2, columns, 2)
    return squares.max(axis=(3, 5)).reshape(len(maps), -1)


def _brighter_to_the_right(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, H, W) -> (N, H - 2, W - 2): cross-correlation with three rows of (-1, 0, 1)."""
    row = images[:, :, 2:] - images[:, :, :-2]
    return row[:, :-2] + row[:, 1:-1] + row[:, 2:]


def hog(images: Images) -> Features:
    """Histograms of oriented gradients (Dalal, Triggs 2005) of 4x4 pixels, 9 unsigned directions, in blocks of 2x2 cells.

    (N, D) in [0, 1]: 1296 = 6 * 6 * 2 * 2 * 9 for 28x28 pixels. A block is scaled to length 1, clipped at 0.2 and scaled again.
    """
    from skimage.feature import hog as histograms  # takes one image at a time: 0.4 ms each

    settings = {"orientations": 9, "pixels_per_cell": (4, 4), "cells_per_block": (2, 2), "block_norm": "L2-Hys"}
    return np.array([histograms(image, **settings) for image in images[:, 0]], np.float32)


FEATURES: dict[str, Callable[[Images], Features]] = {"pixels": pixels, "edges": edges, "HOG": hog}
