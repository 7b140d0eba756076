"""MNIST's rule: from a digit's ink to an image as MNIST has them."""

import numpy as np
import pytest
from PIL import Image

from filterlab.data.own import mnist


def drawn(height: int, width: int, *, stroke: int) -> np.ndarray:
    """A seven that fills an image."""
    ink = np.zeros((height, width), np.uint8)
    ink[:stroke] = 255
    for row in range(height):
        left = round((width - stroke) * (1 - row / (height - 1)))
        ink[row, left : left + stroke] = 255
    return ink


def centre(image: np.ndarray) -> list[float]:
    share = image / image.sum()
    return [float(share.sum(axis=1 - axis) @ (np.arange(image.shape[axis]) + 0.5)) for axis in (0, 1)]


@pytest.mark.parametrize("old", [(90, 61), (17, 9), (100, 30)])
def test_scaling_is_that_of_pillow(old: tuple[int, int]) -> None:
    given = np.random.default_rng(0).integers(0, 256, old, dtype=np.uint8)
    expected = np.asarray(Image.fromarray(given.astype(np.float32)).resize((15, 20), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(mnist.scaled(given, 20, 15), expected, atol=0.01)


@pytest.mark.parametrize("size", [20, 50, 140, 1000])
def test_a_digit_of_any_size_fills_the_box_about_the_centre_of_mass(size: int) -> None:
    ink = np.zeros((3 * size, 4 * size), np.uint8)
    ink[size : 2 * size, 3 * size : 3 * size + size // 2] = drawn(size, size // 2, stroke=size // 8)
    image = mnist.to_image(ink)
    assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert rows[-1] - rows[0] + 1 == 20 and columns[-1] - columns[0] + 1 <= 11
    assert np.abs(np.array(centre(image)) - 14.5).max() <= 0.51, "whole pixels"
    other = mnist.to_image(drawn(200, 100, stroke=25)).astype(int)
    assert size == 20 or np.abs(image - other).mean() < 8, "the same, but for what whole pixels make of it"


def test_what_follows_the_rule_is_known_by_it() -> None:
    made = mnist.to_image(drawn(140, 90, stroke=20))
    assert mnist.follows(made)
    assert not mnist.follows(np.roll(made, 3, axis=1)) and not mnist.follows(255 - made)
    assert not mnist.follows(np.zeros((28, 28), np.uint8)) and not mnist.follows(drawn(28, 28, stroke=3))


def test_thin_strokes_are_thickened_and_thick_ones_stay() -> None:
    thin, thick = (mnist.to_image(drawn(300, 200, stroke=stroke)) for stroke in (1, 50))
    assert (thin >= 128).sum() >= 1.25 * (20 + 13), "more than a pixel along its length"
    cut = drawn(100, 66, stroke=16).astype(np.float64)
    assert mnist.stroke(cut) == pytest.approx(16, rel=0.25)
    assert mnist.thickened(cut, by=0.4) is cut
    assert (thick >= 128).sum() > (thin >= 128).sum()


def test_another_size_has_another_box() -> None:
    image = mnist.to_image(drawn(90, 60, stroke=10), height=56, width=42)
    assert image.shape == (56, 42) and np.count_nonzero(image.any(axis=1)) == 40 and np.count_nonzero(image.any(axis=0)) <= 30


def test_one_pixel_a_line_and_nothing() -> None:
    assert not mnist.to_image(np.zeros((9, 9), np.uint8)).any()
    dot = np.zeros((9, 9), np.uint8)
    dot[2, 7] = 40
    assert mnist.to_image(dot).max() == 255
    line = np.zeros((100, 3), np.uint8)
    line[:, 1] = 255
    assert np.count_nonzero(mnist.to_image(line).any(axis=1)) == 20
