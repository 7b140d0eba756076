"""Ink on paper: from a drawing or a photograph of digits, dark on light or light on dark, to each digit's ink alone.

What is told apart: ground from ink, by the light around; printed lines, frames and specks from strokes; one digit from another,
by its being in one piece. Digits that touch are one.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from filterlab.data.own import mnist
from filterlab.data.own.picture import in_mode

SIDE = 1000  # pixels of the longer side at which a picture is looked at
COARSE = 100  # and at which its ground is
WINDOW = 0.4  # of the longer side: strokes are narrower, and what is wider is ground
FAINT = 0.06  # of black on white: ink is stronger by this at least

GRAIN = 0.012  # of the picture's longer side: what is smaller is no ink
HALFTONES = 0.07, 0.12  # of a drawing, at most: chosen on benchmarks/drawings.py; the second of a small one, which has more edge

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Digit:
    """box: in the picture's pixels. image: (height, width) uint8 by MNIST's rule."""

    box: Box
    image: np.ndarray

    @property
    def size(self) -> int:
        """Pixels of its longer side."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture's digits, line by line from the top, each from the left.

    halftones: share of the picture that is neither ground nor ink: little in a drawing, much in a photograph of anything else.
    """

    digits: list[Digit]
    halftones: float
    shape: tuple[int, int]

    @property
    def is_clear(self) -> bool:
        return self.halftones <= HALFTONES[max(self.shape) < COARSE]


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of ink, or what belongs together: its box, and where in it there is some."""

    box: Box
    mask: np.ndarray

    @property
    def longer(self) -> int:
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    def __or__(self, other: "Part") -> "Part":
        box = tuple(pick(pair) for pick, pair in zip((min, min, max, max), zip(self.box, other.box, strict=True), strict=True))
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), bool)
        for part in (self, other):
            mask[part.box[1] - top : part.box[3] - top, part.box[0] - left : part.box[2] - left] |= part.mask
        return Part((left, top, right, bottom), mask)


def read(image: Image.Image, *, height: int, width: int) -> Drawing:
    """The digits of a picture; none where there is no ink. An image that follows MNIST's rule stays as it is."""
    if image.size == (width, height) and mnist.follows(gray := np.asarray(in_mode(image, "L"))):
        return Drawing([Digit((0, 0, width, height), gray)], 0.0, (height, width))
    image = on_ground(image)
    sheet = paper(image)
    found = look(image, sheet, height=height, width=width)
    if found.digits and max(sheet[2] - sheet[0], sheet[3] - sheet[1]) > SIDE:  # small ones in a large picture: from nearby
        near = around(found.digits, sheet)
        if max(near[2] - near[0], near[3] - near[1]) < 0.7 * max(sheet[2] - sheet[0], sheet[3] - sheet[1]):
            closer = look(image, near, height=height, width=width)
            return closer if closer.digits else found
    return found


