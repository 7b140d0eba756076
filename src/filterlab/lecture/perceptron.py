"""Topic 6: the multilayer perceptron: P inputs, H hidden units, K outputs, and how many numbers that takes."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context
from filterlab.lecture.logistic import logistic
from filterlab.lecture.plots import new_figure
from filterlab.lecture.result import Check, Floats, Result, Table, below, equal
from filterlab.models import shapes
from filterlab.visualization.style import BLUE, MARGIN, MUTED, ORANGE, bare, panel

SIZES = [(1, 1, 1), (2, 3, 1), (4, 5, 3), (64, 32, 10), (784, 256, 10), (4608, 32, 10)]  # (P, H, K)
DRAWN = (4, 5, 3)
EXAMPLES = 16  # to compare the scores on
ONES = 3.7  # where the figure has the units that are always 1
Matrices = tuple[Floats, Floats]


def count_perceptron_parameters(context: Context) -> Result:
    built = [compare_network(context, sizes, seed=seed) for seed, sizes in enumerate(SIZES)]
    return Result(
        checks=[
            *check_counts(built),
            *check_tutorial(context),
            below(
                "biases as weights of a unit that is always 1, beside the project's network: the scores' largest difference",
                max(apart for _, _, apart in built),
                1e-12,
            ),
        ],
        figures={"network": plot_network(*DRAWN)},
        tables=[
            Table(
                "Parameters by the formula, by filterlab's layer table, and of its PyTorch network.",
                ["P", "H", "K", "(P+1)H", "(H+1)K", "sum", "layer table", "PyTorch"],
                [
                    [f"{number:,}" for number in (p, h, k, (p + 1) * h, (h + 1) * k, count_parameters(p, h, k), *numbers[:2])]
                    for (p, h, k), numbers in zip(SIZES, built, strict=True)
                ],
            )
        ],
    )


def count_parameters(inputs: int, hidden: int, outputs: int) -> int:
    """(P+1)H + (H+1)K, a bias for every unit."""
    return (inputs + 1) * hidden + (hidden + 1) * outputs


def matrices(sizes: tuple[int, int, int], *, seed: int) -> Matrices:
    """Random weights (P + 1, H) and (H + 1, K); row 0 holds the biases, the weights of the unit that is always 1."""
    draw = np.random.default_rng(seed)
    inputs, hidden, outputs = sizes
    first = draw.standard_normal((inputs + 1, hidden)) / np.sqrt(inputs + 1)
    return first, draw.standard_normal((hidden + 1, outputs)) / np.sqrt(hidden + 1)


def compute_scores(x: Floats, weights: Matrices) -> Floats:
    """(N, P) -> (N, K): a matrix for each layer, after a 1 is put before its inputs."""
    ones = np.ones((len(x), 1))
    first, second = weights
    return np.hstack([ones, logistic(np.hstack([ones, x]) @ first)]) @ second


def compare_network(context: Context, sizes: tuple[int, int, int], *, seed: int) -> tuple[int, int, float]:
    """filterlab's own MLP: parameters by models.shapes, and of the network; the largest difference of its scores from ours."""
    import torch

    from filterlab.models import registry

    inputs, hidden, outputs = sizes
    model = context.compose("model=mlp", f"model.hidden=[{hidden}]", "model.activation=sigmoid").model
    images = {"channels": 1, "height": 1, "width": inputs, "classes": outputs}
    network = registry.build(model, **images, seed=seed).double()
    weights = matrices(sizes, seed=seed)
    layers = zip(("fc1", "fc2"), weights, strict=True)
    rows = {f"{name}.{part}": rows for name, matrix in layers for part, rows in (("bias", matrix[0]), ("weight", matrix[1:].T))}
    network.load_state_dict({name: torch.tensor(values) for name, values in rows.items()})
    x = np.random.default_rng(seed).standard_normal((EXAMPLES, inputs))
    with torch.inference_mode():
        answers = network(torch.tensor(x)[:, None, None]).numpy()
    by_shapes = shapes.parameter_count(shapes.layers(model, **images))
    by_torch = sum(parameter.numel() for parameter in network.parameters())
    return by_shapes, by_torch, float(np.abs(answers - compute_scores(x, weights)).max())


