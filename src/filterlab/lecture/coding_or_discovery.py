"""Topic 18: coded features and a support vector machine, or a network that discovers its own, by the number of images."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filterlab.baselines import svm
from filterlab.baselines.features import FEATURES, Features, Images
from filterlab.data.arrays import LabelledImages
from filterlab.data.split import subset
from filterlab.lecture import learning_curves
from filterlab.lecture.context import Context, part
from filterlab.lecture.learning_curves import (
    ALL,
    Crossover,
    Curves,
    Gaps,
    Measured,
    Task,
    crossover,
    interval,
    percent,
    plot_crossover,
    plot_learning_curves,
    write_size,
)
from filterlab.lecture.result import Check, Result, Table, between, close, conclude, equal, new_table
from filterlab.lecture.trainings import record_all
from filterlab.models.shapes import layers, parameter_count
from filterlab.study.claims import Hypothesis, compare
from filterlab.study.statistics import write_interval
from filterlab.visualization.style import BLUE, ORANGE

TOPIC = "coding_or_discovery"
CODED = {"pixels + SVM": "pixels", "edges + SVM": "edges", "HOG + SVM": "HOG"}
DEFAULT = ["model=cnn", "optimizer=sgd", "schedule=one_cycle", "trainer.batch_size=64"]
NETWORKS = {
    "tutorial's CNN": [
        *("model=tutorial_cnn", "optimizer=adam", "schedule=constant", "augment=none"),
        *("trainer.scaling=unit", "trainer.label_smoothing=0", "trainer.batch_size=32"),
    ],
    "CNN": [*DEFAULT, "augment=none"],
    "CNN, shifted": [*DEFAULT, "augment=shift"],
}
METHODS = [*CODED, *NETWORKS]
# LECTURE's first look, in %: C = 10, gamma = "scale", whole features. 1000 and 5000 are the first images of the training set; 10
# and 100 were drawn, as many of each digit, with a seed that is not known.
FIRST_LOOK = {10: [38.5, 42.9, 53.0], 100: [78.5, 83.0, 88.4], 1000: [91.8, 94.0, 96.0], 5000: [95.7, 97.4, 97.8]}
COLORS = dict(zip(METHODS, ["#e69f00", ORANGE, "#cc79a7", "#56b4e9", BLUE, "#009e73"], strict=True))  # Okabe and Ito's


@dataclass(frozen=True)
class Material:
    """Images, and the same ones as coded features, by the features' names."""

    train: LabelledImages
    test: LabelledImages
    coded: Mapping[str, Features]
    coded_test: Mapping[str, Features]


def compare_coding_and_discovery(context: Context) -> Result:
    train = part(context.train, slice(None, None, context.budget(full=1, quick=100)))
    test = part(context.test, slice(None, None, context.budget(full=1, quick=10)))
    coded, seconds = code(context, train.images)
    given = Material(train, test, coded, code(context, test.images)[0])
    measured = list(record_all(context, learning_curves.measure, dict(enumerate(tasks(context, given)))).values())
    looked = first_look(context, given)
    curves = learning_curves.group_by_method(measured, METHODS)
    gaps = {name: ahead(curves, name) for name in NETWORKS}
    turns = {name: crossover(gap) for name, gap in gaps.items()}
    return Result(
        checks=check_codings(context, given, looked, measured),
        figures={
            "learning_curves": plot_learning_curves(curves, tested=len(test), colors=COLORS, dashed=list(CODED)),
            "crossover": plot_crossover(gaps, turns, colors=COLORS),
        },
        hypotheses=judge_hypotheses(context, curves),
        tables=[
            by_size("accuracy", curves, lambda found: write_interval(*interval(found, tested=len(test)), ".2f")),
            new_table(TOPIC, "crossover", [[name, write_size(turn.at), turn.interval] for name, turn in turns.items()]),
            tabulate_first_look(looked, curves),
            by_size("chosen", curves, most_chosen, list(CODED)),
            by_size("stored", curves, lambda found: f"{np.mean([one.stored for one in found]):.2f}"),
        ],
        conclusion=conclude_crossover(curves, turns),
        costs=[tabulate_costs(curves, seconds, tested=len(test))],
    )


