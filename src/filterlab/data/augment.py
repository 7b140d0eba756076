"""Variations of training images, drawn for a whole batch at once."""

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from filterlab.config import schema

Images = torch.Tensor  # (N, C, H, W) uint8
Variation = Callable[[Images, torch.Generator], Images]


def variation(augment: schema.Augment) -> Variation:
    """The function that varies a batch: (images (N, C, H, W) uint8, generator on their device) -> the same shape, uint8."""
    if isinstance(augment, schema.Shift):
        return lambda images, generator: shift(images, pixels=augment.pixels, generator=generator)
    if isinstance(augment, schema.Affine):
        return lambda images, generator: affine(
            images, degrees=augment.degrees, pixels=augment.pixels, scale=augment.scale, generator=generator
        )
    return lambda images, generator: images


def shift(images: Images, *, pixels: int, generator: torch.Generator) -> Images:
    """Each image moved by whole pixels, drawn uniformly from [-pixels, pixels] in both directions; zeros come in."""
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


def affine(images: Images, *, degrees: float, pixels: float, scale: float, generator: torch.Generator) -> Images:
    """Each image turned, moved and scaled about its center, bilinearly; zeros come in.

    Drawn uniformly: an angle in [-degrees, degrees], a shift in [-pixels, pixels] in both directions, a factor in
    [1 - scale, 1 + scale].
    """
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
