"""Topic 11: edge filters written by hand, filters that are learned, and filters left as they were drawn, under the same head."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.lecture.context import Context, by_setting, part
from filterlab.lecture.plots import means_and_bars, new_figure, set_log_percent
from filterlab.lecture.result import Check, Result, Table, close, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, train_all
from filterlab.study.claims import Hypothesis, compare, count_verdicts
from filterlab.study.statistics import mean_interval
from filterlab.visualization.mosaic import mosaic
from filterlab.visualization.style import BLUE, MARGIN, MUTED, ORANGE, SIGNED, bare, color_scale, panel

EDGE = [[-1, 0, 1]] * 3
KINDS = ("engineered", "learned", "random")
PAIRS = (("learned", "engineered"), ("engineered", "random"))  # the first, it is claimed, beats the second
TOLD = {"engineered": "oriented edges", "learned": "after training", "random": "as drawn"}
COLORS = {"engineered": ORANGE, "learned": BLUE, "random": MUTED}
POOL, VALIDATION = 50_000, 2_000  # training images are drawn from the first of MNIST's, validation images follow them

Setting = tuple[str, int]  # kind, number of training images
Outcomes = Mapping[tuple[Setting, int], Outcome]  # by setting and seed
Scores = Mapping[Setting, Mapping[int, float]]


def compare_engineered_filters(context: Context) -> Result:
    sizes = context.budget(full={100: 40, 1000: 20, 5000: 10}, quick={100: 1, 200: 1})  # training images: epochs
    settings = [(kind, n) for n in sizes for kind in KINDS]
    seeds = range(context.budget(full=8, quick=2))
    jobs = {
        (setting, seed): filter_job(context, *setting, seed, epochs=sizes[setting[1]]) for setting in settings for seed in seeds
    }
    outcomes = train_all(context, jobs)
    accuracy, test, likeness = (
        by_setting({key: measure(own) for key, own in outcomes.items()})
        for measure in (
            lambda own: own.best("validation/accuracy"),
            lambda own: own.test_accuracy,
            lambda own: resemblance(kept(own)),
        )
    )
    hypotheses = judge_hypotheses(accuracy, likeness)
    return Result(
        checks=check_edges() + check_trainings(outcomes),
        figures={"filters": plot_filters(outcomes, n=max(sizes)), "accuracy": plot_accuracies(accuracy)},
        hypotheses=hypotheses,
        tables=[tabulate_accuracy(accuracy, test, likeness, epochs=sizes)],
        conclusion=conclude_accuracy(accuracy, hypotheses),
    )


def edges() -> NDArray[np.int64]:
    """(8, 3, 3): the lecture's filter and its ring of eight weights turned clockwise by 1 to 7 places."""
    ring = ([0, 0, 0, 1, 2, 2, 2, 1], [0, 1, 2, 2, 2, 1, 0, 0])  # rows and columns, clockwise from the upper left
    turned = np.zeros((8, 3, 3), np.int64)
    for step, weights in enumerate(turned):
        weights[ring] = np.roll(np.array(EDGE)[ring], step)
    return turned


def scaled_edges() -> NDArray[np.float32]:
    """(8, 1, 3, 3): `edges`, each with norm sqrt(2)."""
    whole = edges()[:, None]
    return (whole * np.sqrt(2 / (whole**2).sum(axis=(1, 2, 3), keepdims=True))).astype(np.float32)


def fix(network: Any) -> None:
    """The first convolution stays as it is."""
    network.conv1.requires_grad_(False)


def fix_edges(network: Any) -> None:
    """The first convolution gets the edge filters and keeps them."""
    import torch

    with torch.no_grad():
        network.conv1.weight.copy_(torch.from_numpy(scaled_edges()))
    fix(network)


CHANGES: dict[str, Callable[[Any], None] | None] = {"engineered": fix_edges, "learned": None, "random": fix}


