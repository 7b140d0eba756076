"""The lecture's question of 2021: 200 images, 45 wrong labels. Do an L1 penalty, dropout or batch norm help?"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from filterlab.data.arrays import LabelledImages
from filterlab.lecture.context import Context, by_setting, part
from filterlab.lecture.plots import new_figure
from filterlab.lecture.result import Check, Result, Table, below, between, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, train_all
from filterlab.study.claims import Hypothesis, compare
from filterlab.study.statistics import mean_interval, summarize
from filterlab.visualization.style import BLUE, INK, MARGIN, MUTED, ORANGE, panel

if TYPE_CHECKING:
    from torch import nn

IMAGES, WRONG, VALIDATION = 200, 45, 500
POOL = 50_000  # the first of MNIST's training images, from which those that train are drawn; those behind it validate
STRENGTH, DROPOUT = 1e-3, 0.5
COLORS = {"plain": INK, "L1": BLUE, "dropout": ORANGE, "batch norm": "#009e73"}
Outcomes = dict[str, dict[int, Outcome]]  # by name of the setting and seed
Drawn = Mapping[int, tuple[LabelledImages, LabelledImages]]  # by seed: with true labels, with noisy ones


def draw_labels(pool: LabelledImages, *, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """200 images with their true labels, and the same with 45 labels replaced by one of the nine others, each as likely."""
    drawn = np.random.default_rng(seed)
    true = part(pool, drawn.choice(len(pool), IMAGES, replace=False))
    labels = true.labels.copy()
    changed = drawn.choice(IMAGES, WRONG, replace=False)
    labels[changed] = (labels[changed] + drawn.integers(1, 10, WRONG)) % 10
    return true, LabelledImages(images=true.images, labels=labels)


def l1(network: "nn.Module") -> None:
    """Add the gradient of STRENGTH * sum |w| to that of the loss, for every weight; biases and batch norm's scales stay free."""
    for weight in network.parameters():
        if weight.ndim > 1:
            weight.register_hook(lambda gradient, weight=weight: gradient + STRENGTH * weight.detach().sign())


def noisy_job(
    context: Context, name: str, *, seed: int, train: LabelledImages, validation: LabelledImages, test: LabelledImages
) -> Job:
    """Two convolutions of 8 and 16 filters of 5x5, a dense layer of 64; the settings differ in what their name says alone."""
    layers = [f"{{filters: {number}, kernel: 5, pool: 2, batch_norm: {name == 'batch norm'}}}" for number in (8, 16)]
    epochs = context.budget(full=40, quick=3)
    config = context.compose(
        "experiment=tutorial",
        "model=conv_net",
        f"model.layers=[{', '.join(layers)}]",
        "model.hidden=[64]",
        f"model.dropout={DROPOUT if name == 'dropout' else 0.0}",
        f"trainer.max_epochs={epochs}",
        f"trainer.patience={epochs}",
        f"seed={seed}",
    )
    params = {"part": "noisy labels", "setting": name, "seed": seed}
    return Job(params, config, train, validation, test, change=l1 if name == "L1" else None)


def compare_remedies(context: Context) -> Result:
    pool, validation = part(context.train, slice(POOL)), part(context.train, slice(POOL, POOL + VALIDATION))
    test = part(context.test, slice(context.budget(full=None, quick=500)))
    drawn = {seed: draw_labels(pool, seed=seed) for seed in range(context.budget(full=10, quick=2))}
    jobs = {
        (name, seed): noisy_job(context, name, seed=seed, train=noisy, validation=validation, test=test)
        for name in COLORS
        for seed, (_, noisy) in drawn.items()
    }
    outcomes = by_setting(train_all(context, jobs))
    claims = judge_hypotheses(outcomes)
    verdicts = "; ".join(f"{claim.claim}: {claim.verdict} ({claim.difference:+.1f} points)" for claim in claims)
    return Result(
        checks=check_draws(context, drawn, outcomes["plain"]),
        figures={"noisy_labels": plot_noisy_labels(outcomes, lowest=context.budget(full=0.4, quick=0.0))},
        hypotheses=claims,
        tables=[tabulate_remedies(outcomes, drawn)],
        conclusion=conclude("algorithm", "noisy_labels", wrong=WRONG, images=IMAGES, verdicts=verdicts),
    )


def check_draws(context: Context, drawn: Drawn, plain: Mapping[int, Outcome]) -> list[Check]:
    changed = [int((true.labels != noisy.labels).sum()) for true, noisy in drawn.values()]
    made = [
        equal("images of each seed", [len(noisy) for _, noisy in drawn.values()], [IMAGES] * len(drawn)),
        equal("wrong labels of each seed", changed, [WRONG] * len(drawn)),
        below("largest difference of the L1 hook's gradient from that of loss + penalty", penalty_error(), 1e-6),
    ]
    if not context.quick:
        learned = float(np.mean([outcome.curves["train/accuracy"][-1] for outcome in plain.values()]))
        made.append(
            between("plain: share of the training labels, wrong ones included, that the last epoch has right", learned, 0.9)
        )
    return made


