"""Topic 18: coded features and a support vector machine, or a network that discovers its own, by the number of images."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from filterlab.baselines import svm
from filterlab.baselines.features import FEATURES, Images
from filterlab.data.arrays import LabelledImages
from filterlab.data.split import subset
from filterlab.evaluation.intervals import wilson
from filterlab.evaluation.statistics import paired, summarize
from filterlab.lecture import learning_curves
from filterlab.lecture.lab import Lab
from filterlab.lecture.learning_curves import ALL, Measured, Task, crossover
from filterlab.lecture.topic import (
    Check,
    Findings,
    Formula,
    Hypothesis,
    Page,
    Shown,
    Table,
    between,
    close,
    equal,
    hypothesis,
)
from filterlab.models.shapes import layers, parameter_count
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, panel, sheet

PAGE = Page(
    says="""\
There are two ways to tell digits apart. One codes features by hand, from what is known about pictures, and leaves only the last
step to learning: here the pixels themselves, the lecture's edge filters, or histograms of oriented gradients (HOG), each with a
support vector machine. The other is a network that discovers its features together with the decision. What is known need not
be learned, so coding should win where images are few, and discovery where they are many. The question is where they cross.

Every method learns from the same images: drawn five times for each number of images below 1000 of each digit, twice for 1000,
and once all 60,000. The subsets of one draw are nested. All are measured on the 10,000 test images, after everything was chosen.

The machines are tuned by cross-validation on their own training images: C of 1, 10, 100 and gamma of 1/3, 1, 3 over the total
variance of the features, five folds or as many as there are images of a digit, on at most 100 images of each digit, which a
search over all 60,000 would not change enough to be worth its hours. Equally good ones are settled for C = 10, gamma = 1, and
so is one image of each digit, which can't be divided. From more than 200 images on, the features are projected on their first
200 principal components: on 60,000 images that is ten times faster, and on training images kept aside it cost nothing.

