"""Variations against plain references: rolls, torch.rot90, and the images themselves."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from filterlab.config import schema
from filterlab.data import augment
from filterlab.data.augment import Affine, NoAugment, Photo, Shift

SHAPES = [(5, 1, 28, 28), (4, 3, 9, 16)]


def images(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """One image (C, H, W), rolled; what came round from the other side is zero."""
    rolled = np.roll(image, (down, right), axis=(1, 2))
    rows, columns = np.indices(image.shape[1:])
    height, width = image.shape[1:]
    inside = (rows - down >= 0) & (rows - down < height) & (columns - right >= 0) & (columns - right < width)
    return rolled * inside


@pytest.mark.parametrize("shape", SHAPES)
def test_shift_is_a_roll_with_zeros(shape: tuple[int, ...]) -> None:
    given, pixels = images(shape), 3
    found = augment.shift(given, pixels=pixels, generator=torch.Generator().manual_seed(7))
    assert found.dtype == torch.uint8 and found.shape == given.shape
    draw = torch.randint(0, 2 * pixels + 1, (2, shape[0], 1), generator=torch.Generator().manual_seed(7)).squeeze(2)
    down, right = pixels - draw[0], pixels - draw[1]
    expected = np.stack([moved(given[i].numpy(), int(down[i]), int(right[i])) for i in range(shape[0])])
    np.testing.assert_array_equal(found.numpy(), expected)


def test_shift_reaches_every_place_equally_often() -> None:
    given = torch.zeros(5000, 1, 9, 9, dtype=torch.uint8)
    given[:, 0, 4, 4] = 255
    found = augment.shift(given, pixels=2, generator=torch.Generator().manual_seed(0))
    counts = (found[:, 0] == 255).sum(dim=0)
    assert counts[2:7, 2:7].sum() == 5000
    # chi-squared over 25 places; its 99.9 % point with 24 degrees of freedom is 51.2
    assert ((counts[2:7, 2:7] - 200.0) ** 2 / 200).sum() < 51.2


@pytest.mark.parametrize("shape", SHAPES)
def test_affine_within_zero_ranges_is_the_identity(shape: tuple[int, ...]) -> None:
    given = images(shape)
    found = augment.affine(given, degrees=0, pixels=0, scale=0, generator=torch.Generator().manual_seed(0))
    assert found.dtype == torch.uint8
    assert torch.equal(found, given)


def fixed_draw(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let affine draw these four numbers of [-1, 1) for each image: angle, factor, right, down."""
    drawn = (torch.tensor(values) + 1) / 2
    monkeypatch.setattr(torch, "rand", lambda four, n, **_: drawn.view(4, 1).expand(4, n))


@pytest.mark.parametrize(("sign", "turns"), [(1.0, 1), (-1.0, -1)])
def test_affine_by_a_right_angle_is_rot90(monkeypatch: pytest.MonkeyPatch, sign: float, turns: int) -> None:
    given = images((3, 3, 12, 12))
    fixed_draw(monkeypatch, [sign, 0, 0, 0])
    found = augment.affine(given, degrees=90, pixels=0, scale=0, generator=torch.Generator())
    turned = {turn: torch.rot90(given, turn, dims=(2, 3)) for turn in (1, -1)}
    assert any(torch.equal(found, image) for image in turned.values())
    opposite = augment_opposite(monkeypatch, given, sign)
    assert torch.equal(torch.rot90(found, 2, dims=(2, 3)), opposite), "a turn the other way is half a turn away"


def augment_opposite(monkeypatch: pytest.MonkeyPatch, given: torch.Tensor, sign: float) -> torch.Tensor:
    fixed_draw(monkeypatch, [-sign, 0, 0, 0])
    return augment.affine(given, degrees=90, pixels=0, scale=0, generator=torch.Generator())


def test_affine_by_half_a_turn_is_a_flip_of_both_sides_on_oblong_images(monkeypatch: pytest.MonkeyPatch) -> None:
    given = images((2, 1, 9, 16))
    fixed_draw(monkeypatch, [1, 0, 0, 0])
    assert torch.equal(augment.affine(given, degrees=180, pixels=0, scale=0, generator=torch.Generator()), given.flip(2, 3))


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-1, 1)])
def test_affine_by_whole_pixels_is_a_shift(monkeypatch: pytest.MonkeyPatch, right: int, down: int) -> None:
    given = images((2, 3, 10, 14))
    fixed_draw(monkeypatch, [0, 0, right, down])
    found = augment.affine(given, degrees=0, pixels=3, scale=0, generator=torch.Generator())
    expected = np.stack([moved(image.numpy(), 3 * down, 3 * right) for image in given])
    np.testing.assert_array_equal(found.numpy(), expected)