def on_ground(image: Image.Image) -> Image.Image:
    """In RGB; what is transparent becomes white, or black where what is seen is light."""
    if not image.has_transparency_data:
        return in_mode(image, "RGB")
    layers = image.convert("RGBA")
    seen = np.asarray(layers.reduce(max(1, max(layers.size) // COARSE)), np.float32)
    is_light = (seen[..., :3].mean(axis=2) * seen[..., 3]).sum() > 128 * seen[..., 3].sum()
    ground = Image.new("RGBA", layers.size, "black" if is_light else "white")
    return Image.alpha_composite(ground, layers).convert("RGB")


def paper(image: Image.Image) -> Box:
    """The sheet, where the picture shows what it lies on as well: a rectangle, full but for ink, and not all of the picture."""
    factor = max(1.0, max(image.size) / COARSE)
    size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    gray = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX), np.float32)
    light = gray > otsu(gray.ravel())
    for side in (light, ~light):
        for part in components(side):
            left, top, right, bottom = part.box
            filled, all_of_it = ndimage.binary_fill_holes(part.mask), (right - left) * (bottom - top)
            full = 0.3 * light.size < all_of_it < 0.97 * light.size and filled.mean() > 0.85 and part.mask.mean() > 0.6
            if full and sharp_sides(gray, part.box) >= 2:
                within = [left + 1, top + 1, right - 1, bottom - 1]
                return tuple(round(place * factor) for place in within)  # type: ignore[return-value]
    return 0, 0, *image.size


def sharp_sides(gray: np.ndarray, box: Box) -> int:
    """Of how many sides of a box a step of brightness is, as light that falls off has none."""
    left, top, right, bottom = box
    within = gray[top:bottom, left:right]
    pairs = [(within[:, 1:3], gray[top:bottom, max(0, left - 3) : max(0, left - 1)])]
    pairs += [(within[:, -3:-1], gray[top:bottom, right + 1 : right + 3])]
    pairs += [(within[1:3], gray[max(0, top - 3) : max(0, top - 1), left:right])]
    pairs += [(within[-3:-1], gray[bottom + 1 : bottom + 3, left:right])]
    return sum(bool(beside.size) and abs(float(inside.mean()) - float(beside.mean())) > 40 for inside, beside in pairs)


def around(found: list[Digit], sheet: Box) -> Box:
    """A box about digits, with room for the ground."""
    left, top = (min(digit.box[side] for digit in found) for side in (0, 1))
    right, bottom = (max(digit.box[side] for digit in found) for side in (2, 3))
    room = round(0.6 * max(max(digit.box[2] - digit.box[0], digit.box[3] - digit.box[1]) for digit in found))
    return max(sheet[0], left - room), max(sheet[1], top - room), min(sheet[2], right + room), min(sheet[3], bottom + room)


def look(image: Image.Image, box: Box, *, height: int, width: int) -> Drawing:
    """The digits in a part of a picture in RGB."""
    left, top, right, bottom = box
    factor = max(1.0, max(right - left, bottom - top) / SIDE)
    size = (max(1, round((right - left) / factor)), max(1, round((bottom - top) / factor)))
    small = image.crop(box) if factor == 1 else image.resize(size, Image.Resampling.BOX, box=box, reducing_gap=2)
    strength, mask = strokes(np.asarray(small, np.float32))
    digits = []
    for part in in_order(whole(alone(components(without_lines(mask)), mask.shape))):
        x0, y0, x1, y1 = part.box
        ink = np.where(part.mask, strength[y0:y1, x0:x1], 0)
        place = (left + x0 * factor, top + y0 * factor, left + x1 * factor, top + y1 * factor)
        made = mnist.to_image(ink, height=height, width=width)
        digits.append(Digit((round(place[0]), round(place[1]), round(place[2]), round(place[3])), made))
    return Drawing(digits, float(((strength > 90) & (strength < 180)).mean()), (mask.shape[0], mask.shape[1]))


def strokes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) float32 in 0..255 -> the strength of ink, (H, W) uint8, and where there is some, (H, W) bool."""
    dark = is_dark_on_light(picture)
    ground = ground_of(picture, dark=dark)
    if dark:  # a shadow takes from paper and ink in proportion
        contrast = ((ground - picture) / np.maximum(ground.max(axis=2, keepdims=True), 40)).max(axis=2)
    else:
        contrast = ((picture - ground) / 255).max(axis=2)
    smooth = ndimage.gaussian_filter(contrast, max(0.5, max(picture.shape) / SIDE))
    if smooth.max() - smooth.min() < FAINT:
        return np.zeros(smooth.shape, np.uint8), np.zeros(smooth.shape, bool)
    smooth -= np.median(smooth[smooth <= otsu(smooth.ravel())])
    noise = 1.48 / np.sqrt(2) * float(np.median(np.abs(smooth[:, 4:] - smooth[:, :-4]))) if smooth.shape[1] > 8 else 0.0
    least = max(FAINT, 5 * noise)
    there = smooth[smooth > least]
    if there.size < 5:
        return np.zeros(smooth.shape, np.uint8), np.zeros(smooth.shape, bool)
    full = float(np.median(there[there > otsu(there)]))
    mask = ndimage.binary_propagation(smooth > max(least, 0.5 * full), mask=smooth > max(least, 0.3 * full))
    return np.clip(smooth / full * 255, 0, 255).astype(np.uint8), mask


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """(H, W, C) -> of a longer side of so many pixels at most."""
    factor = max(picture.shape) / side
    if factor <= 1:
        return picture
    return resized(picture, *(max(1, round(length / factor)) for length in picture.shape[:2]), how=Image.Resampling.BOX)


def resized(picture: np.ndarray, height: int, width: int, *, how: Image.Resampling) -> np.ndarray:
    channels = [Image.fromarray(picture[..., channel]).resize((width, height), how) for channel in range(picture.shape[2])]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def light_on(coarse: np.ndarray) -> np.ndarray:
    """(H, W) float32: how much light falls on each place, as a share of the most."""
    fitted = surface(coarse.mean(axis=2))
    return np.maximum(fitted / max(float(fitted.max()), 1.0), 0.25).astype(np.float32)


def surface(gray: np.ndarray) -> np.ndarray:
    """(H, W): the quadratic surface that most pixels lie on (least squares, reweighted by Tukey's function)."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, side) for side in gray.shape), indexing="ij")
    terms = np.stack([np.ones_like(rows), rows, columns, rows**2, rows * columns, columns**2], axis=2).reshape(-1, 6)
    levels = gray.reshape(-1).astype(np.float64)
    weight = np.ones_like(levels)
    for _ in range(12):
        fitted = terms @ np.linalg.lstsq(terms * weight[:, None], levels * weight, rcond=None)[0]
        away = levels - fitted
        width = 4.7 * max(2.0, 1.48 * float(np.median(np.abs(away))))
        weight = np.maximum(0, 1 - (away / width) ** 2)
    if np.count_nonzero(weight) < 0.6 * weight.size:  # too much ink to tell: as if the light were even
        return np.full(gray.shape, max(1.0, float(levels.max())))
    return fitted.reshape(gray.shape)


def is_dark_on_light(picture: np.ndarray) -> bool:
    """By which of the two reaches farther, the dark or the light; else by the picture's edge, most of which is ground.

    Between strokes and within them there is light as narrow as strokes, but nowhere outside of them.
    """
    coarse = shrunk(picture, COARSE)
    scores = []
    for dark in (True, False):
        contrast = ((ground_of(coarse, dark=dark) - coarse) / (255 if dark else -255)).max(axis=2)
        parts = components(contrast > max(FAINT, 0.5 * np.percentile(contrast, 99)))
        parts = [part for part in parts if not lies_along(part, contrast.shape)]
        if not parts:
            scores.append(0.0)
            continue
        strong = [float(contrast[part.box[1] : part.box[3], part.box[0] : part.box[2]][part.mask].mean()) for part in parts]
        lefts, tops, rights, bottoms = zip(*(part.box for part in parts), strict=True)
        scores.append(max(strong) ** 2 * (max(rights) - min(lefts)) * (max(bottoms) - min(tops)))
    if min(scores) < 0.85 * max(scores):
        return bool(scores[0] > scores[1])
    gray = coarse.mean(axis=2) / light_on(coarse)
    return float(np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]))) >= otsu(gray.ravel())