The networks are the tutorial's (Adam, batches of 32, as in its notebook), the default one, and the default one with each image
shifted by up to two pixels at each step (both batches of 64, a peak learning rate of 0.1, otherwise as they come). Too few images
are no place to choose an epoch by, so there is none to choose: five passes over the images, or more where that gives fewer than
300 steps. Both numbers were settled on training images kept aside, and hold for every network and every size. The tutorial's
network would gain from more patience: thirteen passes over 300 images of each digit gave it one point more there.""",
    formulas=[
        Formula(
            r"\hat y(x) = \operatorname{sign}\left(b + \sum_{i} \alpha_i y_i\, e^{-\gamma \lVert x - x_i \rVert^2}\right), "
            r"\qquad 0 \le \alpha_i \le C",
            "a support vector machine with a Gaussian kernel, for each two digits (Boser, Guyon, Vapnik 1992; Cortes, Vapnik 1995)",
        ),
        Formula(
            r"\gamma = \frac{g}{\sum_j \operatorname{var}(x_j)}, \qquad g \in \left\{\tfrac{1}{3}, 1, 3\right\}",
            "the variance is half the mean squared distance of two images, so that g means the same for all features",
        ),
        Formula(
            r"h_c(\theta) = \sum_{p \in c,\; \angle \nabla I(p) \in \theta} \lVert \nabla I(p) \rVert",
            "HOG of a cell c of 4x4 pixels and one of nine directions, scaled in blocks of 2x2 cells (Dalal, Triggs 2005)",
        ),
    ],
)
CODED = {"pixels + SVM": "pixels", "edges + SVM": "edges", "HOG + SVM": "HOG"}
OWN = ["trainer.batch_size=64", "trainer.max_epochs=1"]
NETWORKS = {
    "tutorial's CNN": [
        *("model=tutorial_cnn", "optimizer=adam", "schedule=constant", "augment=none", "trainer.scaling=unit"),
        *("trainer.label_smoothing=0", "trainer.batch_size=32", "trainer.max_epochs=1"),
    ],
    "CNN": ["model=cnn", "augment=none", *OWN],
    "CNN, shifted": ["model=cnn", "augment=shift", *OWN],
}
METHODS = [*CODED, *NETWORKS]
# LECTURE's first look, in %: C = 10, gamma = "scale", whole features. 1000 and 5000 are the first ones of the training set; 10
# and 100 were drawn, as many of each digit, with a seed that is not known.
FIRST_LOOK = {10: (38.5, 42.9, 53.0), 100: (78.5, 83.0, 88.4), 1000: (91.8, 94.0, 96.0), 5000: (95.7, 97.4, 97.8)}

Coded = dict[str, NDArray[np.float32]]  # by the name of the features


def run(lab: Lab) -> Findings:
    train = first(lab.train, lab.pick(full=60_000, quick=1000))
    test = first(lab.test, lab.pick(full=10_000, quick=1000))
    coded, seconds = code(lab, train.images)
    tested, _ = code(lab, test.images)
    measured = learning_curves.run(lab, tasks(lab, train, test, coded, tested))
    curves = ordered(measured)
    gaps = {name: ahead(curves, name) for name in NETWORKS}
    turns = {name: crossover(gap) for name, gap in gaps.items()}
    looked = first_look(lab, (coded, train.labels), (tested, test.labels))
    return Findings(
        checks=checks(lab, coded, looked, measured),
        figures={"learning_curves": accuracies_figure(curves, len(test)), "crossover": crossover_figure(gaps, turns)},
        hypotheses=hypotheses(lab, curves),
        tables=[
            accuracy_table(curves, len(test)),
            crossover_table(turns),
            first_look_table(looked, curves),
            chosen_table(curves),
            stored_table(curves),
        ],
        conclusion=conclusion(curves, turns),
        costs=[costs_table(curves, seconds, tested=len(test))],
    )


def first(part: LabelledImages, n: int) -> LabelledImages:
    return LabelledImages(images=part.images[:n], labels=part.labels[:n])


def code(lab: Lab, images: Images) -> tuple[Coded, dict[str, float]]:
    """The features of all images, and the seconds that 1000 images took."""
    chunks = np.array_split(images, math.ceil(len(images) / 2500))
    coded, seconds = {}, {}
    for name in FEATURES:
        parts, spent = zip(*lab.side_by_side(extract, [(name, chunk) for chunk in chunks]), strict=True)
        coded[name], seconds[name] = np.concatenate(parts), 1000 * sum(spent) / len(images)
    return coded, seconds


def extract(item: tuple[str, Images]) -> tuple[NDArray[np.float32], float]:
    name, images = item
    started = time.perf_counter()
    return FEATURES[name](images), time.perf_counter() - started


def tasks(lab: Lab, train: LabelledImages, test: LabelledImages, coded: Coded, tested: Coded) -> list[Task]:
    """Of every method on the same subsets, the longest first, so that the cores are busy to the end."""
    sizes = lab.pick(full={ALL: 1, 1000: 2, 300: 5, 100: 5, 30: 5, 10: 5, 3: 5, 1: 5}, quick={ALL: 1, 30: 2, 10: 2, 1: 2})
    passes, steps = lab.pick(full=(5, 300), quick=(1, 12))
    made = []
    for size, draws in sizes.items():
        for draw in range(draws):
            taken = subset(train.labels, take="all" if size == ALL else "per_class", take_n=size, seed=draw)
            named = {"images_per_class": size or "all", "subset": draw}
            labels = train.labels[taken]
            for method, words in NETWORKS.items():
                config = lab.compose(*words, f"seed={draw}")
                params = {"method": method, **named}
                made.append(Task(params, train.images[taken], labels, test.images, test.labels, config, passes, steps))
            for method, name in CODED.items():
                made.append(Task({"method": method, **named}, coded[name][taken], labels, tested[name], test.labels))
    return made


def best_coded(curves: Curves, size: float) -> str:
    """The coded features with the best mean accuracy at this size."""
    return max(CODED, key=lambda method: float(np.mean(percent(curves[method][size]))))


def ahead(curves: Curves, network: str) -> Differences:
    """Points by which a network is ahead of the best coded features, subset by subset."""
    return {
        size: (np.array(percent(found)) - np.array(percent(curves[best_coded(curves, size)][size]))).tolist()
        for size, found in curves[network].items()
    }


def untuned(item: tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]) -> float:
    """Accuracy in % of an SVC with C = 10 and scikit-learn's gamma, of (features, labels, test features, test labels)."""
    from sklearn.svm import SVC

    features, labels, test_features, test_labels = item
    predicted = SVC(C=10, gamma="scale", cache_size=svm.CACHE).fit(features, labels).predict(test_features)
    return 100 * float((predicted == test_labels).mean())


