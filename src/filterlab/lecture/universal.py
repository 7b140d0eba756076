"""Topic 5: what one hidden layer can fit: every Boolean function of two inputs, and any curve, as nearly as it is wide."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.lecture.context import Context, Record
from filterlab.lecture.logistic import logistic
from filterlab.lecture.plots import add_panels, new_figure
from filterlab.lecture.result import Check, Floats, Result, Table, below, conclude, equal, new_table
from filterlab.study.claims import Hypothesis, compare
from filterlab.study.statistics import mean_interval
from filterlab.visualization.style import BLUE, FAINT, INK, MUTED, ORANGE, SIGNED, bare

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
NAMES = ["FALSE", "AND", "x1 AND NOT x2", "x1", "NOT x1 AND x2", "x2", "XOR", "OR"]
NAMES += ["NOR", "XNOR", "NOT x2", "x1 OR NOT x2", "NOT x1", "NOT x1 OR x2", "NAND", "TRUE"]
TABLES = (np.arange(16)[:, None] >> np.arange(3, -1, -1)) & 1  # (16, 4): the function of that name, at each corner
HIDDEN = 4  # a unit for each row of the truth table
WIDTHS = (1, 2, 4, 8, 16, 32, 64)
SLOPE = 1 + np.pi  # the largest of `curve`
POINTS, NOISY, NOISE, NEW = 129, 20, 0.3, 500
DENSE = np.linspace(-1.5, 1.5, 1537)
INSIDE = np.abs(DENSE) <= 1


def fit_any_function(context: Context) -> Result:
    checks, table, cuts = fit_boolean(context.budget(full=10, quick=3))
    errors, fits, sample = fit_by_width(*context.budget(full=(10, 20, 2500), quick=(3, 4, 100)))
    by_hand = [float(np.abs(steps_by_hand(DENSE[INSIDE], n) - curve(DENSE[INSIDE])).max()) for n in WIDTHS]
    checks += [
        below(f"{n} steps set by hand, largest error: L / {n}", error, SLOPE / n)
        for n, error in zip(WIDTHS, by_hand, strict=True)
    ]
    for n, *found in zip(WIDTHS, *errors.values(), strict=True):
        metrics = {f"rms/{name}": float(values.mean()) for name, values in zip(errors, found, strict=True)}
        context.record(Record({"hidden": n}, metrics))
    return Result(
        checks=checks,
        figures={"boolean": cuts, "curves": plot_curves(errors, fits, sample)},
        hypotheses=judge_hypotheses(errors),
        tables=[table, tabulate_widths(errors, by_hand)],
        conclusion=conclude_widths(errors),
    )


def train_units(
    x: Floats, y: Floats, at: Floats, *, hidden: int, logistic: bool, steps: int, rate: float, seed: int
) -> tuple[Floats, Floats]:
    """Train B networks at once, each on its own data, with Adam on all examples and a rate that falls to 0 along a cosine.

    x, y: (B, N, P), in [-1, 1], and (B, N). at: (B, M, P): where the networks are asked once they are trained.
    hidden: tanh units, which are logistic ones but for scale and shift; 0: a linear unit.
    logistic: the loss is the cross-entropy of sigmoid(score); else the squared error of the score.
    Returns the scores at x, (B, N), and at `at`, (B, M).
    """
    import torch
    from torch.nn import functional as F

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # too small for more, and to the same bits on any machine
    draw = torch.Generator().manual_seed(seed)
    examples, targets, asked = (torch.tensor(given, dtype=torch.float32) for given in (x, y, at))
    n, _, inputs = x.shape
    weight = 3 * torch.randn(n, inputs, hidden, generator=draw)
    centers = 2 * torch.rand(n, inputs, hidden, generator=draw) - 1  # each unit's midpoint passes through one
    out = torch.randn(n, hidden or inputs, 1, generator=draw) / (hidden or inputs) ** 0.5
    bias, shift = -(weight * centers).sum(dim=1, keepdim=True), torch.zeros(n, 1, 1)
    weights = [given.requires_grad_() for given in ([weight, bias, out, shift] if hidden else [out, shift])]

    def scores(x: torch.Tensor) -> torch.Tensor:
        return ((torch.tanh(x @ weight + bias) if hidden else x) @ out + shift).squeeze(-1)

    loss = F.binary_cross_entropy_with_logits if logistic else F.mse_loss
    adam = torch.optim.Adam(weights, lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        adam.zero_grad()
        loss(scores(examples), targets, reduction="sum").backward()  # a sum: how many networks there are changes no gradient
        adam.step()
        cosine.step()
    torch.set_num_threads(threads)
    with torch.no_grad():
        return scores(examples).double().numpy(), scores(asked).double().numpy()


def curve(x: Floats) -> Floats:
    """Continuous, with a kink at 0; its slope is at most 1 + pi."""
    return np.abs(x) + np.sin(2 * np.pi * x) / 2


def noisy(seed: int) -> tuple[Floats, Floats]:
    """Points of `curve`, (NOISY + NEW, 1) and (NOISY + NEW,): to train on, then to validate with, all with the same noise."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-1, 1, (NOISY + NEW, 1))
    return x, curve(x[:, 0]) + NOISE * draw.standard_normal(NOISY + NEW)


