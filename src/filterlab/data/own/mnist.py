"""MNIST's rule: a digit's ink, however large, becomes an image as MNIST has them.

As LeCun and others describe it (Gradient-based learning applied to document recognition, 1998, and the page of the data set): the
digit is scaled, its shape kept, until its longer side is 20 pixels, and lies in 28x28 with its centre of mass in the middle.
Pure numpy, in steps that any language has.
"""

import numpy as np

BOX = 20 / 28  # the longer side of the digit, as a share of the image's
STROKE = 2.0  # pixels of a box of 20: thinner strokes are thickened to that; of MNIST's own, 3 in 4 are wider
WORK = 100  # pixels of the longer side at which strokes are thickened


def to_image(ink: np.ndarray, *, height: int = 28, width: int = 28) -> np.ndarray:
    """(H, W) uint8, 0 where there is no ink, 255 in the middle of a stroke -> (height, width) uint8, the same way round.

    1. Cut to the box around the pixels of at least half of the brightest.
    2. Measure how wide strokes are (see `stroke`).
    3. Scale to a longer side of WORK pixels; strokes that would be less than a pixel wide, and so dim, are brightened by as much.
    4. Where strokes would be thinner than STROKE, thicken them (see `thickened`).
    5. Scale until the longer side has BOX of the image's, the shape kept; the brightest pixel is 255 again.
    6. Move by whole pixels, until the centre of mass is in the pixel right of and below the image's centre, as MNIST's are (as
       far as the digit stays inside).

    Of nothing but zeros comes an image of zeros.
    """
    image = np.zeros((height, width), np.uint8)
    if not ink.any():
        return image
    rows, columns = (np.flatnonzero((2 * ink.astype(int) >= ink.max()).any(axis=axis)) for axis in (1, 0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    wide, factor = stroke(cut), WORK / max(cut.shape)
    wide *= factor
    cut = scaled(cut, *(max(1, round(side * factor)) for side in cut.shape))
    cut = np.minimum(cut / min(1.0, wide), 255)
    cut = thickened(cut, by=(STROKE * max(cut.shape) / 20 - max(1.0, wide)) / 2)
    factor = min(BOX * height / cut.shape[0], BOX * width / cut.shape[1])
    digit = scaled(cut, *(max(1, round(side * factor)) for side in cut.shape))
    digit *= 255 / digit.max()
    total = digit.sum()
    place = []
    for axis, side in enumerate((height, width)):
        mass = digit.sum(axis=1 - axis) @ (np.arange(digit.shape[axis]) + 0.5) / total
        place.append(min(max(0, int(np.ceil(side / 2 - mass))), side - digit.shape[axis]))
    top, left = place
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = np.floor(digit + 0.5)
    return image


def follows(image: np.ndarray) -> bool:
    """Whether an image (H, W) uint8 is as the rule makes them, and as MNIST's are: the box, and the centre of mass."""
    if not image.any() or max(image[0].max(), image[-1].max(), image[:, 0].max(), image[:, -1].max()) > 0:
        return False
    sides, middles = [], []
    for axis, side in enumerate(image.shape):
        line = image.sum(axis=1 - axis, dtype=np.int64)
        there = np.flatnonzero(line)
        sides.append((there[-1] - there[0] + 1) / side)
        middles.append(float(line @ (np.arange(side) + 0.5) / line.sum() - side / 2))
    return abs(max(sides) - BOX) < 1.5 / max(image.shape) and all(-0.1 <= away <= 1.1 for away in middles)


def stroke(cut: np.ndarray) -> float:
    """How many pixels wide strokes are: twice their area over their outline, of pixels of at least half of the brightest."""
    solid = np.pad(2 * cut >= cut.max(), 1)
    edges = np.count_nonzero(solid[1:] != solid[:-1]) + np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    return 2 * np.count_nonzero(solid) / edges * 4 / np.pi  # edges are stairs, on average longer than the outline by this


def thickened(cut: np.ndarray, *, by: float) -> np.ndarray:
    """(h, w) -> larger by some pixels on each side, `by` to the nearest whole; each the brightest within that distance."""
    reach = int(np.floor(by + 0.5))
    if reach < 1:
        return cut
    around = np.pad(cut, 2 * reach)
    rows, columns = (side + 2 * reach for side in cut.shape)
    most = np.zeros((rows, columns))
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down**2 + right**2 <= (reach + 0.5) ** 2:
                np.maximum(most, around[reach + down :, reach + right :][:rows, :columns], out=most)
    return most


def scaled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) -> (height, width): bilinear, antialiased; rows and columns one after the other, each a sum with `weights`."""
    return weights(image.shape[0], height) @ image @ weights(image.shape[1], width).T


def weights(old: int, new: int) -> np.ndarray:
    """(new, old): how much of each old pixel is in each new one; a row's sum is 1.

    A triangle about the new pixel's centre that reaches over one pixel on either side, the larger of old and new.
    """
    step = old / new
    centres = (np.arange(new)[:, None] + 0.5) * step
    distances = np.abs(np.arange(old)[None, :] + 0.5 - centres) / max(step, 1.0)
    found = np.maximum(0.0, 1.0 - distances)
    return found / found.sum(axis=1, keepdims=True)
