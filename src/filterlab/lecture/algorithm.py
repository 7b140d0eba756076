"""Topic 8: the loop that all learning here is made of, and the exercise of the lecture, which runs it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filterlab.data.arrays import LabelledImages
from filterlab.evaluation.metrics import log_softmax
from filterlab.lecture import noisy_labels, tutorial, variants
from filterlab.lecture.lab import Lab
from filterlab.lecture.topic import Findings, Formula, Page, Shown, below, between, close, equal
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet

PAGE = Page(
    says="""\
Learning is one loop. Forward: compute the outputs and the loss. Backward: compute the derivative of the loss by every weight.
Update: move every weight a little against its derivative. Repeat, and stop when the error on images held out for validation has
reached its minimum.

Nobody knows that a minimum was the last one before having passed it. So the loop goes on for some more epochs, the patience,
stops when none of them was better, and goes back to the weights of the best one. The first figure shows this loop written out
for softmax regression on 100 digits, where the validation loss turns although the training loss keeps falling.

The exercise of the lecture runs the same loop on a small convolutional network: the first 5000 images of MNIST, the last fifth
of them for validation, Adam, batches of 32, at most 50 epochs, patience 5. It is trained here from several seeds, because one
run can't say how much of its result is luck. The confusion matrix, the surest mistakes and all pictures of filters show the
weights of the best epoch, seed 0; the exercise's own plots showed the last epoch's, which are five epochs past the best.

Then come its questions. What do 8, 16 or 32 filters of 3x3, 9x9 or 16x16 pixels in the first layer change? (The number holds
for both convolutions, the size for the first alone; the same grid is a sweep of this project, `filterlab train -m
experiment=filters`.)

How few filters do for ten digits? The rule, stated before any training: as good as 32 filters is the smallest number from which
on the mean test accuracy is never more than half a point below that of 32; and a network tells all ten digits apart where the
recall of every digit is above .9, in every seed.

What helps against wrong labels? 200 images, of which 45 get a wrong label, drawn evenly from the nine others; a plain network
against the same one with an L1 penalty (.001 for each unit of absolute weight), with dropout (half of the units before the last
layer), and with batch norm (after both convolutions). Each seed draws its own images and its own wrong labels, the same for all
four. 500 clean validation images choose the epoch; all train for 40 epochs, in which the plain network learns most of the wrong
labels by heart.""",
    formulas=[
        Formula(
            r"w \leftarrow w - \eta\, \frac{\partial L}{\partial w}",
            "gradient descent; Rumelhart, Hinton, Williams 1986, equation 8",
        ),
        Formula(
            r"E_{\text{validation}}(t^{*}) = \min_{t} E_{\text{validation}}(t), \qquad \text{stop at } t^{*} + p",
            "early stopping with patience p; Goodfellow, Bengio, Courville 2016, algorithm 7.1",
        ),
        Formula(
            r"P(F, k) = (k^2 + 1)\,F + (9 F + 1)\,F + (F m^2 + 1) \cdot 32 + 330, \qquad m = \lfloor (27 - k) / 2 \rfloor",
            "parameters of the exercise's network with F filters, the first layer's of k x k pixels, counted layer by layer",
        ),
        Formula(
            r"w \sim U(-a, a), \qquad a = \sqrt{\frac{6}{n_{\text{in}} + n_{\text{out}}}}",
            "Keras's initial weights, and ours here; Glorot, Bengio 2010, equation 16",
        ),
        Formula(
            r"\frac{\partial}{\partial w_i} \left(L + \lambda \sum_j |w_j|\right) = "
            r"\frac{\partial L}{\partial w_i} + \lambda\, \text{sign}(w_i)",
            "the L1 penalty; Tibshirani 1996",
        ),
    ],
    correction="""\