def filter_job(context: Context, kind: str, n: int, seed: int, *, epochs: int) -> Job:
    """n training images drawn with `seed`, the same for each kind."""
    drawn = np.random.default_rng(seed).permutation(POOL)[:n]
    config = context.compose_training(
        "model=conv_net",
        "model.layers=[{filters: 8, kernel: 3, pool: 2}, {filters: 16, kernel: 3, pool: 2}]",
        "model.hidden=[]",
        "model.dropout=0",
        "optimizer.lr=0.003",
        "trainer.batch_size=50",
        epochs=epochs,
        seed=seed,
    )
    return Job(
        {"filters": kind, "images": n, "seed": seed},
        config,
        train=part(context.train, drawn),
        validation=part(context.train, slice(POOL, POOL + VALIDATION)),
        test=part(context.test, slice(context.budget(full=10_000, quick=500))),
        change=CHANGES[kind],
    )


def kept(outcome: Outcome) -> NDArray[np.float32]:
    """(8, 3, 3): the first layer's filters in the kept epoch."""
    return outcome.first_layers[outcome.best_epoch][:, 0]


def resemblance(filters: NDArray[np.floating]) -> float:
    """Mean over (K, 3, 3) filters of the cosine with the nearest edge filter, in [0, 1]."""
    given, known = filters.reshape(-1, 9), scaled_edges().reshape(8, 9) / np.sqrt(2)
    cosines = given @ known.T / np.linalg.norm(given, axis=1, keepdims=True)
    return float(cosines.max(axis=1).mean())


def check_edges() -> list[Check]:
    whole = edges()
    norms = np.linalg.norm(scaled_edges().reshape(8, 9), axis=1)
    return [
        equal("the first edge filter is the lecture's", whole[0].tolist(), EDGE),
        equal("turned by two places it is turned by 90 degrees", whole[2].tolist(), np.rot90(whole[0], -1).tolist()),
        equal("turned by four it is its negative, and so is each of the next three", whole[4:].tolist(), (-whole[:4]).tolist()),
        equal("sums of the eight filters: even gray gives nothing", whole.sum(axis=(1, 2)).tolist(), [0] * 8),
        equal("linearly independent filters among the eight", int(np.linalg.matrix_rank(whole.reshape(8, 9))), 4),
        close("their norms as they are used", norms.tolist(), [round(2**0.5, 6)] * 8, tolerance=1e-6),
    ]


def check_trainings(outcomes: Outcomes) -> list[Check]:
    """Fixed is fixed to the last bit, learned is learned, and the three are otherwise the same."""
    of = {kind: [outcome for (setting, _), outcome in outcomes.items() if setting[0] == kind] for kind in KINDS}
    fixed, n = of["engineered"] + of["random"], len(of["learned"])
    pairs = zip(of["learned"], of["random"], strict=True)
    found = [
        equal(
            f"values of the engineered first layers that are not the edge filters', in any epoch of {n} trainings",
            sum(int((own.first_layers != scaled_edges()).sum()) for own in of["engineered"]),
            0,
        ),
        equal(
            f"weights of fixed filters that changed, in any epoch of {2 * n} trainings",
            sum(int((own.first_layers != own.first_layers[0]).sum()) for own in fixed),
            0,
        ),
        equal("their biases that are not 0", sum(int((own.network.conv1.bias != 0).sum()) for own in fixed), 0),
        equal(
            f"learned filters that changed, of 8 in each of {n} trainings",
            sum(int((kept(own) != own.first_layers[0][:, 0]).any(axis=(1, 2)).sum()) for own in of["learned"]),
            8 * n,
        ),
        equal(
            f"trainings, of {n}, whose learned filters start as the random ones of their seed",
            sum(np.array_equal(learned.first_layers[0], random.first_layers[0]) for learned, random in pairs),
            n,
        ),
    ]
    for kind, first in (("engineered", 0), ("learned", 8 * 9 + 8), ("random", 0)):
        numbers = [p.numel() for p in of[kind][0].network.parameters() if p.requires_grad]
        found.append(equal(f"trained parameters with {kind} filters", sum(numbers), first + 16 * (8 * 9 + 1) + 10 * (400 + 1)))
    return found


