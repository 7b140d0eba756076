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


NAMES: dict[str, type[Augment]] = Names({"none": NoAugment, "shift": Shift, "affine": Affine})


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
