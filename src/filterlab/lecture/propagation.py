"""Topic 7: values forward and gradients backward by hand, beside torch's autograd and finite differences."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from filterlab.lecture.context import Context
from filterlab.lecture.logistic import logistic
from filterlab.lecture.plots import add_panels, draw_network, new_figure
from filterlab.lecture.result import Check, Floats, Result, below, close, conclude
from filterlab.visualization.style import BLUE, MUTED, ORANGE

SIZES = (2, 3, 3, 2)  # inputs, H2, H3, outputs: the slide's names of the two hidden layers
EXAMPLES, IMAGES = 8, 6
STEP = 1e-5
AUTOGRAD, DIFFERENCES = 1e-12, 1e-6  # tolerances, as shares of an array's largest gradient
RED = "#b2182b"  # of the signed color scale
STEPS = 10.0 ** np.arange(-12, 0.1, 0.25)


def compare_gradients(context: Context) -> Result:
    draw = np.random.default_rng(1)
    net = [1.5 * draw.standard_normal(shape) for low, high in pairwise(SIZES) for shape in ((low, high), (high,))]
    x, target = draw.uniform(-1, 1, (EXAMPLES, SIZES[0])), draw.uniform(0, 1, (EXAMPLES, SIZES[-1]))
    values = forward(net, x)
    hand, signals = backward(net, values, target)

    def error() -> float:
        return squared_error(forward(net, x)[-1], target)

    curves = {
        name: np.array([distance(differences(error, net, step=step, central=name == "central"), hand) for step in STEPS])
        for name in ("central", "one-sided")
    }
    best = [(curve.min(), STEPS[curve.argmin()]) for curve in curves.values()]
    return Result(
        checks=[
            *check_gradients("the MLP", hand, autograd(mlp_error, net, x, target), differences(error, net, step=STEP)),
            check_chain_rule(net, values, signals),
            *check_orders(curves),
            *check_convolutional(draw),
        ],
        figures={"passes": plot_passes(net, values, hand, signals), "differences": plot_differences(curves)},
        conclusion=conclude("propagation", "differences", central=best[0], sided=best[1]),
    )


def forward(net: Sequence[Floats], x: Floats) -> list[Floats]:
    """The values of the inputs, (N, P), and of each layer of logistic units.

    net: weight, (below, above), and bias, (above,), by turns.
    """
    values = [x]
    for weight, bias in zip(net[::2], net[1::2], strict=True):
        values.append(logistic(values[-1] @ weight + bias))
    return values


def squared_error(y: Floats, target: Floats) -> float:
    """Half the sum of squares (Rumelhart, Hinton, Williams 1986, equation 3)."""
    return float(((y - target) ** 2).sum() / 2)


def backward(net: Sequence[Floats], values: Sequence[Floats], target: Floats) -> tuple[list[Floats], list[Floats]]:
    """The gradients of the squared error by `net`, and by `values`."""
    gradients: list[Floats] = []
    signals = [values[-1] - target]
    for weight, (low, high) in zip(net[-2::-2], list(pairwise(values))[::-1], strict=True):
        by_score = signals[0] * high * (1 - high)
        gradients = [low.T @ by_score, by_score.sum(axis=0), *gradients]
        signals = [by_score @ weight.T, *signals]
    return gradients, signals


def conv_forward(net: Sequence[Floats], images: Floats) -> tuple[Floats, Floats, Floats]:
    """Cross-correlation, ReLU, 2x2 max pooling, dense layer, softmax.

    net: filters (K, 3, 3), their bias (K,), weight (9 K, 10), bias (10,). images: (N, 8, 8).
    Returns the maps after ReLU, (N, K, 6, 6); pooled, (N, K, 3, 3); the probabilities, (N, 10).
    """
    filters, shift, weight, bias = net
    windows = sliding_window_view(images, (3, 3), axis=(1, 2))
    maps = np.maximum(np.einsum("nijuv,kuv->nkij", windows, filters) + shift[:, None, None], 0)
    pooled = maps.reshape(*maps.shape[:2], 3, 2, 3, 2).max(axis=(3, 5))
    powers = np.exp(pooled.reshape(len(images), -1) @ weight + bias)
    return maps, pooled, powers / powers.sum(axis=1, keepdims=True)


def conv_backward(net: Sequence[Floats], images: Floats, digits: NDArray[np.int64]) -> list[Floats]:
    """The gradients of the cross-entropy, summed over the images, by `net` and by `images`."""
    filters, _, weight, _ = net
    maps, pooled, probabilities = conv_forward(net, images)
    by_score = probabilities - np.eye(10)[digits]
    by_pooled = (by_score @ weight.T).reshape(pooled.shape)
    spread, winners = (given.repeat(2, axis=2).repeat(2, axis=3) for given in (by_pooled, pooled))
    by_maps = spread * (maps == winners) * (maps > 0)
    windows = sliding_window_view(images, (3, 3), axis=(1, 2))
    padded = np.pad(by_maps, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return [
        np.einsum("nijuv,nkij->kuv", windows, by_maps),
        by_maps.sum(axis=(0, 2, 3)),
        pooled.reshape(len(images), -1).T @ by_score,
        by_score.sum(axis=0),
        np.einsum("nkijuv,kuv->nij", sliding_window_view(padded, (3, 3), axis=(2, 3)), filters[:, ::-1, ::-1]),
    ]


def differences(error: Callable[[], float], arrays: Sequence[Floats], *, step: float, central: bool = True) -> list[Floats]:
    """The gradients of error() by every number of the arrays, which are moved in place, one at a time, and put back."""
    back = step if central else 0.0
    gradients = [np.empty_like(array) for array in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for place, here in np.ndenumerate(array):
            array[place] = here + step
            ahead = error()
            array[place] = here - back
            gradient[place] = (ahead - error()) / (step + back)
            array[place] = here
    return gradients


def autograd(error: Callable[..., Any], arrays: Sequence[Floats], *data: NDArray[Any]) -> list[Floats]:
    """The gradients by the arrays that torch finds of error(tensors, *data)."""
    import torch

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    found = torch.autograd.grad(error(tensors, *(torch.tensor(given) for given in data)), tensors)
    return [gradient.numpy() for gradient in found]


def mlp_error(net: Sequence[Any], x: Any, target: Any) -> Any:
    """`forward` and `squared_error` of tensors."""
    for weight, bias in zip(net[::2], net[1::2], strict=True):
        x = (x @ weight + bias).sigmoid()
    return ((x - target) ** 2).sum() / 2


def conv_error(arrays: Sequence[Any], digits: Any) -> Any:
    """The cross-entropy by torch's own layers; arrays: net and images."""
    import torch.nn.functional as F

    filters, shift, weight, bias, images = arrays
    pooled = F.max_pool2d(F.relu(F.conv2d(images[:, None], filters[:, None], shift)), 2)
    return F.cross_entropy(pooled.flatten(start_dim=1) @ weight + bias, digits, reduction="sum")