def judge_hypotheses(accuracy: Scores, likeness: Scores) -> list[Hypothesis]:
    sizes = sorted({n for _, n in accuracy})
    few, many = sizes[0], sizes[-1]
    rows = [
        (f"{better} filters beat {worse} ones, {n:,} training images", accuracy[better, n], accuracy[worse, n])
        for better, worse in PAIRS
        for n in sizes
    ]
    lead = {n: {seed: own - accuracy["engineered", n][seed] for seed, own in accuracy["learned", n].items()} for n in sizes}
    rows.append((f"learned filters lead engineered ones by more with {many:,} images than with {few:,}", lead[many], lead[few]))
    turned = f"learning turns random filters toward the edge filters, {many:,} training images"
    return [
        *(compare(claim, larger, smaller, unit="points of validation accuracy", scale=100) for claim, larger, smaller in rows),
        compare(turned, likeness["learned", many], likeness["random", many], unit="of cosine"),
    ]


def tabulate_accuracy(accuracy: Scores, test: Scores, likeness: Scores, *, epochs: Mapping[int, int]) -> Table:
    measured = [(accuracy, ".2%"), (test, ".2%"), (likeness, ".3f")]
    rows = [
        [f"{n:,}", str(epochs[n]), kind, *(mean_interval(found[kind, n].values(), form) for found, form in measured)]
        for kind, n in accuracy
    ]
    return new_table("engineered", "accuracy", rows, seeds=len(accuracy["learned", max(epochs)]))


def conclude_accuracy(accuracy: Scores, hypotheses: Sequence[Hypothesis]) -> str:
    n = max(size for _, size in accuracy)
    means = ", ".join(f"{kind} {np.mean(list(accuracy[kind, n].values())):.2%}" for kind in KINDS)
    return conclude("engineered", "accuracy", images=n, means=means, verdicts=count_verdicts(hypotheses))


def plot_filters(outcomes: Outcomes, *, n: int) -> Figure:
    shown = {kind: kept(outcomes[(kind, n), 0]) for kind in KINDS}
    limit = max(float(np.abs(own).max()) for own in shown.values())
    drawn = new_figure("engineered", "filters", 12.9, 2.35, images=n)
    for place, (kind, own) in enumerate(shown.items()):
        axes = panel(drawn, left=MARGIN + place * 3.75, bottom=0.3, width=3.4, height=1.68)
        bare(axes)
        laid = mosaic(own, columns=4)
        image = axes.imshow(laid.pixels, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(f"{kind}: {TOLD[kind]}")
    color_scale(drawn, image, left=MARGIN + 11.2, bottom=0.3, height=1.68, label="weight")
    return drawn


def plot_accuracies(accuracy: Scores) -> Figure:
    sizes = sorted({n for _, n in accuracy})
    drawn = new_figure("engineered", "accuracy", 8.5, 4.2, validation=VALIDATION, seeds=len(accuracy["learned", sizes[0]]))
    axes = panel(drawn, left=MARGIN + 0.5, bottom=0.7, width=7.0, height=3.4)
    for shift, kind in zip((-0.08, 0, 0.08), KINDS, strict=True):
        means, ends = means_and_bars([[100 * (1 - share) for share in accuracy[kind, n].values()] for n in sizes])
        places = np.arange(len(sizes)) + shift
        axes.errorbar(places, means, ends, label=kind, color=COLORS[kind], linewidth=1.8, marker="o", markersize=5, capsize=4)
    set_log_percent(axes)
    axes.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
    axes.set(xlabel="training images", ylabel="validation error (%)")
    axes.legend(loc="upper right")
    return drawn