def test_affine_keeps_an_oblong_image_square_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter turn of a square in the middle of a wide image leaves a square: no side is stretched."""
    given = torch.zeros(1, 1, 12, 24, dtype=torch.uint8)
    given[..., 4:8, 10:14] = 200
    fixed_draw(monkeypatch, [1, 0, 0, 0])
    assert torch.equal(augment.affine(given, degrees=90, pixels=0, scale=0, generator=torch.Generator()), given)


@pytest.mark.parametrize("chosen", [NoAugment("none"), Shift("shift", 2), Affine("affine", 20.0, 2.0, 0.2)])
@pytest.mark.parametrize("shape", SHAPES)
def test_draws_come_from_the_given_generator_alone(chosen: schema.Augment, shape: tuple[int, ...]) -> None:
    vary, given = chosen.build(), images(shape)
    before, kept = torch.get_rng_state(), given.clone()
    one, again, other = (vary(given, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert torch.equal(one, other) == isinstance(chosen, NoAugment)
    assert one.dtype == torch.uint8 and one.shape == given.shape
    assert torch.equal(given, kept), "the images in memory are never changed"
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", SHAPES)
def test_crop_is_a_window_of_the_reflected_image(shape: tuple[int, ...]) -> None:
    given, pixels = images(shape), 3
    found = augment.crop(given, pixels=pixels, flip=0.5, generator=torch.Generator().manual_seed(7))
    draw = torch.Generator().manual_seed(7)
    down, right = torch.randint(-pixels, pixels + 1, (2, shape[0], 1), generator=draw).squeeze(2)
    mirrored = torch.rand(shape[0], 1, generator=draw).squeeze(1) < 0.5
    assert mirrored.any() and not mirrored.all()
    for i in range(shape[0]):
        image = np.pad(given[i].numpy(), ((0, 0), (pixels, pixels), (pixels, pixels)), mode="reflect")
        top, left = pixels + int(down[i]), pixels + int(-right[i] if mirrored[i] else right[i])
        expected = image[:, top : top + shape[2], left : left + shape[3]]
        np.testing.assert_array_equal(found[i].numpy(), expected[:, :, ::-1] if mirrored[i] else expected)


def test_color_is_pillows() -> None:
    """ImageEnhance's brightness, contrast and color, one after the other, but for its rounding in between."""
    given = images((6, 3, 12, 10))
    ranges = {"brightness": 0.3, "contrast": 0.4, "saturation": 0.5}
    found = augment.color(given, **ranges, generator=torch.Generator().manual_seed(3)).numpy().astype(int)
    drawn = (2 * torch.rand(3, 6, generator=torch.Generator().manual_seed(3)) - 1).numpy()
    for i in range(6):
        image = Image.fromarray(given[i].permute(1, 2, 0).numpy())
        enhancers = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color]
        for enhancer, number, most in zip(enhancers, drawn[:, i], ranges.values(), strict=True):
            image = enhancer(image).enhance(1 + float(number) * most)
        difference = np.abs(np.asarray(image).transpose(2, 0, 1).astype(int) - found[i])
        unclipped = (found[i] > 0) & (found[i] < 255)
        assert np.percentile(difference[unclipped], 90) <= 6 and difference.mean() < 4
    none = augment.color(given, brightness=0, contrast=0, saturation=0, generator=torch.Generator())
    assert (none.int() - given.int()).abs().max() <= 1


def test_cutout_covers_one_square_with_the_mean() -> None:
    given = images((400, 3, 10, 12))
    found = augment.cutout(given, side=4, generator=torch.Generator().manual_seed(0))
    changed = (found != given).any(dim=1)
    mean = given.float().mean(dim=(2, 3)).round().to(torch.uint8)
    assert torch.equal(found, torch.where(changed[:, None], mean[:, :, None, None], given))
    for square in changed:
        rows, columns = square.any(dim=1).nonzero().ravel(), square.any(dim=0).nonzero().ravel()
        assert 1 < len(rows) <= 4 and 1 < len(columns) <= 4 and int(square.sum()) >= len(rows) * len(columns) - 2
    assert changed.any(dim=0).all(), "every pixel, by some image"


def test_photo_without_anything_is_the_identity_and_gray_images_are_varied_too() -> None:
    still = Photo(name="photo", flip=0, pixels=0, brightness=0, contrast=0, saturation=0, cutout=0).build()
    vary = Photo(name="photo", flip=0.5, pixels=2, brightness=0.2, contrast=0.2, saturation=0.2, cutout=3).build()
    for shape in SHAPES:
        given = images(shape)
        assert torch.equal(still(given, torch.Generator().manual_seed(0)), given)
        varied = vary(given, torch.Generator().manual_seed(0))
        assert varied.shape == given.shape and varied.dtype == torch.uint8 and not torch.equal(varied, given)
        assert torch.equal(vary(given, torch.Generator().manual_seed(0)), varied)
