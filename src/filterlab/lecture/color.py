"""Topic 14: a color image, one filter as deep as it, the map that comes out; sizes, parameters, and how far a stack sees."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view

from filterlab.lecture.context import Context
from filterlab.lecture.plots import add_color_scale, add_panels, new_figure, show_image
from filterlab.lecture.result import Check, Floats, Result, close, conclude, equal, new_table
from filterlab.models import shapes
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.visualization.style import FAINT, bare

SIDE, FIELD = 224, 5  # of the image and of the filter, in pixels
CORNER = (110, 80)  # row, column of the crop in scikit-learn's 427x640 photograph of the Summer Palace
GRID = list(product((7, 13, 28, 32), (1, 3, 5, 7), (0, 1, 2, 3), (1, 2, 3, 4)))  # W, F, P, S
LAYERS = list(product((1, 5, 11), (3, 64), (1, 96)))  # F, D, K
STACKS = {"one 3x3": (3,), "two 3x3": (3, 3), "three 3x3": (3, 3, 3), "one 7x7": (7,)}
WIDTH, NETWORKS = 64, 100  # C of the counted stacks; untrained networks whose gradients are averaged


def filter_color_image(context: Context) -> Result:
    image, filter_ = photograph(), red_filter()
    seen = {name: gradient(kernels, channels=8, networks=NETWORKS, seed=14) for name, kernels in STACKS.items()}
    weights = {name: stack_weights(kernels, channels=WIDTH) for name, kernels in STACKS.items()}
    rows = [
        [name, "x".join(map(str, extent(seen[name])[:2])), f"{weights[name]:,}", f"{middle(seen[name]):.0%}"] for name in STACKS
    ]
    three, one = "three 3x3", "one 7x7"
    share = weights[three] / weights[one]
    return Result(
        checks=[*check_filter(image, filter_), *check_formulas(), *check_stacks(seen, weights)],
        figures={"channels": plot_channels(image, filter_), "stacks": plot_stacks({three: seen[three], one: seen[one]})},
        tables=[new_table("color", "stacks", rows, width=WIDTH, networks=NETWORKS)],
        conclusion=conclude("color", "stacks", share=share, three=middle(seen[three]), one=middle(seen[one])),
    )


def photograph() -> Floats:
    """(3, 224, 224) in [0, 1]: a part of the photograph that scikit-learn comes with."""
    from sklearn.datasets import load_sample_image

    row, column = CORNER
    cut = load_sample_image("china.jpg")[row : row + SIDE, column : column + SIDE]
    return cut.transpose(2, 0, 1) / 255


def red_filter() -> Floats:
    """(3, 5, 5): red counts for, green and blue count against, most in the middle; nothing is left of gray."""
    along = np.exp(-((np.arange(FIELD) - FIELD // 2) ** 2) / 2)
    spot = np.outer(along, along) / along.sum() ** 2
    return np.stack([spot, -spot / 2, -spot / 2])


def correlate(image: Floats, weights: Floats, *, stride: int = 1) -> Floats:
    """(D, H, W) and (D, F, F) -> (floor((H - F) / stride) + 1, floor((W - F) / stride) + 1), without a bias."""
    windows = sliding_window_view(image, weights.shape[1:], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("cijuv,cuv->ij", windows, weights)


def output_side(side: int, *, field: int, padding: int = 0, stride: int = 1) -> int:
    """floor((W - F + 2P) / S) + 1 (Dumoulin, Visin, arXiv 1603.07285, relationship 6)."""
    return (side - field + 2 * padding) // stride + 1


def count_parameters(field: int, *, depth: int, filters: int) -> int:
    """F * F * D * K weights and K biases."""
    return field * field * depth * filters + filters


def check_filter(image: Floats, weights: Floats) -> list[Check]:
    """One 5x5x3 filter on the 224x224x3 image: by formula, by PyTorch, and as models.shapes has it."""
    import torch

    layer = torch.nn.Conv2d(3, 1, FIELD, device="meta")
    counts = [count_parameters(FIELD, depth=3, filters=1), sum(part.numel() for part in layer.parameters())]
    checks = [equal("parameters of one 5x5x3 filter, by formula and by PyTorch", counts, [76, 76])]
    pixels = torch.from_numpy(image)[None].requires_grad_()
    for stride, side in ((1, 220), (2, 110)):
        found = torch.nn.functional.conv2d(pixels, torch.from_numpy(weights)[None], stride=stride)
        traced = convolutions((FIELD,), stride=stride)[0]
        shape = [traced.channels, traced.height, traced.width, traced.parameters]
        off = found.detach().numpy()[0, 0] - correlate(image, weights, stride=stride)
        checks += [
            equal(f"side of the map, stride {stride}", output_side(SIDE, field=FIELD, stride=stride), side),
            equal(f"PyTorch's output, stride {stride}", list(found.shape), [1, 1, side, side]),
            equal(f"channels, height, width, parameters by models.shapes, stride {stride}", shape, [1, side, side, 76]),
            nothing(f"largest distance of our map from PyTorch's, stride {stride}", off),
        ]
    reached = torch.autograd.grad(found.sum(), pixels)[0].abs().sum(dim=(0, 1, 2)) > 0
    each = sum(correlate(image[[channel]], weights[[channel]]) for channel in range(3))
    gray = np.repeat(image.mean(axis=0, keepdims=True), 3, axis=0)
    return [
        *checks,
        equal("columns that the filter sees at stride 2, of 224", int(reached.sum()), 223),
        nothing("largest distance of the map from the sum of the three channels' own", each - correlate(image, weights)),
        nothing("largest answer to the same image in gray", correlate(gray, weights)),
    ]


def nothing(says: str, values: Floats) -> Check:
    """All are 0 but for rounding, which is another on each machine: twelve digits are given."""
    return close(says, round(float(np.abs(values).max()), 12), 0.0, tolerance=1e-12)


def convolutions(kernels: Sequence[int], *, stride: int = 1) -> list[shapes.LayerShape]:
    """Layers of one filter each above a 224x224x3 image, as models.shapes follows them."""
    stack = [ConvLayer(filters=1, kernel=kernel, stride=stride) for kernel in kernels]
    model = ConvNet(name="conv_net", layers=stack, head="flatten", hidden=[], dropout=0.0)
    traced = shapes.layers(model, channels=3, height=SIDE, width=SIDE, classes=10)
    return [layer for layer in traced if layer.kind == "conv"]


def check_formulas() -> list[Check]:
    """Every setting of the grids, by formula and by PyTorch."""
    import torch

    sizes = [setting for setting in GRID if setting[1] <= setting[0] + 2 * setting[2]]  # the filter fits
    agree = 0
    for side, field, padding, stride in sizes:
        image, weights = torch.ones(1, 1, side, side), torch.ones(1, 1, field, field)
        found = torch.nn.functional.conv2d(image, weights, padding=padding, stride=stride)
        agree += found.shape[2] == output_side(side, field=field, padding=padding, stride=stride)
    counts = [
        sum(part.numel() for part in torch.nn.Conv2d(depth, filters, field, device="meta").parameters())
        for field, depth, filters in LAYERS
    ]
    ours = [count_parameters(field, depth=depth, filters=filters) for field, depth, filters in LAYERS]
    return [
        equal("settings of (W, F, P, S) whose output has the formula's size", agree, len(sizes)),
        equal(f"parameters of layers with (F, D, K) = {', '.join(map(str, LAYERS))}", ours, counts),
    ]


def gradient(kernels: Sequence[int], *, channels: int, networks: int, seed: int) -> Floats:
    """(15, 15): how much one unit above a stack of convolutions and ReLUs changes with each pixel below it.

    The mean absolute gradient of the middle unit, before the last ReLU, by each of 15x15 pixels with `channels` channels, over
    that many untrained networks (He et al., arXiv 1502.01852) and normal inputs.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    total = torch.zeros(15, 15, dtype=torch.float64)
    for _ in range(networks):
        pixels = torch.randn(1, channels, 15, 15, generator=draw, dtype=torch.float64).requires_grad_()
        maps = pixels
        for place, kernel in enumerate(kernels):
            weights = torch.randn(channels, channels, kernel, kernel, generator=draw, dtype=torch.float64)
            weights *= (2 / (channels * kernel**2)) ** 0.5
            maps = torch.nn.functional.conv2d(maps.relu() if place else maps, weights)
        unit = maps[0, 0, maps.shape[2] // 2, maps.shape[3] // 2]
        total += torch.autograd.grad(unit, pixels)[0].abs().sum(dim=(0, 1))
    return (total / networks).numpy()


def stack_weights(kernels: Sequence[int], *, channels: int) -> int:
    """With that many channels below, within and above, as PyTorch counts them; no biases."""
    import torch

    layers = [torch.nn.Conv2d(channels, channels, kernel, bias=False, device="meta") for kernel in kernels]
    return sum(layer.weight.numel() for layer in layers)


def extent(seen: Floats) -> list[int]:
    """Rows, columns and number of the pixels whose gradient is not zero: [side, side, side squared] where they fill a square."""
    rows, columns = np.nonzero(seen)
    return [int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1, len(rows)]


def middle(seen: Floats) -> float:
    """The share of the gradient that falls on the 3x3 pixels in the middle."""
    return float(seen[6:9, 6:9].sum() / seen.sum())


def check_stacks(seen: dict[str, Floats], weights: dict[str, int]) -> list[Check]:
    fields = [convolutions(kernels)[-1].receptive_field[0] for kernels in STACKS.values()]
    counts = [weights["three 3x3"], weights["one 7x7"]]
    return [
        *(
            equal(f"rows, columns, number of the pixels that a unit above {name} sees", extent(seen[name]), [side, side, side**2])
            for name, side in zip(STACKS, (3, 5, 7, 7), strict=True)
        ),
        equal("receptive fields of these by models.shapes", fields, [3, 5, 7, 7]),
        equal(f"weights of three 3x3 and one 7x7, C = {WIDTH}: 27 C^2, 49 C^2", counts, [27 * WIDTH**2, 49 * WIDTH**2]),
    ]


def plot_channels(image: Floats, weights: Floats) -> Figure:
    """The image; its channels, the filter's below them; the maps, the one of stride 2 half as large."""
    drawn = new_figure("color", "channels", 13.2, 3.6)
    grid = [["image", *colors, "1", "2"] for colors in (["red", "green", "blue"], ["to red", "to green", "to blue"])]
    ratios = [3.2, 1, 1, 1, 3.2, 1.6]
    panels = dict(zip(dict.fromkeys(grid[0] + grid[1]), add_panels(drawn, grid=grid, width_ratios=ratios), strict=True))
    bare(panels["image"])
    panels["image"].imshow(image.transpose(1, 2, 0), interpolation="nearest")
    panels["image"].set_title("the image, 224x224x3")
    strongest, most = (float(np.abs(values).max()) for values in (weights, correlate(image, weights)))
    for pixels, filter_, name in zip(image, weights, grid[0][1:4], strict=True):
        show_image(panels[name], pixels, name, limit=1, gray=True)
        show_image(panels[f"to {name}"], filter_, "times", limit=strongest)
        panels[name].set_anchor("S")
        panels[f"to {name}"].set_anchor("N")
    for stride in (1, 2):
        answers = correlate(image, weights, stride=stride)
        shown = show_image(panels[str(stride)], answers, f"stride {stride}: {len(answers)}x{len(answers)}", limit=most)
    add_color_scale(drawn, shown, [panels["2"]], label="answer")
    return drawn


def plot_stacks(seen: dict[str, Floats]) -> Figure:
    drawn = new_figure("color", "stacks", 8.4, 3.6, networks=NETWORKS)
    panels = add_panels(drawn, columns=2)
    for axes, (name, grid) in zip(panels, seen.items(), strict=True):
        bare(axes)
        axes.set_facecolor(FAINT)
        shown = axes.imshow(np.ma.masked_equal(grid[2:-2, 2:-2] / grid.max(), 0), cmap="viridis", vmin=0, vmax=1)
        axes.set_title(name)
    add_color_scale(drawn, shown, panels, label="gradient")
    return drawn