def ground_of(picture: np.ndarray, *, dark: bool) -> np.ndarray:
    """(H, W, 3): the paper alone, without the strokes on it, dark ones or light ones."""
    coarse = shrunk(picture, COARSE)
    light = light_on(coarse)[..., None]
    even = ndimage.median_filter(coarse / light, (3, 3, 1)) if min(coarse.shape[:2]) > 30 else coarse / light
    window = max(3, round(WINDOW * max(even.shape)))
    ground = np.empty_like(even)
    for channel in range(3):
        level = even[..., channel] if dark else -even[..., channel]
        edge = np.concatenate([level[0], level[-1], level[:, 0], level[:, -1]])
        padded = np.pad(level, window, constant_values=np.percentile(edge, 80))
        closed = ndimage.grey_closing(padded, size=(window, window))[window:-window, window:-window]
        ground[..., channel] = closed if dark else -closed
    return resized(ground * light, *picture.shape[:2], how=Image.Resampling.BILINEAR)


def otsu(levels: np.ndarray) -> float:
    """The threshold that parts numbers into two groups whose variance between is the largest (Otsu, 1979)."""
    counts, edges = np.histogram(levels, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = levels.size - below
    sums = np.cumsum(counts * middles)
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * (means[0] - means[1]) ** 2)])