def penalty_error() -> float:
    """The gradient that `l1` makes, beside automatic differentiation of the loss and STRENGTH * sum |w| together."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    draw = torch.Generator().manual_seed(0)
    layer = nn.Linear(6, 3, bias=False)
    nn.init.normal_(layer.weight, generator=draw)
    inputs, labels = torch.randn(5, 6, generator=draw), torch.tensor([0, 1, 2, 0, 1])
    penalized = F.cross_entropy(layer(inputs), labels) + STRENGTH * layer.weight.abs().sum()
    (expected,) = torch.autograd.grad(penalized, layer.weight)
    l1(layer)
    (given,) = torch.autograd.grad(F.cross_entropy(layer(inputs), labels), layer.weight)
    return float((given - expected).abs().max())


def judge_hypotheses(outcomes: Outcomes) -> list[Hypothesis]:
    """Each remedy against plain: with the epoch that clean validation chooses, and where nothing stops the training."""
    measures: list[tuple[str, str, Callable[[Outcome], float]]] = [
        ("at the chosen epoch", "points of test accuracy", lambda own: own.test_accuracy),
        ("after the last epoch", "points of validation accuracy", lambda own: own.curves["validation/accuracy"][-1]),
    ]
    claims = []
    for when, unit, measure in measures:
        found = {name: {seed: measure(own) for seed, own in seeds.items()} for name, seeds in outcomes.items()}
        plain = found.pop("plain")
        claims += [compare(f"{name} beats plain {when}", found[name], plain, unit=unit, scale=100) for name in found]
    return claims


def tabulate_remedies(outcomes: Outcomes, drawn: Drawn) -> Table:
    rows = []
    for name, given in outcomes.items():
        repeated = [parroted(outcome, *drawn[seed]) for seed, outcome in given.items()]
        last = [[outcome.curves[f"{of}/accuracy"][-1] for outcome in given.values()] for of in ("validation", "train")]
        rows.append(
            [
                name,
                f"{np.mean([outcome.best_epoch for outcome in given.values()]):.1f}",
                mean_interval([outcome.test_accuracy for outcome in given.values()], ".1f", scale=100),
                mean_interval(repeated, ".1f"),
                *(mean_interval(values, ".1f", scale=100) for values in last),
            ]
        )
    return new_table("algorithm", "noisy_labels", rows, images=IMAGES, wrong=WRONG, seeds=len(drawn))


def parroted(outcome: Outcome, true: LabelledImages, noisy: LabelledImages) -> int:
    """How many of the wrong labels the chosen epoch's network gives back."""
    from filterlab.evaluation.predict import predict

    wrong = np.flatnonzero(true.labels != noisy.labels)
    return int((predict(outcome.predictor, noisy.images[wrong]).argmax(axis=1) == noisy.labels[wrong]).sum())


def plot_noisy_labels(outcomes: Outcomes, *, lowest: float) -> Figure:
    """lowest: where the scale of validation accuracy begins, whose first epochs would press the others together."""
    drawn = new_figure("algorithm", "noisy_labels", 11.5, 4.4, images=IMAGES, wrong=WRONG, seeds=len(outcomes["plain"]))
    for place, (curve, unit, limits) in enumerate(
        [
            ("train/accuracy", "training labels it has right", (0, 1.02)),
            ("validation/accuracy", "validation accuracy, clean labels", (lowest, 0.85)),
        ]
    ):
        axes = panel(drawn, left=MARGIN + 0.6 + place * 5.6, bottom=0.75, width=4.6, height=3.2)
        for name, given in outcomes.items():
            by_epoch = [summarize(values) for values in zip(*(outcome.curves[curve] for outcome in given.values()), strict=True)]
            epochs = range(1, len(by_epoch) + 1)
            axes.plot(epochs, [found.mean for found in by_epoch], color=COLORS[name], label=name)
            low, high = ([getattr(found, end) for found in by_epoch] for end in ("low", "high"))
            axes.fill_between(epochs, low, high, color=COLORS[name], alpha=0.13, linewidth=0)
        axes.set(xlabel="epoch", ylabel=unit, ylim=limits)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(loc="lower right")
        if place == 0:
            true = 1 - WRONG / IMAGES
            axes.axhline(true, color=MUTED, linewidth=1.2, linestyle=":")
            axes.text(0, true + 0.015, f"{IMAGES - WRONG} true ones", color=MUTED)
    return drawn
