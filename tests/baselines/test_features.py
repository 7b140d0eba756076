"""The coded features beside PyTorch's convolution and a histogram of gradients by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from filterlab.baselines.features import FEATURES, edges, hog, pixels

EDGE = [[-1.0, 0.0, 1.0]] * 3


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)


def test_pixels_are_the_image_in_0_to_1(images: np.ndarray) -> None:
    assert np.array_equal(pixels(images), images.reshape(5, 784).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("height, width", [(28, 28), (9, 12), (5, 5)])
def test_edges_are_convolution_relu_and_max_pool(height: int, width: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 1, height, width), dtype=np.uint8)
    right = torch.tensor(EDGE)
    filters = torch.stack([right, -right, right.T, -right.T])[:, None]
    wanted = F.max_pool2d(F.relu(F.conv2d(torch.from_numpy(images).float() / 255, filters)), 2)
    assert np.allclose(edges(images), wanted.flatten(1).numpy(), atol=1e-6)


def test_hog_is_a_histogram_of_gradients(images: np.ndarray) -> None:
    assert np.allclose(hog(images), [by_hand(image.astype(np.float64)) for image in images[:, 0]], atol=1e-5)


def by_hand(image: np.ndarray) -> np.ndarray:
    """Dalal, Triggs 2005, with scikit-image's choices: no gradient at the border, a vote for one direction alone."""
    down, right = np.zeros_like(image), np.zeros_like(image)
    down[1:-1], right[:, 1:-1] = image[2:] - image[:-2], image[:, 2:] - image[:, :-2]
    direction = (np.rad2deg(np.arctan2(down, right)) % 180 // 20).astype(int)
    cells = np.zeros((7, 7, 9))
    for (row, column), votes in np.ndenumerate(direction):
        cells[row // 4, column // 4, votes] += np.hypot(down, right)[row, column] / 16
    blocks = []
    for row, column in np.ndindex(6, 6):
        block = cells[row : row + 2, column : column + 2]
        block = np.minimum(block / np.sqrt((block**2).sum() + 1e-10), 0.2)
        blocks.append(block / np.sqrt((block**2).sum() + 1e-10))
    return np.ravel(blocks)


def test_all_are_float32_an_image_a_row(images: np.ndarray) -> None:
    shapes = {name: (features(images).shape, features(images).dtype) for name, features in FEATURES.items()}
    assert shapes == {name: ((5, d), np.dtype(np.float32)) for name, d in [("pixels", 784), ("edges", 676), ("HOG", 1296)]}
