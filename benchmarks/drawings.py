"""Digits as people draw and photograph them, made of MNIST's validation images: what `filterlab predict` is measured on."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

Gray = np.ndarray  # (H, W) float, ink from 0 to 1


def enlarged(digit: np.ndarray, rng: np.random.Generator, *, side: int = 300, turn: float = 8) -> Gray:
    """(28, 28) uint8 -> ink without MNIST's steps of 28 pixels, slightly turned, about the middle of a picture."""
    image = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    image = image.rotate(rng.uniform(-turn, turn), Image.Resampling.BILINEAR)
    return np.clip((ndimage.gaussian_filter(np.asarray(image) / 255, side / 100) - 0.5) * 6 + 0.5, 0, 1)


def skeleton(ink: Gray, width: float) -> Gray:
    """The same digit by a pen of so many pixels."""
    from skimage.morphology import skeletonize

    distance = ndimage.distance_transform_edt(~skeletonize(ink > 0.5))
    return np.clip(width / 2 + 0.5 - distance, 0, 1)


def placed(ink: Gray, height: int, width: int, rng: np.random.Generator) -> Gray:
    """Somewhere on a larger sheet."""
    sheet = np.zeros((height, width))
    top, left = (int(rng.integers(0, most - side + 1)) for most, side in zip((height, width), ink.shape, strict=True))
    sheet[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return sheet


def cut(ink: Gray, margin: int = 0) -> Gray:
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    return ink[max(0, rows[0] - margin) : rows[-1] + 1 + margin, max(0, columns[0] - margin) : columns[-1] + 1 + margin]


def paper(
    ink: Gray,
    rng: np.random.Generator,
    *,
    color: tuple[int, int, int] = (30, 30, 35),
    ground: tuple[int, int, int] = (235, 232, 225),
    shading: float = 0.0,
    noise: float = 0.0,
) -> np.ndarray:
    """(H, W, 3) uint8: ink of a colour on paper, with light that falls off to one side, and noise of so many levels."""
    height, width = ink.shape
    across = np.stack(np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"))
    direction = rng.normal(size=2)
    fall = np.tensordot(direction / np.linalg.norm(direction), across, axes=1)
    light = 1 - shading * (0.5 + 0.5 * fall / np.sqrt(2)) - shading * 0.3 * (across**2).sum(axis=0)
    picture = (np.array(ground) * (1 - ink[..., None]) + np.array(color) * ink[..., None]) * light[..., None]
    picture += noise * rng.normal(size=picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> Image.Image:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=quality)
    return Image.open(io.BytesIO(held.getvalue()))


def lines(picture: np.ndarray, rng: np.random.Generator, *, both: bool, step: int = 40) -> np.ndarray:
    """Ruled or squared paper, a little askew, below the ink."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    angle = rng.uniform(-0.02, 0.02)
    offset = rng.uniform(0, step)
    printed = ((rows + angle * columns + offset) % step) < 1.6
    if both:
        printed |= ((columns - angle * rows + offset) % step) < 1.6
    under = picture.astype(float)
    under[printed] = np.minimum(
        under[printed], under[printed] * 0 + np.array([150, 170, 210]) * (under[printed].max(axis=-1, keepdims=True) / 235)
    )
    return under.astype(np.uint8)


def table_around(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sheet lies on a dark table, of which the picture shows an edge or two."""
    sides = [int(rng.integers(0, 60)) for _ in range(4)]
    return np.pad(picture, ((sides[0], sides[1]), (sides[2], sides[3]), (0, 0)), constant_values=int(rng.integers(20, 90)))


def shadow(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand's shadow with a rather sharp edge."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    angle, through = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3) * width
    side = np.cos(angle) * (rows - height / 2) + np.sin(angle) * (columns - width / 2) - through
    return (picture * (1 - 0.35 / (1 + np.exp(-side / 6)))[..., None]).astype(np.uint8)


def transparent(ink: Gray, color: int) -> Image.Image:
    solid = np.full((*ink.shape, 4), color, np.uint8)
    solid[..., 3] = np.rint(ink * 255)
    return Image.fromarray(solid, "RGBA")


def deep(ink: Gray) -> Image.Image:
    return Image.fromarray(((1 - 0.9 * ink) * 60_000).astype(np.uint16))


INKS = [(30, 60, 170), (190, 30, 40), (20, 120, 60), (235, 120, 20)]
Kind = Callable[[np.ndarray, np.random.Generator], Image.Image]


def photo(ink: Gray, rng: np.random.Generator, **how: object) -> np.ndarray:
    return paper(ink, rng, **{"shading": rng.uniform(0.1, 0.5), "noise": 8.0, **how})  # type: ignore[arg-type]


KINDS: dict[str, Kind] = {
    "white on black": lambda digit, rng: Image.fromarray((255 * enlarged(digit, rng)).astype(np.uint8)),
    "black on white": lambda digit, rng: Image.fromarray(255 - (255 * enlarged(digit, rng)).astype(np.uint8)),
    "small: 28x28, black on white": lambda digit, rng: Image.fromarray(255 - digit),
    "off the middle": lambda digit, rng: Image.fromarray(
        255 - (255 * placed(enlarged(digit, rng), 600, 800, rng)).astype(np.uint8)
    ),
    "thin stroke": lambda digit, rng: Image.fromarray(255 - (255 * skeleton(enlarged(digit, rng), 3)).astype(np.uint8)),
    "thick stroke": lambda digit, rng: Image.fromarray(
        255 - (255 * ndimage.grey_dilation(enlarged(digit, rng), footprint=_disc(9))).astype(np.uint8)
    ),
    "up to the edge": lambda digit, rng: Image.fromarray(255 - (255 * cut(enlarged(digit, rng))).astype(np.uint8)),
    "photograph: uneven light, noise, JPEG": lambda digit, rng: jpeg(photo(enlarged(digit, rng), rng), 50),
    "photograph, large": lambda digit, rng: jpeg(photo(placed(enlarged(digit, rng, side=500), 1200, 1600, rng), rng), 70),
    "photograph, a small digit": lambda digit, rng: jpeg(photo(placed(enlarged(digit, rng, side=90), 1200, 1600, rng), rng), 85),
    "photograph, a hand's shadow": lambda digit, rng: jpeg(shadow(photo(enlarged(digit, rng), rng), rng), 60),
    "photograph with the table's edge": lambda digit, rng: jpeg(table_around(photo(enlarged(digit, rng), rng), rng), 60),
    "coloured ink": lambda digit, rng: jpeg(photo(enlarged(digit, rng), rng, color=INKS[int(rng.integers(4))]), 60),
    "pencil": lambda digit, rng: jpeg(photo(skeleton(enlarged(digit, rng), 6), rng, color=(150, 150, 150), noise=5.0), 60),
    "ruled paper": lambda digit, rng: jpeg(lines(photo(enlarged(digit, rng), rng), rng, both=False), 70),
    "squared paper": lambda digit, rng: jpeg(lines(photo(enlarged(digit, rng), rng), rng, both=True), 70),
    "squared paper, thin stroke": lambda digit, rng: jpeg(
        lines(photo(skeleton(enlarged(digit, rng), 5), rng), rng, both=True), 80
    ),
    "chalk: white on green": lambda digit, rng: jpeg(
        photo(enlarged(digit, rng), rng, color=(225, 225, 220), ground=(40, 75, 60)), 60
    ),
    "transparent, black": lambda digit, rng: transparent(enlarged(digit, rng), 0),
    "transparent, white": lambda digit, rng: transparent(enlarged(digit, rng), 255),
    "16 bits": lambda digit, rng: deep(enlarged(digit, rng)),
}


def _disc(radius: int) -> np.ndarray:
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    found: np.ndarray = rows**2 + columns**2 <= radius**2
    return found


def row_of(digits: list[np.ndarray], rng: np.random.Generator) -> Image.Image:
    """Several digits side by side, as a number is written, photographed."""
    inks = [cut(enlarged(digit, rng, side=int(rng.integers(240, 320)))) for digit in digits]
    gaps = [int(rng.integers(15, 60)) for _ in inks]
    sheet = np.zeros((500, sum(ink.shape[1] for ink in inks) + sum(gaps) + 120))
    left = 60
    for ink, gap in zip(inks, gaps, strict=True):
        top = (500 - ink.shape[0]) // 2 + int(rng.integers(-15, 16))
        sheet[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        left += ink.shape[1] + gap
    return jpeg(photo(sheet, rng), 60)
