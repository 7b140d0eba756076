"""What a channel or a class looks for, without any data: images made by gradient ascent on its activation.

An image is the sigmoid of a sum of waves whose amplitudes are what is optimised, long waves more easily than short ones, so that
it stays smooth (Olah, Mordvintsev, Schubert 2017, distill.pub/2017/feature-visualization); and it is shifted at every step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from filterlab.visualization.patches import HELD, recorded
from filterlab.visualization.receptive import Span, Window
from filterlab.visualization.strongest import canvas, place, shaded
from filterlab.visualization.style import INK, LETTER, MARGIN, MUTED, letters, sheet

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor

RATE = 0.05  # of Adam
FALL = 1.5  # a wave's amplitude begins as 1 / frequency ** FALL
SHIFT = 3  # pixels at most, up and down, left and right, and no more than an eighth of the image; none in the last quarter


@dataclass(frozen=True)
class Ascent:
    """steps: of Adam. starts: beginnings of each image, of which the one that ends highest is kept."""

    steps: int
    starts: int


SHOWN = 40  # channels or classes in a figure at most
OF_CHANNELS, OF_CLASSES = Ascent(steps=128, starts=3), Ascent(steps=192, starts=4)


class Reached(Exception):
    """The layer that is looked at has been computed: what lies above it is not."""


@dataclass(frozen=True)
class Optimised:
    """images: (K, C, h, w) float32 in [0, 1], the best of all starts for each of K channels, as large as what a unit sees;
    activations: (K,) of that unit; or, of classes, their probabilities.
    """

    images: NDArray[np.float32]
    activations: NDArray[np.floating]


def channels(
    predictor: "Predictor",
    layer: str,
    *,
    window: Window,
    ground: NDArray[np.floating],
    seed: int,
    ascent: Ascent,
) -> Optimised:
    """An image for each channel of a layer, or each unit of a dense one: what its middle unit answers most.

    window: what the layer's first unit sees; of a dense layer, the whole image. ground: see `ascend`.
    """
    sides = predictor.shape[1:]
    places, canvas = zip(*(unit(span, side) for span, side in zip(window, sides, strict=True)), strict=True)
    module = predictor.network.get_submodule(layer)

    def answers(images: Tensor) -> Tensor:
        kept: list[Tensor] = []

        def keep(module: object, inputs: object, output: Tensor) -> None:
            kept.append(output)
            raise Reached

        hook = module.register_forward_hook(keep)
        try:
            predictor.network((images - predictor.mean) / predictor.std)
        except Reached:
            pass
        finally:
            hook.remove()
        return kept[0][:, :, places[0], places[1]] if kept[0].ndim == 4 else kept[0]

    shape = (predictor.shape[0], *canvas)
    found = ascend(predictor, answers, shape=shape, ground=ground, seed=seed, ascent=ascent)
    starts = [span.start + place * span.jump for span, place in zip(window, places, strict=True)]
    seen = [slice(max(0, start), start + span.size) for start, span in zip(starts, window, strict=True)]
    return Optimised(found.images[:, :, seen[0], seen[1]], found.activations)


def unit(span: Span, side: int) -> tuple[int, int]:
    """The first unit that sees nothing beyond the border, and the shortest canvas on which there is one; where an image has none,
    the middle one of the image.
    """
    place = max(0, -(span.start // span.jump))
    if (end := span.start + place * span.jump + span.size) <= side:
        return place, end
    return max(0, round(((side - span.size) / 2 - span.start) / span.jump)), side


def classes(predictor: "Predictor", *, ground: NDArray[np.floating], seed: int, ascent: Ascent) -> Optimised:
    """An image for each class, which the network takes for it as surely as can be."""

    def odds(images: Tensor) -> Tensor:
        """Logarithms; in float64, for near 1 a probability of 32 bits can't rise."""
        return torch.logit(predictor(images).double().softmax(dim=1), eps=1e-12)

    found = ascend(predictor, odds, shape=predictor.shape, ground=ground, seed=seed, ascent=ascent)
    return Optimised(found.images, (1 / (1 + np.exp(-found.activations))))


