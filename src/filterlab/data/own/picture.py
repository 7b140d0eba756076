"""One picture: from a file's bytes to (C, H, W) uint8, by one rule.

The first of several frames; turned as its EXIF data say; what is transparent on white; 16 bits scaled to 8; then gray or RGB.
Of another shape than height x width, it is scaled, bilinear with antialiasing: `pad` until all of it is in, centred, zeros around
it; `crop` until it fills the whole, of which the centre is kept. `mnist` takes a picture for a drawing or a photograph of a
digit, see ink.py.
"""

import functools
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from filterlab.data.own.tree import Place, Unreadable

T = TypeVar("T")
MOST = 200_000_000  # pixels, by the header: a larger picture is not read
# Not all that Pillow knows: EPS would start another program, and some have no sure beginning.
FORMATS = [
    "JPEG",
    "MPO",
    "PNG",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "WEBP",
    "AVIF",
    "JPEG2000",
    "PPM",
    "ICO",
    "PCX",
    "QOI",
    "SGI",
    "PSD",
]
ENDINGS = {"jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "tif", "tiff", "webp", "avif", "jp2", "j2k", "jpx"}
ENDINGS |= {
    "ppm",
    "pgm",
    "pbm",
    "pnm",
    "ico",
    "pcx",
    "qoi",
    "sgi",
    "psd",
    "heic",
    "heif",
    "tga",
    "svg",
    "raw",
    "cr2",
    "nef",
    "dng",
}


@dataclass(frozen=True)
class Shape:
    """What a picture is brought to. fit: pad, crop or mnist."""

    channels: int
    height: int
    width: int
    fit: str


@dataclass(frozen=True)
class Seen:
    """What there is to know of a picture.

    Attributes:
        digest: SHA-256 of its bytes.
        fault: why it can't be read; empty where it can.
        unknown: its bytes begin as no picture's do.
        size: width and height, as it is to be seen.
    """

    digest: bytes = b""
    fault: str = ""
    unknown: bool = False
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    frames: int = 1


@dataclass(frozen=True)
class Given:
    """A picture's bytes, from anywhere."""

    held: bytes

    def content(self) -> bytes:
        return self.held


@dataclass(frozen=True)
class Row:
    """An image in an array on disk: (N, H, W) or (N, H, W, C) uint8."""

    file: str
    row: int

    def image(self) -> Image.Image:
        return Image.fromarray(np.array(_mapped(self.file)[self.row]))


@functools.lru_cache(maxsize=3)
def _mapped(file: str) -> np.ndarray:
    array: np.ndarray = np.load(file, mmap_mode="r")
    return array


def look(place: Place | Row, shape: Shape | None) -> tuple[Seen, np.ndarray | None]:
    """A picture's facts and, with a shape, its pixels (C, H, W) uint8; None where it can't be read."""
    return read(place, lambda image: to_array(image, shape) if shape else None, shape)


def read(place: "Place | Row | Given", use: Callable[[Image.Image], T], shape: Shape | None) -> tuple[Seen, T | None]:
    """A picture's facts, and what `use` makes of it, turned as it is to be seen; None where it can't be read."""
    if isinstance(place, Row):
        image = place.image()
        about = Seen(hashlib.sha256(image.tobytes()).digest(), size=image.size, mode=image.mode)
        return about, use(image)
    try:
        content = place.content()
    except (OSError, Unreadable) as error:
        return Seen(fault=getattr(error, "strerror", None) or str(error)), None
    digest = hashlib.sha256(content).digest()
    try:
        with Image.open(io.BytesIO(content), formats=known()) as image:
            width, height = image.size
            if width * height > MOST:
                return Seen(digest, f"has {width:,} x {height:,} pixels by its header, at most {MOST:,} are read"), None
            mode, frames = image.mode, int(getattr(image, "n_frames", 1))
            if shape and shape.fit != "mnist":
                image.draft(None, (2 * shape.width, 2 * shape.height))  # a JPEG is decoded at no more than is needed
            orientation = image.getexif().get(0x0112, 1)
            turned = ImageOps.exif_transpose(image) if orientation != 1 else image
            turned.load()
            if turned.mode == "F":
                return Seen(digest, "has pixels of floating-point numbers, whose black and white nobody says"), None
            size = (height, width) if orientation in (5, 6, 7, 8) else (width, height)
            made = use(turned)
    except Image.UnidentifiedImageError:
        return Seen(digest, "is no picture of a known format" if content else "is empty", unknown=True), None
    except Image.DecompressionBombError:  # Pillow's own limit, some way above MOST
        return Seen(digest, f"is larger by its header than any picture that is read (at most {MOST:,} pixels)"), None
    except Exception as error:  # whatever a decoder makes of damaged bytes
        return Seen(digest, f"is damaged ({str(error) or type(error).__name__})"), None
    return Seen(digest, size=size, mode=mode, frames=frames), made


@functools.cache
def known() -> list[str]:
    """The formats that this Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def to_array(image: Image.Image, shape: Shape) -> np.ndarray:
    """(C, H, W) uint8, in C order. By MNIST's rule, of several digits the largest; zeros where there is no ink."""
    if shape.fit == "mnist":
        from filterlab.data.own import ink

        found = ink.read(image, height=shape.height, width=shape.width).digits
        largest = max(found, key=lambda digit: digit.size, default=None)
        return largest.image[None] if largest else np.zeros((1, shape.height, shape.width), np.uint8)
    plain = in_mode(image, "L" if shape.channels == 1 else "RGB")
    if plain.size != (shape.width, shape.height):
        plain = (cropped if shape.fit == "crop" else padded)(plain, shape.width, shape.height)
    array = np.asarray(plain)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in L or RGB, on white where it is transparent."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow also holds in 32
        array = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.clip(np.rint(array * (255 / 65535)), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def padded(image: Image.Image, width: int, height: int) -> Image.Image:
    """All of the image, centred, zeros around it."""
    scale = min(width / image.width, height / image.height)
    across, up = (max(1, min(most, round(side * scale))) for side, most in [(image.width, width), (image.height, height)])
    whole = Image.new(image.mode, (width, height))
    whole.paste(image.resize((across, up), Image.Resampling.BILINEAR), ((width - across) // 2, (height - up) // 2))
    return whole


def cropped(image: Image.Image, width: int, height: int) -> Image.Image:
    """The largest part of the image of this shape about its centre."""
    scale = min(image.width / width, image.height / height)
    across, up = width * scale, height * scale
    left, top = (image.width - across) / 2, (image.height - up) / 2
    return image.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, left + across, top + up))
