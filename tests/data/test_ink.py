"""Drawings and photographs of MNIST's digits: each digit is found alone, and looks as MNIST has it."""

import importlib.util
import io
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageDraw

from filterlab.data import idx
from filterlab.data.own import ink, mnist, picture
from filterlab.data.own.picture import Given, Shape

PLACE = Path(__file__).parents[2] / "benchmarks/drawings.py"


@pytest.fixture(scope="module")
def drawings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drawings", PLACE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def digits(mirror: Path) -> np.ndarray:
    return idx.read(mirror / "train-images-idx3-ubyte.gz")[:40]


def read(image: Image.Image) -> ink.Drawing:
    return ink.read(image, height=28, width=28)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


KINDS = """white on black; black on white; small: 28x28, black on white; off the middle; thin stroke; thick stroke;
up to the edge; photograph: uneven light, noise, JPEG; photograph, large; photograph, a small digit; photograph, a hand's shadow;
photograph with the table's edge; coloured ink; pencil; ruled paper; squared paper; squared paper, thin stroke;
chalk: white on green; transparent, black; transparent, white; 16 bits"""


@pytest.mark.parametrize("kind", [" ".join(name.split()) for name in KINDS.split(";")])
def test_each_kind(kind: str, drawings: ModuleType, digits: np.ndarray) -> None:
    assert kind in drawings.KINDS
    rng, likeness = np.random.default_rng(0), []
    for digit in digits[:3]:
        drawing = read(drawings.KINDS[kind](digit, rng))
        assert len(drawing.digits) == 1 and drawing.is_clear
        likeness.append(alike(drawing.digits[0].image, mnist.to_image(digit)))
    assert np.mean(likeness) > 0.6, likeness


def test_every_kind_is_tested(drawings: ModuleType) -> None:
    assert {" ".join(name.split()) for name in KINDS.split(";")} == {*drawings.KINDS}


def test_an_image_of_mnist_stays_as_it_is(digits: np.ndarray) -> None:
    for digit in digits:
        (found,) = read(Image.fromarray(digit)).digits
        np.testing.assert_array_equal(found.image, digit)


def test_several_are_read_from_the_left_and_line_by_line(drawings: ModuleType, digits: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    first, second = drawings.row_of([*digits[:3]], rng), drawings.row_of([*digits[3:5]], rng)
    sheet = Image.new("RGB", (max(first.width, second.width), first.height + second.height), (200, 198, 190))
    sheet.paste(first, (0, 0))
    found = read(first).digits
    assert [alike(one.image, mnist.to_image(digit)) > 0.5 for one, digit in zip(found, digits[:3], strict=True)] == [True] * 3
    assert [one.box[0] for one in found] == sorted(one.box[0] for one in found)
    plain = Image.new("L", (400, 600), 255)
    for number, digit in enumerate(digits[:5]):
        tile = Image.fromarray(255 - digit).resize((140, 140), Image.Resampling.BICUBIC)
        plain.paste(tile, (130 * (number % 3), 50 + 300 * (number // 3) + 10 * (number % 2)))
    found = read(plain).digits
    assert [alike(one.image, mnist.to_image(digit)) > 0.7 for one, digit in zip(found, digits[:5], strict=True)] == [True] * 5


def test_a_bar_that_is_detached_belongs_to_its_five() -> None:
    image = Image.new("L", (200, 200), 255)
    pen = ImageDraw.Draw(image)
    pen.line([(80, 40), (130, 40)], fill=0, width=10)
    pen.arc((60, 80, 130, 160), 200, 500, fill=0, width=10)
    pen.line([(75, 50), (70, 100)], fill=0, width=10)
    assert len(read(image).digits) == 1


def test_frames_specks_and_borders_are_no_digits() -> None:
    image = Image.new("L", (400, 300), 255)
    pen = ImageDraw.Draw(image)
    pen.rectangle((60, 20, 340, 280), outline=0)
    pen.line([(200, 60), (190, 240)], fill=0, width=14)
    for place in [(20, 50), (380, 200), (100, 100), (300, 250)]:
        pen.ellipse((*place, place[0] + 4, place[1] + 4), fill=0)
    (found,) = read(image).digits
    assert abs(found.box[0] - 183) < 8 and abs(found.box[2] - 207) < 8


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_is_found_on_a_blank_sheet(level: int) -> None:
    assert not read(Image.new("L", (300, 200), level)).digits
    grain = np.random.default_rng(0).normal(level, 8, (300, 200, 3))
    assert not read(Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))).digits


def test_a_picture_of_many_tones_is_no_drawing() -> None:
    """Smooth noise, as photographs of fur and leaves have it."""
    from scipy.ndimage import gaussian_filter

    tones = gaussian_filter(np.random.default_rng(0).normal(size=(300, 300)), 6)
    image = Image.fromarray(np.clip(128 + 1500 * tones, 0, 255).astype(np.uint8))
    assert not read(image).is_clear


def test_the_smallest_and_oddest_pictures() -> None:
    for size in [(1, 1), (1, 40), (40, 1), (3, 3), (2000, 2)]:
        image = Image.new("L", size, 255)
        image.putpixel((size[0] // 2, size[1] // 2), 0)
        assert len(read(image).digits) <= 1


def test_twelve_megapixels_take_about_a_second(drawings: ModuleType, digits: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    sheet = drawings.placed(drawings.enlarged(digits[0], rng, side=900), 3000, 4000, rng)
    held = io.BytesIO()
    Image.fromarray(255 - (200 * sheet).astype(np.uint8)).convert("RGB").save(held, "JPEG")
    begun = time.process_time()
    _, made = picture.look(Given(held.getvalue()), Shape(1, 28, 28, "mnist"))  # type: ignore[arg-type]
    assert time.process_time() - begun < 3, "one on a quiet machine"
    assert made is not None and alike(made[0], mnist.to_image(digits[0])) > 0.6


def test_a_set_of_ones_own_can_choose_the_rule(digits: np.ndarray) -> None:
    held = io.BytesIO()
    Image.fromarray(255 - digits[0]).resize((90, 90)).save(held, "PNG")
    _, made = picture.look(Given(held.getvalue()), Shape(1, 56, 42, "mnist"))  # type: ignore[arg-type]
    assert made is not None and made.shape == (1, 56, 42) and made.max() == 255