def ascend(
    predictor: "Predictor",
    answers: Callable[[Tensor], Tensor],
    *,
    shape: tuple[int, int, int],
    ground: NDArray[np.floating],
    seed: int,
    ascent: Ascent,
) -> Optimised:
    """Images (K, *shape) for the K columns of answers((N, *shape)) -> (N, K), all at once as far as HELD numbers of maps allow.

    ground: (C,) in [0, 1]: the pixels that the ascent begins about. Every column has the same beginnings, which `seed` decides.
    """
    numbers = maps_of_an_image(predictor)
    channels, height, width = shape
    most = min(SHIFT, min(height, width) // 8)
    sides = (height + 2 * most, width + 2 * most)
    draw = torch.Generator().manual_seed(seed)
    noise = 0.1 * torch.randn(ascent.starts, channels, sides[0], sides[1] // 2 + 1, 2, generator=draw)
    shifts = torch.randint(0, 2 * most + 1, (ascent.steps, 2), generator=draw).tolist()
    shifts[-(ascent.steps // 4) :] = [[most, most]] * (ascent.steps // 4)
    frequencies = (torch.fft.fftfreq(sides[0])[:, None] ** 2 + torch.fft.rfftfreq(sides[1])[None] ** 2).sqrt()
    scale = frequencies.clamp(min=1 / max(sides)) ** -FALL / 4
    base = torch.logit(torch.as_tensor(ground, dtype=torch.float32).clamp(0.05, 0.95)).view(-1, 1, 1)

    def images_of(waves: Tensor, shift: list[int]) -> Tensor:
        sums = torch.fft.irfft2(torch.view_as_complex(waves) * scale, s=sides, norm="ortho")
        return torch.sigmoid(base + sums)[:, :, shift[0] : shift[0] + height, shift[1] : shift[1] + width]

    with torch.no_grad():
        count = answers(torch.zeros(1, *shape)).shape[1]
    images, highest = [], []
    for columns in torch.arange(count).split(max(1, HELD // (numbers * ascent.starts))):
        waves = noise.repeat(len(columns), 1, 1, 1, 1).requires_grad_()
        wanted = columns.repeat_interleave(ascent.starts)[:, None]
        optimiser = torch.optim.Adam([waves], lr=RATE)
        for shift in shifts:
            (waves.grad,) = torch.autograd.grad(-answers(images_of(waves, shift)).gather(1, wanted).sum(), waves)
            optimiser.step()
        with torch.no_grad():
            ends = images_of(waves, [most, most])
            best = answers(ends).gather(1, wanted).view(-1, ascent.starts).max(dim=1)
        images.append(ends.view(-1, ascent.starts, *shape)[torch.arange(len(columns)), best.indices].numpy())
        highest.append(best.values.numpy())
    return Optimised(np.concatenate(images), np.concatenate(highest))


def maps_of_an_image(predictor: "Predictor") -> int:
    """How many numbers all layers together give for one image."""
    leaves = [name for name, module in predictor.network.named_modules() if name and not [*module.children()]]
    with recorded(predictor, leaves) as outputs, torch.no_grad():
        predictor(torch.zeros(1, *predictor.shape))
    return sum(output.numel() for output in outputs.values())


def draw_channels(
    found: Optimised, patches: NDArray[np.float32], strongest: NDArray[np.floating], *, name: str, subject: str
) -> Figure:
    """Each channel's image beside the training patch that it answers most; of the channels with the highest activations.

    patches: (K, C, h, w) in 0..255, nan beyond the border; strongest: (K,) the activations there.
    """
    n = len(found.images)
    shown = np.sort(np.argsort(-found.activations, kind="stable")[:SHOWN])
    share = (found.activations > strongest).mean()
    some = f"all {n} channels" if len(shown) == n else f"the {len(shown)} of {n} channels with the highest activations"
    pairs = [(found.images[k], patches[k], str(k), f"{found.activations[k]:.1f} | {strongest[k]:.1f}") for k in shown]
    return draw_pairs(
        pairs,
        title=f"What would excite the filters of {name} most",
        caption=f"{subject}. Shown: {some}. Left: made by gradient ascent, right: the strongest training patch; "
        f"higher than every one: {share:.0%}",
    )


def draw_classes(
    found: Optimised, images: NDArray[np.uint8], sure: NDArray[np.floating], *, names: list[str], subject: str
) -> Figure:
    """Each class's image beside the training image (C, H, W) that is taken for it most surely; of the first SHOWN classes."""
    pairs = [
        (made, image.astype(np.float32), name, f"{p:.1%} | {q:.1%}")
        for made, image, name, p, q in zip(found.images, images, names, found.activations, sure, strict=True)
    ][:SHOWN]
    return draw_pairs(
        pairs,
        title="What the network takes for each class",
        caption=f"{subject}. Left: made by gradient ascent, right: the training image of the highest score; how sure it is",
    )


def draw_pairs(pairs: list[tuple[NDArray, NDArray, str, str]], *, title: str, caption: str) -> Figure:
    """Two images side by side, (C, h, w) in [0, 1] and in 0..255, with words above and below."""
    across = min(5 if len(pairs) <= 10 else 8, len(pairs))
    tile = 0.95 if across <= 5 else 0.68
    block, above, below = 2 * tile + 0.05, 0.22, 0.24
    longest = LETTER * min(40, max((letters(name) for _, _, name, _ in pairs), default=0))
    gap = max(0.2, longest - block + 0.1)
    rows = -(-len(pairs) // across)
    drawn = sheet(
        title, caption=caption, width=across * (block + gap) - gap + 2 * MARGIN, height=rows * (tile + above + below + gap) + 0.2
    )
    axes = canvas(drawn, bottom=0.2)
    top = axes.get_ylim()[1]
    for number, (left_image, right_image, title_above, words) in enumerate(pairs):
        row, column = divmod(number, across)
        left, at = MARGIN + column * (block + gap), top - row * (tile + above + below + gap) - above
        fits = int((block + gap) / LETTER)
        name = title_above if letters(title_above) <= fits else f"{title_above[: fits - 1]}…"
        axes.text(left, at + 0.04, name, fontsize=10, color=INK, va="bottom")
        axes.text(left, at - tile - 0.05, words, fontsize=9, color=MUTED, va="top")
        for side, pixels in enumerate((255 * left_image, right_image)):
            place(axes, shaded(pixels[None])[0], left=left + side * (tile + 0.05), top=at, box=(tile, tile))
    return drawn
