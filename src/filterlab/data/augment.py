"""Variations of training images, drawn for a whole batch at once: their settings, and the function that each builds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterlab.config.section import SIDE, Names, Section, value

if TYPE_CHECKING:  # the configuration reads the settings, and does without torch
    import torch

    Images = torch.Tensor  # (N, C, H, W) uint8

Variation = Callable[["Images", "torch.Generator"], "Images"]


@dataclass
class Augment(Section):
    name: str = value("how training images are varied, a whole batch at a time", text="name")

    def build(self) -> Variation:
        """The function that varies a batch: (images (N, C, H, W) uint8, generator on their device) -> the same shape, uint8."""
        raise NotImplementedError


@dataclass
class NoAugment(Augment):
    def build(self) -> Variation:
        return lambda images, generator: images


@dataclass
class Shift(Augment):
    pixels: int = value("largest shift in each direction, in whole pixels; zeros come in", ge=1, le=SIDE)

    def build(self) -> Variation:
        return lambda images, generator: shift(images, pixels=self.pixels, generator=generator)


@dataclass
class Affine(Augment):
    degrees: float = value("largest rotation either way, in degrees", ge=0, le=180)
    pixels: float = value("largest shift in each direction, in pixels", ge=0, le=SIDE)
    scale: float = value("largest change of size: factors in [1 - scale, 1 + scale]", ge=0, lt=1)

    def build(self) -> Variation:
        settings = {"degrees": self.degrees, "pixels": self.pixels, "scale": self.scale}
        return lambda images, generator: affine(images, **settings, generator=generator)


@dataclass
class Photo(Augment):
    flip: float = value("probability that an image is mirrored, left to right", ge=0, le=1)
    pixels: int = value("largest shift of the crop in each direction, in whole pixels; the mirror image comes in", ge=0, le=SIDE)
    brightness: float = value("largest change: all is multiplied by a factor in [1 - brightness, 1 + brightness]", ge=0, lt=1)
    contrast: float = value("the same of the distance from the image's mean gray", ge=0, lt=1)
    saturation: float = value("the same of the distance from gray, where there are three channels", ge=0, lt=1)
    cutout: int = value("side of a square that is covered with the image's mean colour, in pixels; 0 covers none", ge=0, le=SIDE)

    def build(self) -> Variation:
        jitter = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}

        def vary(images: "Images", generator: "torch.Generator") -> "Images":
            varied = crop(images, pixels=self.pixels, flip=self.flip, generator=generator)
            if any(jitter.values()):
                varied = color(varied, **jitter, generator=generator)
            return cutout(varied, side=self.cutout, generator=generator) if self.cutout else varied

        return vary


NAMES: dict[str, type[Augment]] = Names({"none": NoAugment, "shift": Shift, "affine": Affine, "photo": Photo})


def shift(images: "Images", *, pixels: int, generator: "torch.Generator") -> "Images":
    """Each image moved by whole pixels, drawn uniformly from [-pixels, pixels] in both directions; zeros come in."""
    import torch
    from torch.nn import functional as F

    n, channels, height, width = images.shape
    device = images.device
    padded = F.pad(images, (pixels, pixels, pixels, pixels))
    top, left = torch.randint(0, 2 * pixels + 1, (2, n, 1), generator=generator, device=device)
    rows = (top + torch.arange(height, device=device)).view(n, 1, height, 1)
    columns = (left + torch.arange(width, device=device)).view(n, 1, 1, width)
    return padded[
        torch.arange(n, device=device).view(n, 1, 1, 1),
        torch.arange(channels, device=device).view(1, channels, 1, 1),
        rows,
        columns,
    ]


def affine(images: "Images", *, degrees: float, pixels: float, scale: float, generator: "torch.Generator") -> "Images":
    """Each image turned, moved and scaled about its center, bilinearly; zeros come in.

    Drawn uniformly: an angle in [-degrees, degrees], a shift in [-pixels, pixels] in both directions, a factor in
    [1 - scale, 1 + scale].
    """
    import torch
    from torch.nn import functional as F

    n, _, height, width = images.shape
    angle, factor, right, down = 2 * torch.rand(4, n, generator=generator, device=images.device) - 1
    angle = angle * math.radians(degrees)
    factor = 1 + factor * scale
    cosine, sine = torch.cos(angle) / factor, torch.sin(angle) / factor
    # affine_grid maps output to input places in units of half an image, hence the inverse turn and the ratio of the sides.
    right, down = right * pixels * 2 / width, down * pixels * 2 / height
    theta = torch.stack(
        [
            torch.stack([cosine, sine * height / width, -right], dim=1),
            torch.stack([-sine * width / height, cosine, -down], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8)


def crop(images: "Images", *, pixels: int, flip: float, generator: "torch.Generator") -> "Images":
    """Each image moved by whole pixels, drawn as `shift` does, and mirrored left to right with probability `flip`.

    What comes in is the image's own mirror image, without its edge; pixels is less than its sides.
    """
    import torch

    n, channels, height, width = images.shape
    device = images.device
    down, right = torch.randint(-pixels, pixels + 1, (2, n, 1), generator=generator, device=device)
    mirrored = torch.rand(n, 1, generator=generator, device=device) < flip
    rows, columns = down + torch.arange(height, device=device), right + torch.arange(width, device=device)
    columns = torch.where(mirrored, width - 1 - columns, columns)
    rows, columns = ((side - 1) - ((side - 1) - places.abs()).abs() for places, side in [(rows, height), (columns, width)])
    return images[
        torch.arange(n, device=device).view(n, 1, 1, 1),
        torch.arange(channels, device=device).view(1, channels, 1, 1),
        rows.view(n, 1, height, 1),
        columns.view(n, 1, 1, width),
    ]


def color(images: "Images", *, brightness: float, contrast: float, saturation: float, generator: "torch.Generator") -> "Images":
    """Each image brighter or darker, then of more or less contrast, then of more or less colour, by factors about 1."""
    import torch

    drawn = 2 * torch.rand(3, len(images), 1, 1, 1, generator=generator, device=images.device) - 1
    lighter, harder, stronger = (
        1 + number * most for number, most in zip(drawn, (brightness, contrast, saturation), strict=True)
    )
    varied = images.float() * lighter
    mean = gray(varied).mean(dim=(2, 3), keepdim=True)
    varied = mean + (varied - mean) * harder
    if images.shape[1] == 3:
        without = gray(varied)
        varied = without + (varied - without) * stronger
    return varied.round_().clamp_(0, 255).to(torch.uint8)


def gray(images: "torch.Tensor") -> "torch.Tensor":
    """(N, 1, H, W): the luma of three channels (ITU-R BT.601), else their mean."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    return red * 0.299 + green * 0.587 + blue * 0.114  # numbers of Python's: a tensor would be copied to the device


def cutout(images: "Images", *, side: int, generator: "torch.Generator") -> "Images":
    """Each image with a square, whose centre is drawn uniformly from its pixels, covered with its mean colour.

    DeVries, Taylor 2017 (arXiv 1708.04552), who cover with the mean of the training set.
    """
    import torch

    n, _, height, width = images.shape
    device = images.device
    rows, columns = (
        torch.randint(0, length, (n, 1), generator=generator, device=device) - side // 2 for length in (height, width)
    )
    down, right = (torch.arange(length, device=device) - first for length, first in [(height, rows), (width, columns)])
    covered = ((down >= 0) & (down < side)).view(n, 1, height, 1) & ((right >= 0) & (right < side)).view(n, 1, 1, width)
    mean = images.float().mean(dim=(2, 3), keepdim=True).round_().to(torch.uint8)
    return torch.where(covered, mean, images)
