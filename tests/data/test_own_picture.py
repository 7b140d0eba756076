"""One picture, in every mode and shape: the array that the rule says, compared with what was drawn."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from filterlab.data.own import picture
from filterlab.data.own.picture import ENDINGS, FORMATS, Seen, Shape, look

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLORS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)


class Bytes:
    def __init__(self, content: bytes):
        self.held = content

    def content(self) -> bytes:
        return self.held


def read(image: Image.Image, *, kind: str = "PNG", shape: Shape | None = None, **how: Any) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    seen, pixels = look(Bytes(buffer.getvalue()), shape or Shape(3, image.height, image.width, "pad"))  # type: ignore[arg-type]
    assert not seen.fault, seen.fault
    assert pixels is not None and pixels.flags.c_contiguous and pixels.dtype == np.uint8
    return pixels


def gray(height: int = 6, width: int = 8, fit: str = "pad") -> Shape:
    return Shape(1, height, width, fit)


def test_modes_without_colour() -> None:
    whole = Image.fromarray(RAMP)
    np.testing.assert_array_equal(read(whole, shape=gray()), RAMP[None])
    np.testing.assert_array_equal(read(whole), np.stack([RAMP] * 3))
    np.testing.assert_array_equal(read(Image.fromarray(RAMP > 100), shape=gray()), 255 * (RAMP > 100)[None].astype(np.uint8))


def test_modes_with_colour() -> None:
    np.testing.assert_array_equal(read(Image.fromarray(COLORS)), COLORS.transpose(2, 0, 1))
    palette = Image.fromarray(COLORS).quantize(48)
    np.testing.assert_array_equal(read(palette), np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    luma = (0.299 * COLORS[..., 0] + 0.587 * COLORS[..., 1] + 0.114 * COLORS[..., 2]).round()
    assert np.abs(read(Image.fromarray(COLORS), shape=gray())[0] - luma).max() <= 1
    cmyk = Image.new("CMYK", (8, 6), (0, 255, 255, 0))
    found = read(cmyk, kind="JPEG", quality=100)
    assert (found[0] > 220).all() and (found[1:] < 60).all(), "no cyan, all magenta and yellow: red"


def test_sixteen_bits_are_scaled() -> None:
    deep = np.linspace(0, 65535, 48).reshape(6, 8)
    found = read(Image.fromarray(deep.astype(np.uint16)), shape=gray())
    np.testing.assert_array_equal(found[0], np.rint(deep.astype(np.uint16) / 257))
    found = read(Image.fromarray(deep.astype(np.uint16)), kind="TIFF", shape=gray())
    np.testing.assert_array_equal(found[0], np.rint(deep.astype(np.uint16) / 257))


@pytest.mark.parametrize("how", ["alpha", "gray and alpha", "palette", "one colour"])
def test_what_is_transparent_is_white(how: str) -> None:
    black = np.zeros((6, 8, 4), np.uint8)
    black[:, 4:, 3] = 255
    image = Image.fromarray(black)
    if how == "gray and alpha":
        image = image.convert("LA")
    if how == "palette":
        image = image.convert("PA").convert("RGBA").quantize(4)
    kept: dict[str, Any] = {}
    if how == "one colour":
        image, kept = Image.fromarray(np.where(black[..., 3:] > 0, 0, 9).astype(np.uint8).repeat(3, axis=2)), {}
        kept = {"transparency": (9, 9, 9)}
    found = read(image, **kept)
    assert (found[:, :, :4] == 255).all() and (found[:, :, 4:] == 0).all()
    half = np.dstack([np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 128, np.uint8)])
    assert np.abs(read(Image.fromarray(half)).astype(int) - 127).max() <= 1


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_it_is_turned_as_its_exif_data_say(orientation: int) -> None:
    """Stored so that turning it by its tag gives the ramp; the inverse is in TURNS."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(TURNS[orientation](RAMP))
    np.testing.assert_array_equal(read(Image.fromarray(stored), shape=gray(), exif=exif), RAMP[None])
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "PNG", exif=exif)
    assert look(Bytes(buffer.getvalue()), None)[0].size == (8, 6)  # type: ignore[arg-type]


def test_the_first_of_several_frames() -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "green", "blue")]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        more = {"lossless": True} if kind == "WEBP" else {}
        found = read(frames[0], kind=kind, save_all=True, append_images=frames[1:], **more)
        assert (found[0] > 250).all() and (found[1:] < 5).all(), kind


def test_pad_keeps_all_and_zeros_come_in() -> None:
    white = Image.new("L", (40, 20), 255)
    found = read(white, shape=gray(16, 16))[0]
    assert (found[4:12] == 255).all() and not found[:4].any() and not found[12:].any()
    found = read(white.resize((20, 40)), shape=gray(16, 16))[0]
    assert (found[:, 4:12] == 255).all() and not found[:, :4].any() and not found[:, 12:].any()
    assert read(Image.new("L", (1000, 1), 255), shape=gray(8, 8)).sum() == 8 * 255, "one row of pixels is left at least"


def test_crop_fills_the_whole_with_the_centre() -> None:
    stripes = np.zeros((20, 60), np.uint8)
    stripes[:, 20:40] = 255
    assert (read(Image.fromarray(stripes), shape=gray(10, 10, "crop"))[0, :, 1:-1] == 255).all(), "but for the filter at the edge"
    assert read(Image.fromarray(stripes), shape=gray(10, 30, "crop"))[0, :, 11:19].min() == 255
    found = read(Image.fromarray(stripes.T), shape=gray(30, 8, "crop"))[0]
    assert found.shape == (30, 8) and found[12:18].min() == 255 and found[:8].max() == 0


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_scaling_is_antialiased(fit: str, kind: str) -> None:
    """A fine check becomes its mean, not one of its colours; a JPEG that is decoded at less too."""
    check = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    how = {"quality": 100} if kind == "JPEG" else {}
    found = read(Image.fromarray(check), kind=kind, shape=gray(16, 16, fit), **how).astype(int)
    assert np.abs(found - 127).max() <= 3


def test_a_header_that_says_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("1", (1000, 1000)).save(buffer, "PNG")
    monkeypatch.setattr(picture, "MOST", 999_999)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    seen, pixels = look(Bytes(buffer.getvalue()), gray())  # type: ignore[arg-type]
    assert pixels is None and seen.fault == "has 1,000 x 1,000 pixels by its header, at most 999,999 are read"


def test_no_picture_starts_a_program(tmp_path: Path) -> None:
    """EPS is PostScript, which Pillow has another program run."""
    assert "EPS" not in FORMATS and "eps" not in ENDINGS
    seen, _ = look(Bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), gray())  # type: ignore[arg-type]
    assert seen.unknown and seen.fault == "is no picture of a known format"


def test_numbers_that_are_no_colours() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.ones((6, 8), np.float32)).save(buffer, "TIFF")
    for shape in (gray(), None):  # as `data add` looks at it, too
        seen, _ = look(Bytes(buffer.getvalue()), shape)  # type: ignore[arg-type]
        assert seen.fault == "has pixels of floating-point numbers, whose black and white nobody says"
    assert isinstance(seen, Seen) and not seen.unknown
