"""Many small images laid out as one array, so that a figure draws one image and not a hundred."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mosaic:
    """pixels: (rows * pitch_y - gap, columns * pitch_x - gap) float32, nan between and beside the tiles; with a last axis of
    red, green, blue and alpha, which is 0 there, of tiles in colour."""

    pixels: NDArray[np.float32]
    pitch: tuple[int, int]  # vertical, horizontal distance between tiles, in pixels of the mosaic
    gap: int

    @property
    def row_centers(self) -> NDArray[np.floating]:
        """Vertical center of each row of tiles, in imshow's coordinates."""
        return np.arange(0, len(self.pixels), self.pitch[0]) + (self.pitch[0] - self.gap - 1) / 2

    @property
    def column_centers(self) -> NDArray[np.floating]:
        return np.arange(0, self.pixels.shape[1], self.pitch[1]) + (self.pitch[1] - self.gap - 1) / 2


def mosaic(tiles: NDArray[Any], *, columns: int) -> Mosaic:
    """tiles: (N, H, W), any real dtype, laid out row by row with a gap of an eighth of a tile's longer side.

    Or (N, H, W, 3) in [0, 1], with nan where a tile is missing.
    Small tiles are enlarged by a whole factor, so that the gap is a whole number of pixels.
    """
    if tiles.ndim == 4:
        of_channel = [mosaic(tiles[..., channel], columns=columns) for channel in range(tiles.shape[3])]
        stacked = np.stack([laid.pixels for laid in of_channel], axis=2)
        empty = np.isnan(stacked).any(axis=2, keepdims=True)
        colored = np.concatenate([np.where(empty, 0, stacked), 1 - empty.astype(np.float32)], axis=2)
        return Mosaic(pixels=colored, pitch=of_channel[0].pitch, gap=of_channel[0].gap)
    n, height, width = tiles.shape
    side = max(height, width)
    scale = 8 // math.gcd(side, 8) if side <= 32 else 1
    gap = round(side * scale / 8)
    rows = -(-n // columns)
    grid = np.full((rows * columns, height * scale + gap, width * scale + gap), np.nan, dtype=np.float32)
    grid[:n, :-gap, :-gap] = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    tall, wide = grid.shape[1:]
    pixels = grid.reshape(rows, columns, tall, wide).transpose(0, 2, 1, 3).reshape(rows * tall, columns * wide)
    return Mosaic(pixels=pixels[:-gap, :-gap], pitch=(tall, wide), gap=gap)
