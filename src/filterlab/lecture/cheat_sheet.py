"""Topic 9: the cheat sheet, corrected: four problems, their losses and measures, and what the slide's two wrong formulas do."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.lecture.context import Context, Record
from filterlab.lecture.logistic import logistic as sigmoid
from filterlab.lecture.plots import add_color_scale, add_panels, new_figure, show_image
from filterlab.lecture.result import Check, Floats, Result, Table, below, between, close, conclude, equal, new_table
from filterlab.study.claims import compare
from filterlab.study.statistics import summarize
from filterlab.visualization.style import BLUE, INK, ORANGE

SLIPS = ("binary, the slide's loss", "multiclass, the slide's softmax")
HELD_OUT = 597  # of the 1797 digits
POSITIVE = 8


class Loss(NamedTuple):
    """Functions of scores z and truths y, (N, K) both: the prediction, each output's loss, its gradient by z and that as text."""

    predict: Callable[[Floats], Floats]
    value: Callable[[Floats, Floats], Floats]
    slope: Callable[[Floats, Floats], Floats]
    formula: str


def softmax(z: Floats) -> Floats:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


LOSSES = {
    "SSE": Loss(lambda z: z, lambda z, y: (z - y) ** 2, lambda z, y: 2 * (z - y), "2 (z - y)"),
    "sigmoid, SSE": Loss(
        sigmoid,
        lambda z, y: (sigmoid(z) - y) ** 2,
        lambda z, y: 2 * (sigmoid(z) - y) * sigmoid(z) * (1 - sigmoid(z)),
        "2 (p - y) p (1 - p)",
    ),
    "sigmoid, cross-entropy": Loss(sigmoid, lambda z, y: np.logaddexp(0, z) - y * z, lambda z, y: sigmoid(z) - y, "p - y"),
    "sigmoid, log p twice": Loss(sigmoid, lambda z, y: np.logaddexp(0, -z), lambda z, y: sigmoid(z) - 1, "p - 1"),
    "softmax, cross-entropy": Loss(softmax, lambda z, y: -y * np.log(softmax(z)), lambda z, y: softmax(z) - y, "p - y"),
    "softmax of -z": Loss(lambda z: softmax(-z), lambda z, y: -y * np.log(softmax(-z)), lambda z, y: y - softmax(-z), "-(p - y)"),
}


class Row(NamedTuple):
    """x: (N, P), a column of ones first. y: (N, K). measures: of predictions and truths. start: sign of the initial weights."""

    loss: Loss
    x: Floats
    y: Floats
    rate: float
    measures: Mapping[str, Callable[[Floats, Floats], float]]
    start: int = 1


class Fitted(NamedTuple):
    """path: (steps + 1, P, K), the weights after each step; predicted and truth: (HELD_OUT, K), of what was held out."""

    path: Floats
    predicted: Floats
    truth: Floats


def compare_losses(context: Context) -> Result:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows, steps = problems(digits.data / 16, digits.target), context.budget(full=1000, quick=300)
    first = {name: fit(row, seed=0, steps=steps) for name, row in rows.items()}
    measured: dict[str, dict[str, dict[str, float]]] = {name: {} for name in rows}  # row, split, measure
    for seed in range(context.budget(full=10, quick=2)):
        for name, row in rows.items():
            fitted = fit(row, seed=seed, steps=steps) if seed else first[name]
            found = {measure: of(fitted.predicted, fitted.truth) for measure, of in row.measures.items()}
            measured[name][str(seed)] = found
            context.record(Record({"row": name, "split": seed, "steps": steps}, found))
    per_output, squared = measured["several 0/1 outputs, BCE"], measured["several 0/1 outputs, SSE"]
    claim = f"several 0/1 outputs: after {steps} steps at one rate, cross-entropy per output {{}} than squared errors"
    right = [{seed: found["accuracy"] for seed, found in given.items()} for given in (per_output, squared)]
    off = [{seed: found["RMSE"] for seed, found in given.items()} for given in (squared, per_output)]
    return Result(
        checks=[
            *check_slopes(),
            *check_regression(rows["regression"], first["regression"], most=context.budget(full=1.1, quick=1.5)),
            *check_binary(first, fewest=context.budget(full=0.5, quick=0.1)),
            *check_multiclass(first, least=context.budget(full=0.9, quick=0.7)),
        ],
        figures={"losses": plot_losses(rows["binary"], first), "templates": plot_templates(first)},
        hypotheses=[
            compare(claim.format("gets more labels right"), *right, unit="points of accuracy", scale=100),
            compare(claim.format("has the smaller RMSE"), *off, unit="RMSE"),
        ],
        tables=[tabulate_sheet(rows, measured)],
        conclusion=conclude_sheet(measured),
    )