def components(mask: np.ndarray) -> list[Part]:
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return [
        Part((columns.start, rows.start, columns.stop, rows.stop), labels[rows, columns] == number)
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1)
    ]


def lies_along(part: Part, shape: tuple[int, ...]) -> bool:
    """Whether a part covers most of one of the picture's edges, as a table under the paper does."""
    left, top, right, bottom = part.box
    edges = [(left == 0, part.mask[:, 0], 0), (right == shape[1], part.mask[:, -1], 0), (top == 0, part.mask[0], 1)]
    edges += [(bottom == shape[0], part.mask[-1], 1)]
    return any(touches and np.count_nonzero(line) > 0.5 * shape[axis] for touches, line, axis in edges)


def alone(parts: list[Part], shape: tuple[int, ...]) -> list[Part]:
    """Parts without grain, what lies along the picture's edge or in its corners, frames, and what is outside of a frame."""
    parts = [part for part in parts if part.longer > GRAIN * max(shape)]
    parts = [part for part in parts if not (lies_along(part, shape) or lies_in_corner(part, shape))] or parts
    for frame in [part for part in parts if is_frame(part, parts)]:
        parts = [part for part in parts if part is not frame and contains(frame, part)] or parts
    return parts


def lies_in_corner(part: Part, shape: tuple[int, ...]) -> bool:
    left, top, right, bottom = part.box
    corners = [(left == 0, top == 0, 0, 0), (left == 0, bottom == shape[0], -1, 0)]
    corners += [(right == shape[1], top == 0, 0, -1), (right == shape[1], bottom == shape[0], -1, -1)]
    return any(across and down and part.mask[row, column] for across, down, row, column in corners)


def contains(outer: Part, inner: Part) -> bool:
    return all(near <= far for near, far in zip(outer.box[:2] + inner.box[2:], inner.box[:2] + outer.box[2:], strict=True))


def is_frame(part: Part, parts: list[Part]) -> bool:
    """Whether a part surrounds another, and all of it lies along the sides of its box."""
    if not any(contains(part, other) and other is not part and other.longer > 0.1 * part.longer for other in parts):
        return False
    height, width = part.mask.shape
    rows, columns = max(1, round(0.08 * height)), max(1, round(0.08 * width))
    return bool(np.count_nonzero(part.mask[rows:-rows, columns:-columns]) < 0.05 * np.count_nonzero(part.mask))


def without_lines(mask: np.ndarray) -> np.ndarray:
    """Ink without printed lines: thin, straight, across most of the picture; where a stroke crosses one, it stays."""
    if min(mask.shape) < 100:
        return mask
    left = mask
    for turn in (False, True):
        left = without_rules(left.T if turn else left).T if turn else without_rules(left)
    remaining, before = components(left), components(mask)
    if not remaining or max(part.longer for part in remaining) < 0.1 * max(part.longer for part in before):
        return mask
    return left


