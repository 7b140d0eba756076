import numpy as np
import pytest

from filterlab.visualization.mosaic import mosaic


@pytest.mark.parametrize(("n", "side", "columns"), [(1, 1, 1), (7, 3, 4), (32, 5, 8), (10, 28, 5), (3, 16, 1), (2, 40, 2)])
def test_each_tile_lies_where_the_centers_say(n: int, side: int, columns: int) -> None:
    tiles = np.random.default_rng(0).normal(size=(n, side, side)).astype(np.float32)
    laid = mosaic(tiles, columns=columns)
    scale = (laid.pitch[0] - laid.gap) // side
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = row * laid.pitch[0], column * laid.pitch[1]
        found = laid.pixels[top : top + side * scale : scale, left : left + side * scale : scale]
        np.testing.assert_array_equal(found, tile)
        assert laid.row_centers[row] == top + (side * scale - 1) / 2
        assert laid.column_centers[column] == left + (side * scale - 1) / 2
    assert np.count_nonzero(~np.isnan(laid.pixels)) == n * (side * scale) ** 2


def test_gaps_keep_their_share_of_a_tile() -> None:
    for side in (1, 3, 5, 7, 14, 26, 28):
        laid = mosaic(np.zeros((2, side, side)), columns=2)
        assert laid.gap / (laid.pitch[0] - laid.gap) == 1 / 8