def problems(pixels: Floats, labels: NDArray[np.int64]) -> dict[str, Row]:
    """pixels: (N, 64) in [0, 1], row by row. The rates are below 2 / curvature, where gradient descent is stable."""
    x = np.c_[np.ones(len(pixels)), pixels]
    several = np.stack([labels % 2 == 0, labels >= 5, np.isin(labels, [0, 6, 8, 9])], axis=1).astype(np.float64)
    positive = (labels == POSITIVE)[:, None].astype(np.float64)
    one_hot = np.eye(10)[labels]
    of_labels, of_classes = {"RMSE": rmse, "accuracy": labels_right}, {"accuracy": classes_right}
    of_positives = {"accuracy": labels_right, "called positive": lambda p, y: float((p >= 0.5).mean()), "AUC": auc}
    return {
        "regression": Row(LOSSES["SSE"], x[:, :33], pixels[:, 32:], 0.1, {"RMSE": rmse}),
        "several 0/1 outputs, SSE": Row(LOSSES["sigmoid, SSE"], x, several, 0.5, of_labels),
        "several 0/1 outputs, BCE": Row(LOSSES["sigmoid, cross-entropy"], x, several, 0.5, of_labels),
        "binary": Row(LOSSES["sigmoid, cross-entropy"], x, positive, 0.5, of_positives),
        SLIPS[0]: Row(LOSSES["sigmoid, log p twice"], x, positive, 0.5, of_positives),
        "multiclass": Row(LOSSES["softmax, cross-entropy"], x, one_hot, 0.3, of_classes),
        SLIPS[1]: Row(LOSSES["softmax of -z"], x, one_hot, 0.3, of_classes, start=-1),
    }


