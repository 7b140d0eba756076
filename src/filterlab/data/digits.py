"""scikit-learn's bundled digits as a stand-in for MNIST: Alpaydin and Kaynak's optdigits, 1,797 images of 8x8."""

import numpy as np

from filterlab.data import idx
from filterlab.data.formats.idx import FILES

TEST = 360  # the last fifth of the 1,797
WHITE = 16  # the brightest value in the file


def files(*, height: int, width: int) -> dict[str, bytes]:
    """The content of MNIST's four files, unpacked, by name, with the digits brought to height x width.

    The last fifth (360 images) is the test set.
    """
    from sklearn.datasets import load_digits  # takes seconds

    digits = load_digits()
    images = enlarge(digits.images, height=height, width=width)
    labels = digits.target.astype(np.uint8)
    train, test = FILES["train"], FILES["test"]
    arrays = {
        train.images: images[:-TEST],
        train.labels: labels[:-TEST],
        test.images: images[-TEST:],
        test.labels: labels[-TEST:],
    }
    return {name: idx.encode(array) for name, array in arrays.items()}


def enlarge(images: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation of (N, h, w), whole numbers in 0..16, to (N, height, width) uint8 in 0..255.

    Pixels are squares, so the corners of both images coincide (align_corners=False elsewhere). The weights are whole numbers
    over 2 height x 2 width, and float64 holds every sum exactly: the result is the same bits on any machine.
    """
    count, rows, columns = images.shape
    weights = np.kron(_weights(rows, height), _weights(columns, width))  # (height * width, h * w)
    sums = images.reshape(count, -1).astype(np.float64) @ weights.T
    return np.rint(sums * 255 / (WHITE * 2 * height * 2 * width)).astype(np.uint8).reshape(count, height, width)


def _weights(old: int, new: int) -> np.ndarray:
    """(new, old) float64: how much each old pixel gives to each new one, times 2 * new (whole numbers)."""
    # the center of new pixel i lies at (i + 1/2) old / new - 1/2, counted in old pixels from the center of the first
    centers = np.clip((2 * np.arange(new) + 1) * old - new, 0, (old - 1) * 2 * new)
    distances = np.abs(centers[:, None] - 2 * new * np.arange(old)[None, :])
    return np.maximum(2 * new - distances, 0).astype(np.float64)