The slide's update is "add in derivatives". Added as they are, they make the loss larger: the derivative points uphill. Each
weight moves against it, by a step that the learning rate scales, w - eta dL/dw. And the later years of the exercise chose the
epoch on the test set, whose accuracy then is no estimate for new digits any more; here the test set is only measured on.""",
)
IMAGES, RATE, PATIENCE, MOST = 100, 0.2, 5, 200  # of the loop by hand


def run(lab: Lab) -> Findings:
    data = tutorial.data(lab)
    trained = tutorial.train(lab, data, variants.seeds(lab))
    return joined(
        [
            by_hand(data.train, data.validation),
            tutorial.study(lab, data, trained[tutorial.EXERCISE]),
            variants.study(lab, trained),
            noisy_labels.study(lab),
        ]
    )


def joined(parts: Sequence[Findings]) -> Findings:
    """One after the other."""
    return Findings(
        checks=[check for part in parts for check in part.checks],
        figures={name: shown for part in parts for name, shown in part.figures.items()},
        hypotheses=[claim for part in parts for claim in part.hypotheses],
        tables=[table for part in parts for table in part.tables],
        conclusion=" ".join(part.conclusion for part in parts if part.conclusion),
        costs=[table for part in parts for table in part.costs],
    )


@dataclass(frozen=True)
class Learned:
    """What the loop leaves: weights (D, K) of the best epoch, which counts from 1, and the losses after each epoch, in nats."""

    weights: NDArray[np.float64]
    best_epoch: int
    training: list[float]
    validation: list[float]


Examples = tuple[NDArray[np.float64], NDArray[np.float64]]  # inputs (N, D) with a column of ones, one-hot labels (N, K)


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


def loss(weights: NDArray[np.float64], examples: Examples) -> float:
    """Mean cross-entropy, in nats."""
    inputs, labels = examples
    return float(-(labels * log_softmax(inputs @ weights)).sum(axis=1).mean())


def gradient(weights: NDArray[np.float64], examples: Examples) -> NDArray[np.float64]:
    """(D, K): dL/dW = X^T (p - y) / N, since dL/dz = p - y (Bishop 2006, equation 4.109)."""
    inputs, labels = examples
    return inputs.T @ (np.exp(log_softmax(inputs @ weights)) - labels) / len(inputs)


def examples(images: LabelledImages) -> Examples:
    """Pixels / 255 and a one; ten classes."""
    pixels = images.images.reshape(len(images), -1) / 255
    return np.hstack([pixels, np.ones((len(images), 1))]), np.eye(10)[images.labels]


def by_hand(train: LabelledImages, validation: LabelledImages) -> Findings:
    few, held_out = examples(tutorial.part(train, slice(IMAGES))), examples(validation)
    learned = learn(few, held_out, rate=RATE, patience=PATIENCE, most=MOST)
    unstopped = learn(few, held_out, rate=RATE, patience=MOST, most=MOST)
    start = np.zeros_like(learned.weights)
    step = RATE * gradient(start, few)
    before = loss(start, few)
    lowest = min(learned.validation)
    return Findings(
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
        figures={"by_hand": figure(learned, unstopped, validation=len(validation))},
        conclusion=f"The loop by hand was best after step {learned.best_epoch} and stopped at {len(learned.validation)}; "
        f"going on to {MOST} would have raised the validation loss from {lowest:.3f} to {unstopped.validation[-1]:.3f}.",
    )


def figure(learned: Learned, unstopped: Learned, *, validation: int) -> Shown:
    stopped = len(learned.validation)
    drawn = sheet(
        "The loop, and where it stops",
        caption=f"Softmax regression on {IMAGES} digits, learning rate {RATE:g}; {validation:,} other digits validate",
        width=8.6,
        height=4.2,
    )
    axes = panel(drawn, left=MARGIN + 0.6, bottom=0.75, width=6.3, height=3.2)
    steps = np.arange(1, MOST + 1)
    for name, curve, color, style in [
        ("training", unstopped.training, ORANGE, "--"),
        ("validation", unstopped.validation, BLUE, "-"),
    ]:
        axes.plot(steps[stopped - 1 :], curve[stopped - 1 :], color=color, linestyle=style, linewidth=2, alpha=0.35)
        axes.plot(steps[:stopped], curve[:stopped], color=color, linestyle=style, linewidth=2)
        axes.text(MOST + 3, curve[-1], name, fontsize=11, color=color, va="center")
    axes.plot(learned.best_epoch, min(learned.validation), "o", color=BLUE, markersize=8)
    for step, word, side in [(learned.best_epoch, "best, kept ", "right"), (stopped, " stop", "left")]:
        axes.axvline(step, color=MUTED, linewidth=1, linestyle=":")
        axes.text(step, 1.01, word, transform=axes.get_xaxis_transform(), ha=side, fontsize=10, color=MUTED)
    axes.set_xlabel("step", fontsize=11, color=INK)
    axes.set_ylabel("loss (cross-entropy, nats)", fontsize=11, color=INK)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return Shown(
        drawn,
        "Training loss falls at every step. Validation loss turns, and the loop notices it five steps later. Pale: what "
        "would have followed without stopping.",
    )