def split(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the examples to train on, and of those held out."""
    order = np.random.default_rng(seed).permutation(n)
    return order[HELD_OUT:], order[:HELD_OUT]


def fit(row: Row, *, seed: int, steps: int) -> Fitted:
    """Gradient descent on the mean over the training examples of the loss, summed over the outputs."""
    seen, held_out = split(len(row.x), seed)
    x, y = row.x[seen], row.y[seen]
    path = [row.start * 0.01 * np.random.default_rng(seed).standard_normal((x.shape[1], y.shape[1]))]
    for _ in range(steps):
        path.append(path[-1] - row.rate / len(x) * (x.T @ row.loss.slope(x @ path[-1], y)))
    return Fitted(np.array(path), row.loss.predict(row.x[held_out] @ path[-1]), row.y[held_out])


def rmse(predicted: Floats, truth: Floats) -> float:
    n, outputs = truth.shape
    return float(np.sqrt(((predicted - truth) ** 2).sum() / (n * outputs)))


def labels_right(predicted: Floats, truth: Floats) -> float:
    """The share of labels that are right, with 1 where the prediction is at least 1/2."""
    return float(((predicted >= 0.5) == (truth == 1)).mean())


def classes_right(predicted: Floats, truth: Floats) -> float:
    return float((predicted.argmax(axis=1) == truth.argmax(axis=1)).mean())


def auc(predicted: Floats, truth: Floats) -> float:
    """The share of pairs of a positive and a negative in which the positive has the higher score; a tie counts half."""
    positives, negatives = predicted[truth == 1][:, None], predicted[truth == 0]
    return float((positives > negatives).mean() + (positives == negatives).mean() / 2)


def check_slopes() -> list[Check]:
    """Each loss's gradient by the score, and how much of it is left where a sigmoid is sure and wrong."""
    draw = np.random.default_rng(0)
    z, y = draw.normal(0, 2, (50, 4)), np.eye(4)[draw.integers(0, 4, 50)]
    checks = []
    for name, loss in LOSSES.items():
        pairs = [(loss.value(z + step, y), loss.value(z - step, y)) for step in 1e-5 * np.eye(4)]
        measured = np.stack([(ahead - behind).sum(axis=1) / 2e-5 for ahead, behind in pairs], axis=1)
        says = f"{name}: dL/dz = {loss.formula}, beside central differences"
        checks.append(below(says, float(np.abs(measured - loss.slope(z, y)).max()), 1e-8))
    sure = np.array([[-10.0]])
    for name, expected in [("sigmoid, SSE", -9.0787e-5), ("sigmoid, cross-entropy", -0.9999546)]:
        value = float(LOSSES[name].slope(sure, np.ones((1, 1)))[0, 0])
        checks.append(close(f"{name}: dL/dz where it is sure and wrong, z = -10 and y = 1", value, expected, tolerance=1e-7))
    return checks


def check_regression(row: Row, fitted: Fitted, *, most: float) -> list[Check]:
    from sklearn.metrics import mean_squared_error

    seen, _ = split(len(row.x), 0)
    best, *_ = np.linalg.lstsq(row.x[seen], row.y[seen], rcond=None)
    reached, least = (rmse(row.x[seen] @ weights, row.y[seen]) for weights in (fitted.path[-1], best))
    mean = np.broadcast_to(row.y[seen].mean(axis=0), fitted.truth.shape)
    reference = float(np.sqrt(mean_squared_error(fitted.truth, fitted.predicted)))
    return [
        close("regression: RMSE beside scikit-learn's", rmse(fitted.predicted, fitted.truth), reference, tolerance=1e-12),
        between("regression: training RMSE as a multiple of the least-squares solution's", reached / least, 1, most),
        below("regression: RMSE, at most that of the mean picture", reference, rmse(mean, fitted.truth)),
    ]


def check_binary(first: Mapping[str, Fitted], *, fewest: float) -> list[Check]:
    from sklearn.metrics import roc_auc_score

    right, slide = first["binary"], first[SLIPS[0]]
    yes, n = int(right.truth.sum()), len(right.truth)
    called, collapsed = (int((fitted.predicted >= 0.5).sum()) for fitted in (right, slide))
    accuracy, of_slide = (labels_right(fitted.predicted, fitted.truth) for fitted in (right, slide))
    area = float(roc_auc_score(right.truth[:, 0], right.predicted[:, 0]))
    return [
        equal(f"the slide's loss: called positive, of {n} digits held out", collapsed, n),
        equal("the slide's loss: accuracy, the share of positives", of_slide, yes / n),
        between(f"the corrected loss: called positive, where {yes} are", called, fewest * yes, 2 * yes),
        between("the corrected loss: accuracy, at least that of always saying no", accuracy, 1 - yes / n),
        close("the corrected loss: AUC beside scikit-learn's", auc(right.predicted, right.truth), area, tolerance=1e-12),
    ]


def check_multiclass(first: Mapping[str, Fitted], *, least: float) -> list[Check]:
    right, slide = first["multiclass"], first[SLIPS[1]]
    accuracy = classes_right(right.predicted, right.truth)
    return [
        equal(
            "the slide's softmax: the negated weights, to the bit, after every step",
            bool((slide.path == -right.path).all()),
            True,
        ),
        equal("the slide's softmax: accuracy, beside the corrected one's", classes_right(slide.predicted, slide.truth), accuracy),
        between("softmax: accuracy", accuracy, least),
    ]


WRITTEN = {  # Y, score, prediction, loss
    "regression": ("R^K", "XW", "the score", "SSE"),
    "several 0/1 outputs, SSE": ("{0,1}^K", "sigmoid(XW)", "1 where at least .5", "SSE"),
    "several 0/1 outputs, BCE": ("{0,1}^K", "sigmoid(XW)", "1 where at least .5", "-y log p - (1 - y) log(1 - p), of each"),
    "binary": ("{0,1}", "sigmoid(XW) = P(y = 1 given x)", "a probability", "-y log p - (1 - y) log(1 - p)"),
    SLIPS[0]: ("{0,1}", "sigmoid(XW)", "a probability", "-y log p - (1 - y) log p"),
    "multiclass": ("one-hot", "exp(z_k) / sum exp(z_j), z = XW", "the largest", "-sum y_k log p_k"),
    SLIPS[1]: ("one-hot", "the same, of -XW", "the largest", "-sum y_k log p_k"),
}


def tabulate_sheet(rows: Mapping[str, Row], measured: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """measured: by row, split and measure."""
    cells = []
    for name, splits in measured.items():
        found = {measure: summarize(split[measure] for split in splits.values()) for measure in rows[name].measures}
        values = "; ".join(f"{measure} {of.mean:.3f} ± {of.std:.3f}" for measure, of in found.items())
        cells.append([name, *WRITTEN[name], rows[name].loss.formula, values])
    return new_table("cheat_sheet", "sheet", cells, held_out=HELD_OUT, splits=len(measured["binary"]))


def conclude_sheet(measured: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    means = {}
    for row, splits in measured.items():
        means[row] = {measure: summarize(split[measure] for split in splits.values()).mean for measure in splits["0"]}
    shown = {"binary": means["binary"], "slide": means[SLIPS[0]], "multiclass": means["multiclass"]}
    return conclude("cheat_sheet", "sheet", positive=POSITIVE, **shown)


def plot_losses(row: Row, first: Mapping[str, Fitted]) -> Figure:
    drawn = new_figure("cheat_sheet", "losses", 13.6, 4.1, positive=POSITIVE, held_out=HELD_OUT)
    losses, gradients, learned = add_panels(drawn, columns=3)
    z, one = np.linspace(-6, 6, 241)[:, None], np.ones((241, 1))
    bce, twice, squared = LOSSES["sigmoid, cross-entropy"], LOSSES["sigmoid, log p twice"], LOSSES["sigmoid, SSE"]
    losses.plot(z, bce.value(z, one), color=BLUE, label="y = 1: -log p")
    losses.plot(z, bce.value(z, 0 * one), color=INK, label="y = 0: -log(1 - p)")
    losses.plot(z, twice.value(z, 0 * one), color=ORANGE, linestyle=":", label="y = 0, the slide: -log p")
    losses.set(xlabel="score z", ylabel="loss", ylim=(0, 9))
    gradients.plot(z, bce.slope(z, one), color=BLUE, label="cross-entropy: p - y")
    gradients.plot(z, squared.slope(z, one), color=ORANGE, label="SSE: 2 (p - y) p (1 - p)")
    gradients.set(xlabel="score z", ylabel="dL/dz, for y = 1", ylim=(-1.05, 0.45))
    held_out = row.x[split(len(row.x), 0)[1]]
    for name, color, label in [("binary", BLUE, "the corrected loss"), (SLIPS[0], ORANGE, "the slide's loss")]:
        p, eights = sigmoid(held_out @ first[name].path[:, :, 0].T), first[name].truth[:, 0] == 1
        learned.plot(p[eights].mean(axis=0), color=color, label=label)
        learned.plot(p[~eights].mean(axis=0), color=color, linestyle=":")
    learned.set(xlabel="step", ylabel=f"mean p: {POSITIVE}s solid, others dotted", ylim=(0, 1.35), yticks=np.linspace(0, 1, 6))
    for axes in (losses, gradients, learned):
        axes.legend(fontsize=10, loc="upper left" if axes is gradients else "upper center")
    return drawn


def plot_templates(first: Mapping[str, Fitted]) -> Figure:
    drawn = new_figure("cheat_sheet", "templates", 13.0, 3.1)
    pair = {"exp(+XW)": first["multiclass"].path[-1], "exp(-XW)": first[SLIPS[1]].path[-1]}
    limit = max(float(np.abs(weights[1:]).max()) for weights in pair.values())
    panels = add_panels(drawn, rows=2, columns=10)
    for axes, (name, digit) in zip(panels, product(pair, range(10)), strict=True):
        image = show_image(axes, pair[name][1:, digit].reshape(8, 8), str(digit), limit=limit)
        if digit == 0:
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
    add_color_scale(drawn, image, panels, label="weight")
    return drawn