def code(context: Context, images: Images) -> tuple[dict[str, Features], dict[str, float]]:
    """By name, the features of all images, and the seconds that 1000 images took."""
    chunks = np.array_split(images, -(-len(images) // 2500))
    coded, seconds = {}, {}
    for name in FEATURES:
        parts, spent = zip(*context.map_parallel(extract, [(name, chunk) for chunk in chunks]), strict=True)
        coded[name], seconds[name] = np.concatenate(parts), 1000 * sum(spent) / len(images)
    return coded, seconds


def extract(item: tuple[str, Images]) -> tuple[Features, float]:
    name, images = item
    started = time.perf_counter()
    return FEATURES[name](images), time.perf_counter() - started


def tasks(context: Context, given: Material) -> list[Task]:
    """Of every method on the same subsets, the longest first, so that all cores are busy to the end."""
    draws = context.budget(full={ALL: 1, 1000: 2, 300: 5, 100: 5, 30: 5, 10: 5, 3: 5, 1: 5}, quick={ALL: 1, 10: 2, 1: 2})
    passes, steps = context.budget(full=(5, 300), quick=(1, 12))
    images, labels, test = given.train.images, given.train.labels, given.test
    made = []
    for size, draw in [(size, draw) for size, times in draws.items() for draw in range(times)]:
        taken = subset(labels, take="all" if size == ALL else "per_class", take_n=size, seed=draw)
        named = {"images_per_class": "all" if size == ALL else size, "subset": draw}
        for method, words in NETWORKS.items():
            config = context.compose(*words, "trainer.max_epochs=1", f"seed={draw}")
            params = {"method": method, **named}
            made.append(Task(params, images[taken], labels[taken], test.images, test.labels, config, passes, steps))
        for method, name in CODED.items():
            features, tested = given.coded[name][taken], given.coded_test[name]
            made.append(Task({"method": method, **named}, features, labels[taken], tested, test.labels))
    return made


def ahead(curves: Curves, network: str) -> Gaps:
    """Where a network alone was right, or alone the coded features that are best at this number of images."""
    gaps = {}
    for size, found in curves[network].items():
        best = max((curves[method][size] for method in CODED), key=lambda coded: np.mean(percent(coded)))
        gaps[size] = np.array([ours.right.astype(np.int8) - theirs.right for ours, theirs in zip(found, best, strict=True)])
    return gaps


def first_look(context: Context, given: Material) -> dict[int, list[float]]:
    """By number of images, the mean accuracy in % for each kind of features."""
    labels, draws = given.train.labels, range(context.budget(full=5, quick=2))
    shares = {n: [subset(labels, take="per_class", take_n=n // 10, seed=draw) for draw in draws] for n in (10, 100)}
    shares |= {n: [np.arange(n)] for n in context.budget(full=(1000, 5000), quick=())}
    cells = [(n, name) for n in shares for name in FEATURES]
    items = [
        (given.coded[name][taken], labels[taken], given.coded_test[name], given.test.labels)
        for n, name in cells
        for taken in shares[n]
    ]
    found = context.map_parallel(untuned, items)
    means = {(n, name): round(float(np.mean([next(found) for _ in shares[n]])), 2) for n, name in cells}
    return {n: [means[n, name] for name in FEATURES] for n in shares}


def untuned(item: tuple[Features, NDArray[np.uint8], Features, NDArray[np.uint8]]) -> float:
    """Accuracy in % of (features, labels, test features, test labels), with the first look's settings."""
    from sklearn.svm import SVC

    features, labels, test_features, test_labels = item
    predicted = SVC(C=10, gamma="scale", cache_size=svm.CACHE).fit(features, labels).predict(test_features)
    return 100 * float((predicted == test_labels).mean())


def check_codings(
    context: Context, given: Material, looked: Mapping[int, list[float]], measured: Sequence[Measured]
) -> list[Check]:
    size = {"channels": 1, "height": 28, "width": 28, "classes": 10}
    parameters = [parameter_count(layers(context.compose(*words).model, **size)) for words in NETWORKS.values()]
    # Points: the same images at 1000 and 5000, other draws at 10 and 100; quick: fewer draws, fewer test images.
    tolerance = context.budget(full={10: 10.0, 100: 4.0, 1000: 0.1, 5000: 0.1}, quick={10: 15.0, 100: 10.0})
    made = [
        equal(
            "numbers in a description: pixels, edges, HOG", [given.coded[name].shape[1] for name in FEATURES], [784, 676, 1296]
        ),
        equal("parameters of the tutorial's network, and of the default one", parameters[:2], [157386, 80202]),
    ]
    for n, found in looked.items():
        says = f"accuracy in % from {n} images, untuned: pixels, edges, HOG"
        made.append(close(says, found, FIRST_LOOK[n], tolerance=tolerance[n]))
    if not context.quick:
        seen = min(found.chosen["training/accuracy"] for found in measured if found.params["method"] in NETWORKS)
        whole = min(found.accuracy for found in measured if found.params["images_per_class"] == "all")
        made.append(between("a network's lowest accuracy on the images it learned from", seen, 0.9, 1.0))
        made.append(between("lowest test accuracy of what learned from all images", whole, 0.97, 1.0))
    return made


def judge_hypotheses(context: Context, curves: Curves) -> list[Hypothesis]:
    many = context.budget(full=300, quick=10)
    claims: list[tuple[str, str, str, float]] = [
        ("with 1 image of each digit, HOG beats the CNN with shifts", "HOG + SVM", "CNN, shifted", 1),
        ("with 10, HOG beats the tutorial's CNN", "HOG + SVM", "tutorial's CNN", 10),
        ("with 10, the lecture's edges beat the pixels", "edges + SVM", "pixels + SVM", 10),
        ("with 10, shifts help the CNN", "CNN, shifted", "CNN", 10),
        (f"with {many}, the lecture's edges beat the tutorial's CNN", "edges + SVM", "tutorial's CNN", many),
        (f"with {many}, the CNN beats HOG", "CNN", "HOG + SVM", many),
    ]

    def accuracy(method: str, size: float) -> dict[int, float]:
        return {found.params["subset"]: found.accuracy for found in curves[method][size]}

    unit = "points of test accuracy"
    return [compare(claim, accuracy(a, size), accuracy(b, size), unit=unit, scale=100) for claim, a, b, size in claims]


def by_size(name: str, curves: Curves, cell: Callable[[list[Measured]], str], methods: Sequence[str] = METHODS) -> Table:
    """A row for each number of images, a column for each method."""
    rows = [[write_size(size), *(cell(curves[method][size]) for method in methods)] for size in curves[METHODS[0]]]
    return new_table(TOPIC, name, rows)


def most_chosen(found: list[Measured]) -> str:
    ((most, times),) = Counter(f"{one.chosen['C']:g}, {one.chosen['gamma']:.2g}" for one in found).most_common(1)
    return f"{most} ({times} of {len(found)})"


def tabulate_first_look(looked: Mapping[int, list[float]], curves: Curves) -> Table:
    rows = []
    for n, found in looked.items():
        for (method, name), first, ours in zip(CODED.items(), FIRST_LOOK[n], found, strict=True):
            tuned = curves[method].get(n / 10)
            rows.append([str(n), name, f"{first:.1f}", f"{ours:.2f}", f"{np.mean(percent(tuned)):.2f}" if tuned else ""])
    return new_table(TOPIC, "first_look", rows)


def tabulate_costs(curves: Curves, seconds: Mapping[str, float], *, tested: int) -> Table:
    sizes = list(curves[METHODS[0]])
    shown = [size for size in sizes if size in (10, 100, 1000)] + sizes[-1:]

    def mean(method: str, size: float, name: str) -> str:
        return f"{np.mean([getattr(found, name) for found in curves[method][size]]):.3g}"

    rows = []
    for method in METHODS:
        features = f"{seconds[CODED[method]]:.3f}" if method in CODED else ""
        trained = [mean(method, size, "seconds") for size in shown]
        rows.append([method, features, *trained, mean(method, sizes[-1], "test_seconds"), mean(method, sizes[-1], "memory")])
    header = ["method", "features of 1000 images, s", *(f"training on {write_size(size)} per digit, s" for size in shown)]
    caption = (
        "On one core, tuning included. The last two columns are of the model that learned from all images; its memory is that of "
        "the inputs and of what training took beside them, a network's repeated images included."
    )
    return Table(caption, [*header, f"{tested:,} test images, s", "training, MB"], rows)


def conclude_crossover(curves: Curves, turns: Mapping[str, Crossover]) -> str:
    bests = []
    sizes = list(curves[METHODS[0]])
    for size in (sizes[0], 10.0, sizes[-1]):
        means = {method: float(np.mean(percent(curves[method][size]))) for method in METHODS}
        coding, network = (max(kind, key=lambda method: means[method]) for kind in (CODED, NETWORKS))
        bests.append(f"{write_size(size)} of each digit: {coding} {means[coding]:.1f} %, {network} {means[network]:.1f} %")
    crossed = [f"{name} from {write_size(turn.at)} (95 % interval {turn.interval})" for name, turn in turns.items()]
    return conclude(TOPIC, "crossover", bests="; ".join(bests), crossed="; ".join(crossed))