def distance(found: Sequence[Floats], reference: Sequence[Floats]) -> float:
    """The largest difference, as a share of its array's largest gradient."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, reference, strict=True))


def check_gradients(name: str, hand: Sequence[Floats], by_torch: Sequence[Floats], measured: Sequence[Floats]) -> list[Check]:
    n = sum(array.size for array in hand)
    return [
        below(f"{name}, all {n} gradients by hand beside autograd, relative difference", distance(hand, by_torch), AUTOGRAD),
        below(f"{name}, all {n} beside central differences, step {STEP:g}", distance(measured, hand), DIFFERENCES),
    ]


def check_chain_rule(net: Sequence[Floats], values: Sequence[Floats], signals: Sequence[Floats]) -> Check:
    """The lecture's product of three, for the first example, beside what the backward pass handed down to H2."""
    (_, _, h3, y), (weight3, weight_y) = (value[0] for value in values), (net[2], net[4])
    by_h3, by_h2 = np.diag(y * (1 - y)) @ weight_y.T, np.diag(h3 * (1 - h3)) @ weight3.T
    product = signals[3][0] @ by_h3 @ by_h2
    return below("dE/dY · dY/dH3 · dH3/dH2 beside the backward pass", distance([product], [signals[1][0]]), AUTOGRAD)


def check_orders(curves: dict[str, Floats]) -> list[Check]:
    """A tenth of the step leaves a hundredth of the error of central differences, and a tenth of that of one-sided ones."""
    near, far = np.searchsorted(STEPS, [0.99e-3, 0.99e-2])
    return [
        close(f"order of the error of {name} differences", float(np.log10(curve[far] / curve[near])), power, tolerance=0.05)
        for (name, curve), power in zip(curves.items(), (2, 1), strict=True)
    ]


def check_convolutional(draw: np.random.Generator) -> list[Check]:
    net = [0.5 * draw.standard_normal(shape) for shape in ((4, 3, 3), (4,), (36, 10), (10,))]
    images, digits = draw.standard_normal((IMAGES, 8, 8)), draw.integers(0, 10, IMAGES)

    def error() -> float:
        return -float(np.log(conv_forward(net, images)[-1][np.arange(IMAGES), digits]).sum())

    by_torch, measured = autograd(conv_error, [*net, images], digits), differences(error, [*net, images], step=STEP)
    return check_gradients("the convolutional network and its images", conv_backward(net, images, digits), by_torch, measured)


def plot_passes(
    net: Sequence[Floats], values: Sequence[Floats], gradients: Sequence[Floats], signals: Sequence[Floats]
) -> Figure:
    drawn = new_figure("propagation", "passes", 12.6, 4.4)
    panels = add_panels(drawn, columns=2)
    passes = [
        ("forward: values in the circles, weights on the lines", values, net[::2], "X H2 H3 Y", "->"),
        ("backward: the error's gradients by both", signals, gradients[::2], "dE/dX dE/dH2 dE/dH3 dE/dY", "<-"),
    ]
    for axes, (title, nodes, lines, names, arrow) in zip(panels, passes, strict=True):
        first = [node[0] for node in nodes]
        draw_network(axes, [[f"{value:.3f}" for value in node] for node in first], lines, colors=(BLUE, RED), fills=first)
        axes.set_title(title)
        axes.set_xticks(range(len(SIZES)), names.split(), fontsize=12)
        axes.annotate("", (1, 0), (0, 0), "axes fraction", arrowprops={"arrowstyle": arrow, "color": MUTED, "linewidth": 1.5})
    return drawn


def plot_differences(curves: dict[str, Floats]) -> Figure:
    drawn = new_figure("propagation", "differences", 9.0, 4.4)
    (axes,) = add_panels(drawn)
    for (name, curve), color in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes.loglog(STEPS, curve, color=color, marker="o", markersize=3, label=f"{name} differences")
    axes.axhline(DIFFERENCES, color=MUTED, linewidth=1, linestyle=":")
    axes.text(STEPS[0], 0.7 * DIFFERENCES, "the checks' tolerance", va="top", color=MUTED)
    axes.axvline(STEP, color=MUTED, linewidth=1, linestyle=":")
    axes.text(1.15 * STEP, 1, "the checks' step", color=MUTED)
    axes.set(xlabel="step", ylabel="largest error as a share of the largest gradient", ylim=(2e-11, 5))
    axes.legend(loc="lower left")
    return drawn
