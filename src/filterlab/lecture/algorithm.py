"""Topic 8: the loop that all learning here is made of, and the exercise of the lecture, which runs it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from filterlab.data.arrays import LabelledImages
from filterlab.evaluation.metrics import log_softmax
from filterlab.lecture import noisy_labels, tutorial, variants
from filterlab.lecture.context import Context
from filterlab.lecture.plots import new_figure
from filterlab.lecture.result import Floats, Result, below, between, close, conclude, equal
from filterlab.visualization.style import BLUE, MARGIN, MUTED, ORANGE, panel

IMAGES, RATE, PATIENCE, MOST = 100, 0.2, 5, 200  # of the loop by hand


def work_through_exercise(context: Context) -> Result:
    data = tutorial.data(context)
    trained = tutorial.train_settings(context, data, variants.seeds(context))
    return join_results(
        [
            train_by_hand(data.train, data.validation),
            tutorial.examine_exercise(context, data, trained[tutorial.EXERCISE]),
            variants.compare_variants(context, trained),
            noisy_labels.compare_remedies(context),
        ]
    )


def join_results(parts: Sequence[Result]) -> Result:
    """One after the other."""
    return Result(
        checks=[check for part in parts for check in part.checks],
        figures={name: shown for part in parts for name, shown in part.figures.items()},
        hypotheses=[claim for part in parts for claim in part.hypotheses],
        tables=[table for part in parts for table in part.tables],
        conclusion=" ".join(part.conclusion for part in parts if part.conclusion),
        play=next((part.play for part in parts if part.play), {}),
        costs=[table for part in parts for table in part.costs],
    )


@dataclass(frozen=True)
class Learned:
    """What the loop leaves: weights (D, K) of the best epoch, which counts from 1, and the losses after each epoch, in nats."""

    weights: Floats
    best_epoch: int
    training: list[float]
    validation: list[float]


Examples = tuple[Floats, Floats]  # inputs (N, D) with a column of ones, one-hot labels (N, K)


def learn(train: Examples, validation: Examples, *, rate: float, patience: int, most: int) -> Learned:
    """Softmax regression by gradient descent from zero weights, all examples in one batch, so that an epoch is one step.

    Stops `patience` epochs after the best validation loss, or after `most`.
    """
    inputs, labels = train
    weights = kept = np.zeros((inputs.shape[1], labels.shape[1]))
    training: list[float] = []
    of_validation: list[float] = []
    best_epoch = 0
    while len(training) < most and len(training) - best_epoch < patience:
        weights = weights - rate * gradient(weights, train)
        training.append(loss(weights, train))
        of_validation.append(loss(weights, validation))
        if of_validation[-1] == min(of_validation):
            kept, best_epoch = weights, len(training)
    return Learned(kept, best_epoch, training, of_validation)


def loss(weights: Floats, examples: Examples) -> float:
    """Mean cross-entropy, in nats."""
    inputs, labels = examples
    return float(-(labels * log_softmax(inputs @ weights)).sum(axis=1).mean())


def gradient(weights: Floats, examples: Examples) -> Floats:
    """(D, K): dL/dW = X^T (p - y) / N, since dL/dz = p - y (Bishop 2006, equation 4.109)."""
    inputs, labels = examples
    return inputs.T @ (np.exp(log_softmax(inputs @ weights)) - labels) / len(inputs)


def examples(images: LabelledImages) -> Examples:
    """Pixels / 255 and a one; ten classes."""
    pixels = images.images.reshape(len(images), -1) / 255
    return np.hstack([pixels, np.ones((len(images), 1))]), np.eye(10)[images.labels]


def train_by_hand(train: LabelledImages, validation: LabelledImages) -> Result:
    few, held_out = examples(tutorial.part(train, slice(IMAGES))), examples(validation)
    learned = learn(few, held_out, rate=RATE, patience=PATIENCE, most=MOST)
    unstopped = learn(few, held_out, rate=RATE, patience=MOST, most=MOST)
    start = np.zeros_like(learned.weights)
    step = RATE * gradient(start, few)
    before = loss(start, few)
    lowest = min(learned.validation)
    steps = {"best": learned.best_epoch, "stopped": len(learned.validation), "most": MOST}
    return Result(
        checks=[
            close("loss before the first step is that of guessing, log 10", before, round(float(np.log(10)), 6), tolerance=1e-6),
            below("change of the loss by a step against the derivative", loss(start - step, few) - before, 0),
            between("change of the loss by adding the derivative, the slide's step", loss(start + step, few) - before, 0),
            equal("by hand: stopped at the best epoch + patience", len(learned.validation), learned.best_epoch + PATIENCE),
            close(
                "by hand: validation loss of the restored weights is the best epoch's",
                loss(learned.weights, held_out),
                round(lowest, 12),
                tolerance=1e-12,
            ),
        ],
        figures={"by_hand": plot_loop(learned, unstopped, validation=len(validation))},
        conclusion=conclude("algorithm", "by_hand", **steps, lowest=lowest, last=unstopped.validation[-1]),
    )


def plot_loop(learned: Learned, unstopped: Learned, *, validation: int) -> Figure:
    stopped = len(learned.validation)
    drawn = new_figure("algorithm", "by_hand", 8.6, 4.2, images=IMAGES, rate=RATE, validation=validation)
    axes = panel(drawn, left=MARGIN + 0.6, bottom=0.75, width=6.3, height=3.2)
    steps = np.arange(1, MOST + 1)
    for name, curve, color, style in [
        ("training", unstopped.training, ORANGE, "--"),
        ("validation", unstopped.validation, BLUE, "-"),
    ]:
        axes.plot(steps[stopped - 1 :], curve[stopped - 1 :], color=color, linestyle=style, alpha=0.35)
        axes.plot(steps[:stopped], curve[:stopped], color=color, linestyle=style)
        axes.text(MOST + 3, curve[-1], name, fontsize=11, color=color, va="center")
    axes.plot(learned.best_epoch, min(learned.validation), "o", color=BLUE, markersize=8)
    for step, word, side in [(learned.best_epoch, "best, kept ", "right"), (stopped, " stop", "left")]:
        axes.axvline(step, color=MUTED, linewidth=1, linestyle=":")
        axes.text(step, 1.01, word, transform=axes.get_xaxis_transform(), ha=side, color=MUTED)
    axes.set(xlabel="step", ylabel="loss (cross-entropy, nats)")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return drawn