def rms(differences: Floats) -> Floats:
    """(B, N) -> (B,)"""
    return np.sqrt((differences**2).mean(axis=1))


def steps_by_hand(x: Floats, n: int) -> Floats:
    """A sum of n steep logistic units that takes the value of `curve` at n + 1 evenly spaced points of [-1, 1]."""
    levels, jumps = curve(np.linspace(-1, 1, n + 1)), np.linspace(-1, 1, 2 * n + 1)[1::2]
    rises = logistic(np.clip(50 * n * (x[:, None] - jumps), -700, 700))  # steep beside the 2 / n between two jumps
    return levels[0] + rises @ np.diff(levels)


def separable(table: NDArray[np.int64]) -> bool:
    """Whether some line has the corners with 1 on one side and those with 0 on the other, by a linear program.

    There are w and b with sign * (w x + b) >= 1 at every corner, or there are none.
    """
    from scipy.optimize import linprog

    rows = (2 * table - 1)[:, None] * np.c_[CORNERS, np.ones(4)]
    return bool(linprog(np.zeros(3), A_ub=-rows, b_ub=-np.ones(4), bounds=(None, None)).success)


def fit_boolean(networks: int) -> tuple[list[Check], Table, Figure]:
    """Linear units and MLPs, `networks` of each for each of the 16 functions; false and true go in as -1 and 1."""
    side = np.linspace(-1.6, 1.6, 41)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    x, at = (np.tile(given, (16 * networks, 1, 1)) for given in (2.0 * CORNERS - 1, grid))
    y = TABLES.repeat(networks, axis=0).astype(np.float64)
    found = [train_units(x, y, at, hidden=hidden, logistic=True, steps=500, rate=0.05, seed=0) for hidden in (0, HIDDEN)]
    linear, mlp = right = [((scores > 0) == y).all(axis=1).reshape(16, networks) for scores, _ in found]
    cut = np.array([separable(values) for values in TABLES])
    xor = found[0][0].reshape(16, networks, 4)[NAMES.index("XOR")]
    checks = [
        equal("functions that no line can cut, by linear programs", named(~cut), ["XOR", "XNOR"]),
        equal("functions that no trained linear unit fits", named(~linear.any(axis=1)), ["XOR", "XNOR"]),
        equal(f"functions that no MLP with {HIDDEN} hidden units fits", named(~mlp.any(axis=1)), []),
        below(
            "largest score of a linear unit trained on XOR: an output of 1/2, whatever goes in", float(np.abs(xor).max()), 1e-3
        ),
    ]
    rows = [
        [name, "".join(map(str, values)), "yes" if can else "no", *(f"{given.sum()} of {networks}" for given in fitted)]
        for name, values, can, *fitted in zip(NAMES, TABLES, cut, *right, strict=True)
    ]
    fields = [
        at.reshape(16, networks, 41, 41)[range(16), given.argmax(axis=1)] for (_, at), given in zip(found, right, strict=True)
    ]
    return checks, new_table("universal", "boolean", rows, hidden=HIDDEN), plot_boolean(fields)


def named(chosen: NDArray[np.bool_]) -> list[str]:
    """chosen: (16,)."""
    return [name for name, is_one in zip(NAMES, chosen, strict=True) if is_one]


def fit_by_width(networks: int, samples: int, steps: int) -> tuple[dict[str, Floats], list[list[Floats]], tuple[Floats, Floats]]:
    """Networks of each width on the curve without noise, and on `samples` of few noisy points.

    Returns the root mean square errors, "curve": (widths, networks), "training" and "validation": (widths, samples); the first
    network's outputs at DENSE, by width, on the curve and on the first sample; and that sample's x and y.
    """
    even, dense = np.linspace(-1, 1, POINTS)[:, None], DENSE[:, None]
    x, y = (np.stack(given) for given in zip(*map(noisy, range(samples)), strict=True))
    asked = np.concatenate([x[:, NOISY:], np.tile(dense, (samples, 1, 1))], axis=1)
    clean = (np.tile(even, (networks, 1, 1)), np.tile(curve(even[:, 0]), (networks, 1)), np.tile(dense, (networks, 1, 1)))
    few = (x[:, :NOISY], y[:, :NOISY], asked)
    on_clean, on_few = (
        [train_units(x, y, at, hidden=n, logistic=False, steps=steps, rate=0.02, seed=1) for n in WIDTHS]
        for x, y, at in (clean, few)
    )
    errors = {
        "curve": np.stack([rms(at[:, INSIDE] - curve(DENSE[INSIDE])) for _, at in on_clean]),
        "training": np.stack([rms(scores - y[:, :NOISY]) for scores, _ in on_few]),
        "validation": np.stack([rms(at[:, :NEW] - y[:, NOISY:]) for _, at in on_few]),
    }
    return errors, [[at[0, -len(DENSE) :] for _, at in given] for given in (on_clean, on_few)], (x[0, :NOISY, 0], y[0, :NOISY])