def check_counts(built: Sequence[tuple[int, int, float]]) -> list[Check]:
    """built: of each of SIZES, as `project` gives it."""
    expected = [count_parameters(*sizes) for sizes in SIZES]
    entries = [sum(matrix.size for matrix in matrices(sizes, seed=0)) for sizes in SIZES]
    which = f"(P, H, K) = {', '.join(map(str, SIZES))}"
    return [
        equal(f"entries of the two matrices, {which}", entries, expected),
        equal("parameters by the project's layer table, the same sizes", [numbers[0] for numbers in built], expected),
        equal("parameters of the project's network, the same sizes", [numbers[1] for numbers in built], expected),
        equal("parameters for (P, H, K) = (784, 256, 10)", built[SIZES.index((784, 256, 10))][1], 203_530),
    ]


def check_tutorial(context: Context) -> list[Check]:
    """The dense layers of the lecture's tutorial are a multilayer perceptron on its 4608 pooled features."""
    model = context.compose("model=tutorial_cnn").model
    layers = shapes.layers(model, channels=1, height=28, width=28, classes=10)
    flat = next(layer.channels for layer in layers if layer.kind == "flatten")
    dense = [layer.parameters for layer in layers if layer.kind == "dense"]
    return [
        equal("inputs of the tutorial's dense layers", flat, 4608),
        equal("parameters of the tutorial's dense layers", dense, [147_488, 330]),
        equal("their sum by the formula", count_parameters(flat, 32, 10), 147_818),
        equal("parameters of the whole tutorial network", shapes.parameter_count(layers), 157_386),
    ]


def plot_network(inputs: int, hidden: int, outputs: int) -> Figure:
    below, above = (inputs + 1) * hidden, (hidden + 1) * outputs
    values = {"inputs": inputs, "hidden": hidden, "outputs": outputs, "below": below, "above": above, "total": below + above}
    drawn = new_figure("06_perceptron", "network", 10.5, 5.2, **values)
    axes = panel(drawn, left=MARGIN, bottom=0.1, width=9.6, height=5.2)
    bare(axes)
    axes.set_xlim(0, 9.6)  # inches
    axes.set_ylim(-1.1, 4.1)
    columns = [(1.3, inputs, "x"), (4.8, hidden, "h"), (8.3, outputs, "y")]
    for (left, lower, _), (right, upper, _) in pairwise(columns):
        starts = [*((height, MUTED) for height in heights(lower)), (ONES, ORANGE)]
        for (start, color), end in product(starts, heights(upper)):
            axes.plot([left, right], [start, end], color=color, linewidth=0.9, zorder=1)
        axes.scatter(left, ONES, s=750, marker="s", facecolor="white", edgecolor=ORANGE, linewidth=1.8, zorder=2)
        axes.text(left, ONES, "1", ha="center", va="center", fontsize=12)
    for across, units, name in columns:
        for number, height in enumerate(heights(units), start=1):
            axes.scatter(across, height, s=950, facecolor="white", edgecolor=BLUE, linewidth=1.8, zorder=2)
            axes.text(across, height, f"{name}{number}", ha="center", va="center", fontsize=12)
    for across, text in [
        (1.3, f"P = {inputs} inputs"),
        (3.05, f"(P + 1) H\n= {inputs + 1} x {hidden} = {below}"),
        (4.8, f"H = {hidden} hidden units"),
        (6.55, f"(H + 1) K\n= {hidden + 1} x {outputs} = {above}"),
        (8.3, f"K = {outputs} outputs"),
    ]:
        axes.text(across, -0.55, text, ha="center", va="top", fontsize=12)
    return drawn


def heights(units: int) -> list[float]:
    """A column's places in the figure, from the top down, around 1.5."""
    return [1.5 + 0.75 * ((units - 1) / 2 - place) for place in range(units)]
