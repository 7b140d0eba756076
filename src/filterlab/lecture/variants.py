"""What the exercise asks to try: nine numbers and sizes of filters, and how few filters do for ten digits."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from filterlab.evaluation.metrics import class_scores, confusion_matrix
from filterlab.lecture.context import Context
from filterlab.lecture.plots import new_figure
from filterlab.lecture.result import Check, Result, Table, conclude, equal, new_table
from filterlab.lecture.trainings import Outcome
from filterlab.lecture.tutorial import EXERCISE, IMAGE, Setting, Trained, config
from filterlab.models import shapes
from filterlab.study import setting_filters
from filterlab.study.claims import Hypothesis, compare
from filterlab.study.statistics import mean_interval, paired, summarize, write_interval
from filterlab.visualization.style import BLUE, MARGIN, MUTED, ORANGE, panel

FILTERS, KERNELS = (8, 16, 32), (3, 9, 16)
PARAMETERS = [[37_890, 22_338, 9_402], [76_570, 45_466, 19_594], [157_386, 95_178, 43_434]]  # FILTERS down, KERNELS across
NUMBERS = (1, 2, 3, 4, 6, 8, 16, 32)  # of filters, to find the fewest
SLACK = 0.005  # "as good as 32 filters" is at most this much below their mean test accuracy
RECALL = 0.9  # "tells all ten digits apart" is more than this for every digit, in every seed

Fewest = dict[int, dict[int, Outcome]]  # by number of filters, in ascending order, and seed


def seeds(context: Context) -> dict[Setting, Sequence[int]]:
    """The trainings needed: 3x3 filters from three seeds, larger ones from two, the exercise itself from five."""
    numbers = context.budget(full=NUMBERS, quick=(1, 8, 32))
    larger = context.budget(
        full=[Setting(number, kernel) for number in FILTERS for kernel in KERNELS[1:]], quick=[Setting(8, 16)]
    )
    chosen: dict[Setting, Sequence[int]] = {Setting(number, 3): range(context.budget(full=3, quick=2)) for number in numbers}
    return chosen | {setting: range(2) for setting in larger} | {EXERCISE: range(context.budget(full=5, quick=2))}


def compare_variants(context: Context, trained: Trained) -> Result:
    nine = {setting: trained[setting] for setting in sorted(trained) if setting.filters in FILTERS}
    common = trained[Setting(1, 3)].keys()
    fewest = {
        setting.filters: {seed: trained[setting][seed] for seed in common} for setting in sorted(trained) if setting.kernel == 3
    }
    claims = judge_hypotheses(nine)
    verdicts = [f"{claim.claim}: {claim.verdict} ({claim.difference:+.2f} points)." for claim in claims]
    return Result(
        checks=[check_parameters(context)],
        figures={"variants": plot_variants(nine), "fewest": plot_fewest(fewest)},
        hypotheses=claims,
        tables=[table_of_nine(context, nine), table_of_fewest(fewest)],
        conclusion=" ".join([*verdicts, answer(fewest)]),
        costs=[seconds(trained)],
    )


def check_parameters(context: Context) -> Check:
    from filterlab.models import registry

    networks = [[registry.build(config(context, Setting(n, k), seed=0).model, **IMAGE, seed=0) for k in KERNELS] for n in FILTERS]
    counts = [[sum(weights.numel() for weights in network.parameters()) for network in row] for row in networks]
    return equal("parameters with 8, 16, 32 filters (rows) of 3x3, 9x9, 16x16 (columns)", counts, PARAMETERS)


def judge_hypotheses(nine: Trained) -> list[Hypothesis]:
    """Of each pair one training has one choice, one the other; the rest and the seed they share."""
    accuracy = {(setting, seed): given.test_accuracy for setting, seeds in nine.items() for seed, given in seeds.items()}

    def of_kernel(side: int) -> dict[str, float]:
        return {f"{s.filters} filters, seed {seed}": right for (s, seed), right in accuracy.items() if s.kernel == side}

    def of_filters(number: int) -> dict[str, float]:
        return {f"side {s.kernel}, seed {seed}": right for (s, seed), right in accuracy.items() if s.filters == number}

    unit = "points of test accuracy, {} and seed equal"
    larger = sorted({setting.kernel for setting in nine} - {3})
    sizes = [(f"3x3 filters beat {side}x{side}", of_kernel(3), of_kernel(side), unit.format("number")) for side in larger]
    rows = [*sizes, ("32 filters beat 8", of_filters(32), of_filters(8), unit.format("size"))]
    return [compare(claim, better, worse, unit=unit, scale=100) for claim, better, worse, unit in rows]


def best_validation(outcomes: Mapping[int, Outcome]) -> list[float]:
    return [outcome.best("validation/accuracy") for outcome in outcomes.values()]


def test_accuracy(outcomes: Mapping[int, Outcome]) -> list[float]:
    return [outcome.test_accuracy for outcome in outcomes.values()]


def table_of_nine(context: Context, nine: Trained) -> Table:
    counts = {s: shapes.parameter_count(shapes.layers(config(context, s, seed=0).model, **IMAGE)) for s in nine}
    rows = []
    for setting, outcomes in nine.items():
        epoch = np.mean([outcome.best_epoch for outcome in outcomes.values()])
        right = [
            mean_interval(best_validation(outcomes), ".1f", scale=100),
            mean_interval(test_accuracy(outcomes), ".2f", scale=100),
        ]
        rows.append([*setting.cells, f"{counts[setting]:,}", str(len(outcomes)), f"{epoch:.1f}", *right])
    return new_table("algorithm", "variants", rows)


def plot_variants(nine: Trained) -> Figure:
    """Ordered by validation, and of each setting the seed that validation prefers."""
    rows = []
    for setting, outcomes in sorted(nine.items(), key=lambda entry: -summarize(best_validation(entry[1])).mean):
        best = max(outcomes.values(), key=lambda outcome: outcome.best("validation/accuracy"))
        name = " of ".join(setting.cells)
        rows.append((name, f"validation {summarize(best_validation(outcomes)).mean:.1%}", best.first_layers[best.best_epoch]))
    return setting_filters.draw_filters(
        rows, heading="filters", image_shape=(1, 28, 28), total=len(rows), subject="The nine variants"
    )


def recalls(outcome: Outcome) -> np.ndarray:
    """(10,): share of each digit's test images that is found."""
    assert outcome.logits is not None and outcome.test_labels is not None
    return class_scores(confusion_matrix(outcome.logits.argmax(axis=1), outcome.test_labels, classes=10)).recall