def first_look(
    lab: Lab, train: tuple[Coded, NDArray[np.uint8]], test: tuple[Coded, NDArray[np.uint8]]
) -> dict[int, list[float]]:
    """By number of images, the mean accuracy in % of each kind of features: what LECTURE's first look says, made again."""
    (coded, labels), (tested, test_labels) = train, test
    drawn = range(lab.pick(full=5, quick=2))
    shares = {n: [subset(labels, take="per_class", take_n=n // 10, seed=draw) for draw in drawn] for n in (10, 100)}
    shares |= {n: [np.arange(n)] for n in lab.pick(full=(1000, 5000), quick=(1000,))}
    wanted = [(n, name, taken) for n, given in shares.items() for name in FEATURES for taken in given]
    items = [(coded[name][taken], labels[taken], tested[name], test_labels) for _, name, taken in wanted]
    found: dict[tuple[int, str], list[float]] = {}
    for (n, name, _), accuracy in zip(wanted, lab.side_by_side(untuned, items), strict=True):
        found.setdefault((n, name), []).append(accuracy)
    return {n: [float(np.mean(found[n, name])) for name in FEATURES] for n in shares}


def checks(lab: Lab, coded: Coded, looked: Mapping[int, Sequence[float]], measured: Sequence[Measured]) -> list[Check]:
    size = {"channels": 1, "height": 28, "width": 28, "classes": 10}
    parameters = [parameter_count(layers(lab.compose(*words).model, **size)) for words in NETWORKS.values()]
    # In points. Ours are the same images at 1000 and 5000, and other draws at 10 and 100; quick ones are tested on fewer images.
    tolerance = lab.pick(full={10: 10.0, 100: 4.0, 1000: 0.1, 5000: 0.1}, quick={10: 15.0, 100: 8.0, 1000: 3.0})
    made = [
        equal("numbers in a description: pixels, edges, HOG", [coded[name].shape[1] for name in FEATURES], [784, 676, 1296]),
        equal("parameters of the tutorial's network, and of the default one", parameters[:2], [157386, 80202]),
        *(
            close(f"first look, {n} images, %: pixels, edges, HOG", found, list(FIRST_LOOK[n]), tolerance=tolerance[n])
            for n, found in looked.items()
        ),
    ]
    if not lab.quick:
        seen = min(found.chosen["training/accuracy"] for found in measured if "training/accuracy" in found.chosen)
        whole = min(found.accuracy for found in measured if found.params["images_per_class"] == "all")
        made += [
            between("lowest accuracy of a network on its own training images", seen, 0.9, 1.0),
            between("lowest test accuracy of a method that learned from all images", whole, 0.97, 1.0),
        ]
    return made


def hypotheses(lab: Lab, curves: Curves) -> list[Hypothesis]:
    many = lab.pick(full=300, quick=30)
    claims: list[tuple[str, str, str, float]] = [
        ("With one image of each digit, HOG beats the CNN on shifted images", "HOG + SVM", "CNN, shifted", 1),
        ("With 10 of each digit, HOG beats the tutorial's CNN", "HOG + SVM", "tutorial's CNN", 10),
        ("With 10 of each digit, the lecture's edges beat the pixels", "edges + SVM", "pixels + SVM", 10),
        ("With 10 of each digit, shifting the images helps the CNN", "CNN, shifted", "CNN", 10),
        (f"With {many} of each digit, the lecture's edges beat the tutorial's CNN", "edges + SVM", "tutorial's CNN", many),
        (f"With {many} of each digit, the CNN beats HOG", "CNN", "HOG + SVM", many),
    ]
    made = []
    for claim, method, rival, size in claims:
        a, b = ({str(found.params["subset"]): found.accuracy for found in curves[name][size]} for name in (method, rival))
        made.append(hypothesis(claim, paired(a, b), unit="points of test accuracy", scale=100))
    return made


def by_size(curves: Curves, caption: str, cell: Callable[[list[Measured]], str], methods: Sequence[str] = METHODS) -> Table:
    """A row for each number of images, a column for each method."""
    rows = [[written(size), *(cell(curves[method][size]) for method in methods)] for size in curves[METHODS[0]]]
    return Table(caption, ["images per digit", *methods], rows)


def accuracy_table(curves: Curves, tested: int) -> Table:
    def cell(found: list[Measured]) -> str:
        mean, low, high = interval(found, tested)
        return f"{mean:.2f} [{low:.2f}, {high:.2f}]"

    caption = "Accuracy on the test set, in %, with its 95 % interval: over five subsets, or else over the test images."
    return by_size(curves, caption, cell)


def stored_table(curves: Curves) -> Table:
    caption = "MB of the stored model, four bytes a number: a machine keeps training images, a network has its size from the start."
    return by_size(curves, caption, lambda found: f"{np.mean([one.stored for one in found]):.2f}")


def chosen_table(curves: Curves) -> Table:
    def cell(found: list[Measured]) -> str:
        settings = [f"{one.chosen['C']:g}, {one.chosen['gamma']:.2g}" for one in found]
        ((most, times),) = Counter(settings).most_common(1)
        return f"{most} ({times} of {len(settings)})"

    caption = "C and gamma that most subsets chose by cross-validation; gamma in units of 1 / total variance."
    return by_size(curves, caption, cell, list(CODED))


def crossover_table(turns: Mapping[str, tuple[float, float, float]]) -> Table:
    rows = [[name, written(at), f"{written(low)} to {written(high)}"] for name, (at, low, high) in turns.items()]
    caption = (
        "Images per digit from which on a network's mean accuracy is above that of the best coded features, interpolated over "
        "their logarithm; the 95 % interval is a bootstrap over the subsets."
    )
    return Table(caption, ["network", "crossover", "95 % interval"], rows)


def first_look_table(looked: Mapping[int, Sequence[float]], curves: Curves) -> Table:
    rows = []
    for n, found in looked.items():
        for place, (method, name) in enumerate(CODED.items()):
            tuned = curves[method].get(n / 10) if n != 1000 or 100.0 in curves[method] else None
            told = f"{np.mean(percent(tuned)):.1f}" if tuned else ""
            rows.append([str(n), name, f"{FIRST_LOOK[n][place]:.1f}", f"{found[place]:.2f}", told])
    caption = (
        "A first look, made again: accuracy in %, C = 10, gamma = 1 / (D var(X)), no projection. 1000 and 5000 are the first images "
        "of the training set; 10 and 100 are as many of each digit, the mean of our subsets beside one draw. Tuned: "
        "the mean of our subsets of that size."
    )
    return Table(caption, ["training images", "features", "first look", "ours, untuned", "ours, tuned"], rows)


def costs_table(curves: Curves, tested: int) -> Table:
    sizes = list(curves[METHODS[0]])
    shown = [size for size in sizes if size in (10, 100, 1000)] + sizes[-1:]

    def mean(method: str, size: float, name: str) -> str:
        return f"{np.mean([getattr(found, name) for found in curves[method][size]]):.3g}"

    header = ["method", *(f"training, s ({written(size)} per digit)" for size in shown)]
    header += [f"{tested:,} test images, s (last)", "training, MB (last)"]
    rows = [
        [method, *(mean(method, size, "seconds") for size in shown)]
        + [mean(method, sizes[-1], "test_seconds"), mean(method, sizes[-1], "memory")]
        for method in METHODS
    ]
    caption = (
        "Time on one core, tuning included, features not; memory of the inputs and of what training took beside them (of a "
        "network: with the repeated images)."
    )
    return Table(caption, header, rows)


