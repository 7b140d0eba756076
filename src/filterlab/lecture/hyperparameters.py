"""Topic 13: filter size, stride, number of filters, pooling: each of the slide's claims over paired seeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.lecture.context import Context, by_setting, part
from filterlab.lecture.plots import means_and_bars, new_figure
from filterlab.lecture.result import Result, Table, between, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, train_all
from filterlab.study.claims import Hypothesis, compare
from filterlab.study.statistics import plus_minus
from filterlab.visualization.style import BLUE, MARGIN, ORANGE, panel

FACTORS = {"kernel": (3, 5, 9, 16), "stride": (1, 2), "filters": (1, 2, 4, 8, 16, 32), "pool": (1, 2)}
BASE = {"kernel": 5, "stride": 1, "filters": 8, "pool": 2}
NAMES = {"kernel": "filter size", "stride": "stride", "filters": "number of filters", "pool": "pooling"}
LABELS = {("pool", 1): "none", ("pool", 2): "2x2"} | {("kernel", side): f"{side}x{side}" for side in FACTORS["kernel"]}
CLASSES = {"ten digits": 10, "0 from 1": 2}
TEN, TWO = CLASSES
GREEN = "#009e73"  # of Okabe and Ito's palette
ENOUGH = 0.005  # filters: at most half a point below the accuracy of the most that were tried
FINE = 0.01  # a stride: at most one point worse


@dataclass(frozen=True)
class Setting:
    problem: str
    kernel: int
    stride: int
    filters: int
    pool: int

    @property
    def parameters(self) -> int:
        """By the page's last formula."""
        units = (28 // (self.stride * self.pool)) ** 2 * self.filters
        return (self.kernel**2 + 1) * self.filters + (units + 1) * CLASSES[self.problem]


@dataclass(frozen=True)
class Accuracy:
    """Shares in [0, 1], with the chosen epoch's weights."""

    train: float
    validation: float

    @property
    def gap(self) -> float:
        return self.train - self.validation


Measured = Mapping[Setting, Mapping[int, Accuracy]]  # by setting and seed


def compare_hyperparameters(context: Context) -> Result:
    seeds = range(context.budget(full=5, quick=2))
    drawn = {(problem, seed): draw_images(context, problem, seed) for problem in CLASSES for seed in seeds}
    jobs = {(s, seed): setting_job(context, s, seed, *drawn[s.problem, seed]) for s in settings() for seed in seeds}
    outcomes = train_all(context, jobs)
    measured = by_setting({key: measure_accuracy(outcome, jobs[key]) for key, outcome in outcomes.items()})
    claims = judge_hypotheses(measured)
    counts = [outcome.parameters for outcome in outcomes.values()]
    base = float(np.mean([got.validation for got in measured[changed(TEN)].values()]))
    return Result(
        checks=[
            equal("parameters of the networks, by the formula", [setting.parameters for setting, _ in jobs], counts),
            equal(
                "images that a training and its validation share", sum(len(np.intersect1d(*parts)) for parts in drawn.values()), 0
            ),
            *([] if context.quick else [between("validation accuracy of the base", base, 0.9, 1)]),
        ],
        hypotheses=claims,
        figures={"factors": plot_factors(measured)},
        tables=[tabulate_settings(measured)],
        conclusion=conclude_claims(claims, measured),
    )


def changed(problem: str, **choice: int) -> Setting:
    """The base with one choice changed."""
    return Setting(problem=problem, **BASE | choice)


def settings() -> list[Setting]:
    """All that are measured: for the second problem the numbers of filters alone."""
    first = [changed(TEN, **{name: value}) for name, values in FACTORS.items() for value in values]
    second = [changed(TWO, filters=number) for number in FACTORS["filters"]]
    return list(dict.fromkeys([*first, *second]))  # the base once


def draw_images(context: Context, problem: str, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the 60,000 training images to train on and to validate on, from those of the problem's classes."""
    n = context.budget(full=2000, quick=100)
    order = np.random.default_rng((13, seed)).permutation(np.flatnonzero(context.train.labels < CLASSES[problem]))
    return order[:n], order[n : 2 * n]


def setting_job(context: Context, setting: Setting, seed: int, train: NDArray[np.int64], validation: NDArray[np.int64]) -> Job:
    layer = {name: getattr(setting, name) for name in BASE}
    layer["padding"] = setting.kernel // 2  # filters of all sizes give maps of the same size, after pooling
    config = context.compose_training(
        "model=conv_net",
        f"model.layers=[{{{', '.join(f'{name}: {value}' for name, value in layer.items())}}}]",
        "model.hidden=[]",
        "model.dropout=0",
        "schedule=constant",
        "trainer.batch_size=64",
        f"data.classes={[str(label) for label in range(CLASSES[setting.problem])]}",
        epochs=context.budget(full=15, quick=1),
        seed=seed,
    )
    parts = part(context.train, train), part(context.train, validation)
    return Job({**vars(setting), "seed": seed}, config, *parts)


def measure_accuracy(outcome: Outcome, given: Job) -> Accuracy:
    from filterlab.evaluation.predict import predict

    # The curve's training accuracy is of the epoch as it goes, while the weights still change.
    hits = predict(outcome.predictor, given.train.images).argmax(axis=1) == given.train.labels
    return Accuracy(train=float(hits.mean()), validation=outcome.best("validation/accuracy"))


def judge_hypotheses(measured: Measured) -> list[Hypothesis]:
    """The slide's claims, each as a difference that it says to be positive."""

    def of(measure: str, setting: Setting) -> dict[int, float]:
        return {seed: getattr(got, measure) for seed, got in measured[setting].items()}

    def better(claim: str, setting: Setting, than: Setting) -> Hypothesis:
        found = of("validation", setting), of("validation", than)
        return compare(claim, *found, unit="points of validation accuracy", scale=100)

    def narrower(claim: str, setting: Setting, than: Setting) -> Hypothesis:
        return compare(claim, of("gap", than), of("gap", setting), unit="points of the gap", scale=100)

    def gained(problem: str) -> dict[int, float]:
        few, many = (of("validation", changed(problem, filters=number)) for number in (4, 32))
        return {seed: many[seed] - few[seed] for seed in few}

    small, none, pooled = changed(TEN, kernel=3), changed(TEN, pool=1), changed(TEN, pool=2)
    allowed = {seed: value - FINE for seed, value in of("validation", changed(TEN, stride=1)).items()}
    stride, points = of("validation", changed(TEN, stride=2)), "points of validation accuracy"
    more = "32 filters instead of 4 gain more for ten digits than for 0 from 1"
    return [
        *(narrower(f"3x3 filters have a smaller gap than {k}x{k}", small, changed(TEN, kernel=k)) for k in (9, 16)),
        *(better(f"3x3 filters are more accurate than {k}x{k}", small, changed(TEN, kernel=k)) for k in (9, 16)),
        compare(
            "stride 2 loses less than one point against stride 1", stride, allowed, unit=f"{points} above that limit", scale=100
        ),
        compare("ten digits need more filters than 0 from 1", needed(measured, TEN), needed(measured, TWO), unit="doublings"),
        compare(more, gained(TEN), gained(TWO), unit=points, scale=100),
        better("pooling is more accurate than none", pooled, none),
        narrower("pooling has a smaller gap than none", pooled, none),
    ]


def needed(measured: Measured, problem: str) -> dict[int, float]:
    """By seed: how often one filter is doubled until there are enough."""
    found = {number: measured[changed(problem, filters=number)] for number in FACTORS["filters"]}
    most = found[max(found)]
    return {
        seed: float(np.log2(min(n for n, got in found.items() if got[seed].validation >= most[seed].validation - ENOUGH)))
        for seed in most
    }


def tabulate_settings(measured: Measured) -> Table:
    rows = []
    for setting, got in measured.items():
        means = [
            plus_minus([100 * getattr(each, name) for each in got.values()], ".2f") for name in ("train", "validation", "gap")
        ]
        rows.append([setting.problem, *(str(getattr(setting, name)) for name in BASE), f"{setting.parameters:,}", *means])
    return new_table("hyperparameters", "settings", rows, seeds=len(got))


def conclude_claims(claims: list[Hypothesis], measured: Measured) -> str:
    holding, failing = (sum(claim.verdict == verdict for claim in claims) for verdict in ("holds", "fails"))
    ten, two = (2 ** np.mean(list(needed(measured, problem).values())) for problem in CLASSES)
    counts = {"claims": len(claims), "holding": holding, "failing": failing, "rest": len(claims) - holding - failing}
    return conclude("hyperparameters", "claims", **counts, ten=ten, two=two)


def plot_factors(measured: Measured) -> Figure:
    drawn = new_figure("hyperparameters", "factors", 13.4, 4.0, seeds=len(measured[changed(TEN)]))
    left = MARGIN + 0.6
    for name, values in FACTORS.items():
        axes = panel(drawn, left=left, bottom=0.7, width=0.3 + 0.6 * len(values), height=3.2)
        found = [measured[changed(TEN, **{name: value})].values() for value in values]
        plot_means(axes, [[got.train for got in each] for each in found], color=BLUE, label="training images")
        plot_means(axes, [[got.validation for got in each] for each in found], color=ORANGE, label="new images")
        axes.set_xlabel(NAMES[name])
        axes.set_xticks(range(len(values)), [LABELS.get((name, value), str(value)) for value in values])
        axes.set_xlim(-0.4, len(values) - 0.6)
        axes.grid(axis="y")
        left += 1.1 + 0.6 * len(values)
    found = [measured[changed(TWO, filters=number)].values() for number in FACTORS["filters"]]
    second = drawn.axes[list(FACTORS).index("filters")]
    plot_means(second, [[got.validation for got in each] for each in found], color=GREEN, label="new images, telling 0 from 1")
    second.legend(loc="lower right")
    low = max(0.0, min(axes.get_ylim()[0] for axes in drawn.axes))
    for axes in drawn.axes:
        axes.set_ylim(low, 100.5)
    drawn.axes[0].set_ylabel("accuracy [%]")
    return drawn


def plot_means(axes: Axes, found: Iterable[Iterable[float]], *, color: str, label: str) -> None:
    """Means of the seeds' shares, in percent, with their intervals."""
    middle, ends = means_and_bars([[100 * share for share in shares] for shares in found])
    axes.errorbar(range(len(middle)), middle, ends, color=color, marker="o", markersize=5, linewidth=1.6, capsize=3, label=label)