def without_rules(mask: np.ndarray) -> np.ndarray:
    """Without horizontal lines, or such that are askew by up to 3 degrees."""
    height, width = mask.shape
    thickest, reach = max(3, round(0.012 * max(mask.shape))), round(0.06 * width)
    runs, _ = ndimage.label(mask, [[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    across = np.bincount(runs.ravel())[runs]  # pixels of ink above and below each, with it
    rows, columns = np.nonzero(mask & (across <= thickest + 3))  # a stroke that crosses a line is longer, and stays
    score, offsets, counts = 0, rows, np.zeros(0, int)
    for slope in np.linspace(-0.05, 0.05, 41):
        moved = np.rint(rows - slope * columns).astype(int) + reach
        tried = np.bincount(moved, minlength=height + 2 * reach)
        if (found := int((tried[tried > 0.5 * width] ** 2).sum())) > score:
            score, offsets, counts = found, moved, tried
    if not score:
        return mask
    labels, count = ndimage.label(counts > 0.5 * width)
    along = np.zeros(labels.shape, int)
    for number in range(1, count + 1):
        run = np.flatnonzero(labels == number)
        if len(run) <= thickest:
            along[max(0, run[0] - 1 - len(run) // 2) : run[-1] + 2 + len(run) // 2] = len(run)
    thick = along[offsets]
    cut = mask.copy()
    gone = (thick > 0) & (across[rows, columns] <= thick + 3)
    cut[rows[gone], columns[gone]] = False
    return cut


def whole(parts: list[Part]) -> list[Part]:
    """Digits of pieces: a small one joins the one that it is close to, or is left out as a speck."""
    if not parts:
        return []
    largest = max(part.longer for part in parts)
    digits = sorted((part for part in parts if part.longer >= 0.4 * largest), key=lambda part: -part.longer)
    pieces = sorted((part for part in parts if 0.08 * largest <= part.longer < 0.4 * largest), key=lambda part: -part.longer)
    made: list[Part] = []
    for part in digits:
        near = next((place for place, other in enumerate(made) if is_piece(part, other)), None)
        made = [*made, part] if near is None else [*made[:near], made[near] | part, *made[near + 1 :]]
    for part in pieces:
        gaps = [gap(part, digit) for digit in made]
        if min(gaps) <= 0.2 * made[nearest := int(np.argmin(gaps))].longer:
            made[nearest] |= part
    return made


def is_piece(part: Part, digit: Part) -> bool:
    """Whether a larger part is the bar of a five, or half of a four, beside the rest of it."""
    left, _, right, _ = (
        max(pair) if place < 2 else min(pair) for place, pair in enumerate(zip(part.box, digit.box, strict=True))
    )
    height, other = part.mask.shape[0], digit.mask.shape[0]
    overlap = (right - left) / min(part.mask.shape[1], digit.mask.shape[1])
    joint = part | digit
    if overlap > 0.4 and height < 0.5 * other:
        return gap(part, digit) <= 0.2 * digit.longer
    return height < 0.7 * other and gap(part, digit) <= 0.12 * digit.longer and joint.mask.shape[1] <= 1.1 * joint.mask.shape[0]


def gap(part: Part, other: Part) -> float:
    """Pixels between two boxes."""
    across = max(part.box[0] - other.box[2], other.box[0] - part.box[2], 0)
    down = max(part.box[1] - other.box[3], other.box[1] - part.box[3], 0)
    return float(np.hypot(across, down))


def in_order(parts: list[Part]) -> list[Part]:
    """Line by line, each from the left: in a line is what begins above the middle of the line's tallest."""
    lines: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: part.box[1] + part.box[3]):
        middle = (part.box[1] + part.box[3]) / 2
        line = next((line for line in lines if any(one.box[1] < middle < one.box[3] for one in line)), None)
        if line is None:
            lines.append([part])
        else:
            line.append(part)
    return [part for line in lines for part in sorted(line, key=lambda part: part.box[0])]