def as_good(fewest: Fewest) -> dict[int, bool]:
    level = summarize(test_accuracy(fewest[max(fewest)])).mean - SLACK
    return {number: summarize(test_accuracy(outcomes)).mean >= level for number, outcomes in fewest.items()}


def tells_apart(fewest: Fewest) -> dict[int, bool]:
    return {number: all(recalls(outcome).min() > RECALL for outcome in outcomes.values()) for number, outcomes in fewest.items()}


def smallest(holds: Mapping[int, bool]) -> int | None:
    """The smallest number from which on it holds; None where it does not hold for the largest."""
    found = None
    for number in sorted(holds, reverse=True):
        if not holds[number]:
            break
        found = number
    return found


def answer(fewest: Fewest) -> str:
    def filters(number: int | None) -> str:
        return "none of the numbers tried" if number is None else f"{number} filter{'s' * (number > 1)}"

    good, apart = smallest(as_good(fewest)), smallest(tells_apart(fewest))
    levels = {"recall": RECALL, "most": max(fewest), "slack": 100 * SLACK}
    return conclude("algorithm", "fewest", apart=filters(apart), good=filters(good), **levels)


def table_of_fewest(fewest: Fewest) -> Table:
    largest = {str(seed): outcome.test_accuracy for seed, outcome in fewest[max(fewest)].items()}
    good, apart = as_good(fewest), tells_apart(fewest)
    rows = []
    for number, outcomes in fewest.items():
        below = paired(largest, {str(seed): outcome.test_accuracy for seed, outcome in outcomes.items()})
        worst = np.array([recalls(outcome) for outcome in outcomes.values()])
        rows.append(
            [
                str(number),
                mean_interval(test_accuracy(outcomes), ".2f", scale=100),
                "" if number == max(fewest) else write_interval(100 * below.difference, 100 * below.low, 100 * below.high, ".2f"),
                "yes" if good[number] else "no",
                f"{worst.min():.3f} (digit {worst.min(axis=0).argmin()})",
                "yes" if apart[number] else "no",
            ]
        )
    return new_table("algorithm", "fewest", rows, seeds=len(largest), most=max(fewest))


def plot_fewest(fewest: Fewest) -> Figure:
    means = {number: summarize(test_accuracy(outcomes)) for number, outcomes in fewest.items()}
    level = 100 * (means[max(means)].mean - SLACK)
    trainings = [(number, outcome) for number, outcomes in fewest.items() for outcome in outcomes.values()]
    drawn = new_figure("algorithm", "fewest", 11.5, 4.2, seeds=len(fewest[1]))
    left = panel(drawn, left=MARGIN + 0.6, bottom=0.75, width=4.5, height=3.2)
    ends = np.array([[found.mean - found.low, found.high - found.mean] for found in means.values()])
    left.plot(
        [n for n, _ in trainings], [100 * run.test_accuracy for _, run in trainings], "o", color=MUTED, markersize=4, alpha=0.6
    )
    left.errorbar(
        list(means), [100 * found.mean for found in means.values()], 100 * ends.T, color=BLUE, marker="o", capsize=3, linewidth=2
    )
    left.set_ylim(*np.clip(left.get_ylim(), 0, 100))
    right = panel(drawn, left=MARGIN + 6.2, bottom=0.75, width=4.5, height=3.2)
    right.plot([n for n, _ in trainings], [recalls(run).min() for _, run in trainings], "o", color=BLUE, markersize=6, alpha=0.6)
    for axes, unit, line, word in [
        (left, "test accuracy, %", level, f"{100 * SLACK:g} points below {max(fewest)} filters"),
        (right, "recall of the hardest digit", RECALL, f"recall {RECALL:g}"),
    ]:
        axes.axhline(line, color=ORANGE, linewidth=1.2, linestyle=":")
        axes.text(1, 1.02, f"dotted: {word}", transform=axes.transAxes, color=ORANGE, ha="right", va="bottom")
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(fewest), [str(number) for number in fewest])
        axes.minorticks_off()
        axes.set(xlabel="filters", ylabel=unit)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return drawn


def seconds(trained: Trained) -> Table:
    rows = []
    for setting, outcomes in sorted(trained.items()):
        spent = [(len(outcome.curves["train/loss"]), outcome.seconds) for outcome in outcomes.values()]
        rows.append([*setting.cells, *(f"{mean:.1f}" for mean in np.mean(spent, axis=0))])
    return new_table("algorithm", "seconds", rows)