def judge_hypotheses(errors: Mapping[str, Floats]) -> list[Hypothesis]:
    """Stated before anything was trained."""
    halvings = dict(zip(WIDTHS, -np.log2(errors["curve"]), strict=True))
    new = dict(zip(WIDTHS, errors["validation"], strict=True))
    gap = dict(zip(WIDTHS, errors["validation"] - errors["training"], strict=True))
    closer = "{} hidden units follow the curve closer than {}"
    wider = "noise: {} hidden units have a wider gap from training to validation error than {}"
    worse = "noise: {} hidden units have a larger validation error than {}"
    stated = [(closer, halvings, "halvings of the rms error", pair) for pair in pairwise(WIDTHS)]
    stated += [(wider, gap, "rms error", pair) for pair in pairwise(WIDTHS[::2])]
    stated += [(worse, new, "rms error", (WIDTHS[2], WIDTHS[-1]))]
    return [compare(claim.format(b, a), given[b], given[a], unit=unit) for claim, given, unit, (a, b) in stated]


def tabulate_widths(errors: Mapping[str, Floats], by_hand: Sequence[float]) -> Table:
    cells = [[mean_interval(values, ".3f") for values in given] for given in errors.values()]
    rows = [[str(n), f"{hand:.3f}", *row] for n, hand, *row in zip(WIDTHS, by_hand, *cells, strict=True)]
    networks, samples = errors["curve"].shape[1], errors["training"].shape[1]
    sizes = {"networks": networks, "points": POINTS, "samples": samples, "noisy": NOISY, "new": NEW}
    return new_table("universal", "widths", rows, **sizes)


def conclude_widths(errors: Mapping[str, Floats]) -> str:
    curved, seen, new = (given.mean(axis=1) for given in errors.values())
    widths = {"narrow": WIDTHS[0], "at": WIDTHS[curved.argmin()], "best": WIDTHS[new.argmin()], "wide": WIDTHS[-1]}
    found = {"first": curved[0], "least": curved.min(), "seen": seen[[0, -1]], "new": [new.min(), new[-1]]}
    return conclude("universal", "widths", **widths, **found, noisy=NOISY, noise=NOISE)


def plot_boolean(fields: Sequence[Floats]) -> Figure:
    """fields: (16, 41, 41) each: the scores of a linear unit, and of an MLP, that fit where any does."""
    drawn = new_figure("universal", "boolean", 13.6, 6.9)
    x1, x2 = 2 * CORNERS.T - 1
    for place, axes in enumerate(add_panels(drawn, rows=4, columns=8)):
        row, column = divmod(place, 8)
        kind, function = row % 2, 8 * (row // 2) + column
        bare(axes)
        output = logistic(fields[kind][function])
        axes.imshow(output, origin="lower", extent=(-1.6, 1.6, -1.6, 1.6), cmap=SIGNED, vmin=-0.3, vmax=1.3)
        axes.scatter(x1, x2, c=["black" if value else "white" for value in TABLES[function]], edgecolors="black", s=45)
        if kind == 0:
            axes.set_title(NAMES[function], color=ORANGE if NAMES[function] in ("XOR", "XNOR") else INK)
        if column == 0:
            axes.set_ylabel(("linear", "MLP")[kind], rotation=0, ha="right", va="center")
    return drawn


def plot_curves(errors: Mapping[str, Floats], fits: Sequence[Sequence[Floats]], sample: tuple[Floats, Floats]) -> Figure:
    drawn = new_figure("universal", "curves", 12.0, 8.0, noisy=NOISY)
    shown = {2: MUTED, 8: ORANGE, 64: BLUE}
    panels = add_panels(drawn, rows=2, columns=2)
    for row, names in enumerate([["curve"], ["training", "validation"]]):
        left, right = panels[2 * row : 2 * row + 2]
        left.axvspan(-1, 1, color=FAINT, alpha=0.25, linewidth=0)
        left.plot(DENSE, curve(DENSE), color=INK, linewidth=1.2, linestyle=":", label="f")
        for n, color in shown.items():
            left.plot(DENSE, fits[row][WIDTHS.index(n)], color=color, linewidth=1.8, label=f"{n} hidden units")
        if row:
            left.scatter(*sample, s=18, color=INK, zorder=3)
        left.set(ylim=(-1.2, 2.6), xlim=(-1.5, 1.5))
        left.legend(fontsize=10, loc="upper center", ncols=2)
        for name, color in zip(names, (BLUE, ORANGE), strict=False):
            right.plot(WIDTHS, errors[name].mean(axis=1), color=color, label=name)
            right.plot(WIDTHS, errors[name], color=color, linewidth=0, marker="o", markersize=3, alpha=0.4)
        right.set_xscale("log", base=2)
        right.set_xticks(WIDTHS, [str(n) for n in WIDTHS])
        right.set(xlabel="hidden units", ylabel="root mean square error")
        if row == 0:
            right.set_yscale("log")
        else:
            right.axhline(NOISE, color=MUTED, linewidth=1, linestyle=":")
            right.legend(fontsize=10)
    return drawn
