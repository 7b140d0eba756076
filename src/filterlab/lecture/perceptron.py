"""Topic 6: the multilayer perceptron: P inputs, H hidden units, K outputs, and how many numbers that takes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context
from filterlab.lecture.logistic import logistic
from filterlab.lecture.plots import add_panels, draw_network, new_figure
from filterlab.lecture.result import Check, Floats, Result, below, equal, new_table
from filterlab.models import shapes
from filterlab.visualization.style import MUTED, ORANGE

SIZES = [(1, 1, 1), (2, 3, 1), (4, 5, 3), (64, 32, 10), (784, 256, 10), (4608, 32, 10)]  # (P, H, K)
DRAWN = (4, 5, 3)
EXAMPLES = 16  # to compare the scores on
Matrices = tuple[Floats, Floats]


def count_perceptron_parameters(context: Context) -> Result:
    built = [compare_network(context, sizes, seed=seed) for seed, sizes in enumerate(SIZES)]
    rows = [
        [f"{number:,}" for number in (p, h, k, (p + 1) * h, (h + 1) * k, count_parameters(p, h, k), *numbers[:2])]
        for (p, h, k), numbers in zip(SIZES, built, strict=True)
    ]
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
        tables=[new_table("perceptron", "parameters", rows)],
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
    """The weights of the units that are always 1, the biases, have a color of their own."""
    below, above = (inputs + 1) * hidden, (hidden + 1) * outputs
    values = {"inputs": inputs, "hidden": hidden, "outputs": outputs, "below": below, "above": above, "total": below + above}
    drawn = new_figure("perceptron", "network", 10.5, 5.2, **values)
    (axes,) = add_panels(drawn)
    units = [[f"{name}{place}" for place in range(1, n + 1)] for name, n in (("x", inputs), ("h", hidden), ("y", outputs))]
    first, second = -np.ones((inputs + 1, hidden + 1)), -np.ones((hidden + 1, outputs))
    first[0], second[0], first[:, 0] = 1, 1, 0
    draw_network(axes, [["1", *units[0]], ["1", *units[1]], units[2]], [first, second], colors=(MUTED, ORANGE), thickest=1.0)
    for place, text in [
        (0, f"P = {inputs} inputs"),
        (0.5, f"(P + 1) H\n= {inputs + 1} x {hidden} = {below}"),
        (1, f"H = {hidden} hidden units"),
        (1.5, f"(H + 1) K\n= {hidden + 1} x {outputs} = {above}"),
        (2, f"K = {outputs} outputs"),
    ]:
        axes.annotate(text, (place, 0), xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=12)
    return drawn
