"""Measure the network on the official test set: the only stage that reads it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filterlab import tables
from filterlab.config import resolved, schema
from filterlab.data import arrays
from filterlab.data.arrays import LabelledImages
from filterlab.evaluation import results
from filterlab.runs import facts, logging
from filterlab.tracking import NullRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from filterlab.evaluation.summary import Evaluation

SHOWN = 32  # mistakes in the gallery
NAMED = 30  # classes in a note
Drawn = Iterator[tuple[str, "Figure"]]  # the key of each, evaluation/...


@dataclass(frozen=True)
class Tested:
    """What there is to draw; subject: for the figures' titles."""

    evaluation: "Evaluation"
    test: LabelledImages
    subject: str


def run(root: Path) -> None:
    """Write results/metrics.json, results/evaluation/ and results/figures/evaluation/; add them to the run.

    Raises UserError: the model or the data are missing or damaged, the model's outputs are no numbers, a metric is none, a
    figure has a key that it can't have, or the disk is full.
    """
    config = resolved.load(root)
    with logging.resumed(config, root) as record, facts.timed(root, "evaluate", record):
        add(config, record, data=root / "data/processed", out=root)


def add(config: schema.Config, record: NullRun, *, data: Path, out: Path) -> None:
    """The same for any run: `out` holds its models/ and gets its results/, `data` holds test/. Raises UserError as `run` does."""
    from filterlab.evaluation.predict import predict
    from filterlab.evaluation.summary import evaluate
    from filterlab.models import artifact
    from filterlab.visualization import png

    card, parts = arrays.load(data / "test")
    test = parts["test"]
    predictor = artifact.load(out / "models")
    logits = predict(predictor, test.images)
    evaluation = evaluate(logits, test.labels, classes=predictor.classes, data_name=predictor.data_name)
    numbers = evaluation.numbers()
    tested = Tested(evaluation, test, subject=f"{predictor.data_name} test set, {config.model.name}")
    drawn = png.collect(FIGURES, tested, folders=["evaluation"])
    write(evaluation, numbers, surest(evaluation, test), out)
    pictures = png.write_all(drawn, out / "results/figures")

    logging.log_dataset(record, config, card, context="evaluation")
    record.set_tags({logging.TESTED: card.digest})
    record.log_metrics(logging.test_metrics(numbers))
    for key, path in pictures.items():
        record.log_image(key, path)
    for path in [out / "results/metrics.json", *sorted((out / "results/evaluation").iterdir())]:
        record.log_artifact(path, folder="evaluation")


def surest(evaluation: "Evaluation", test: LabelledImages) -> dict[str, np.ndarray]:
    """The mistakes that are shown, for results.write_measured."""
    places = evaluation.mistakes[:SHOWN]
    return {
        "images": np.ascontiguousarray(test.images[places]),
        "labels": test.labels[places],
        "predicted": evaluation.predicted[places],
        "sure": evaluation.probabilities[places].max(axis=1),
        "places": places,
    }


def write(evaluation: "Evaluation", numbers: Mapping[str, Any], mistakes: Mapping[str, np.ndarray], root: Path) -> None:
    classes, bins, scores = evaluation.classes, evaluation.reliability, evaluation.by_class
    measured = zip(*(column.tolist() for column in (scores.precision, scores.recall, scores.f1, scores.support)), strict=True)
    by_class = ([name, *without_nan(values)] for name, values in zip(classes, measured, strict=True))
    results.write_measured(root, numbers, by_class=by_class, mistakes=mistakes)
    folder = root / results.PER_CLASS.parent
    pairs = zip(evaluation.labels.tolist(), evaluation.predicted.tolist(), strict=True)
    tables.write(
        folder / "predictions.csv", ["actual", "predicted"], ((classes[is_], classes[predicted]) for is_, predicted in pairs)
    )
    columns = [bins.low, bins.high, bins.confidence, bins.accuracy, bins.count]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    filled = ([place, *without_nan(row)] for place, row in enumerate(rows))
    tables.write(folder / "calibration.csv", ["bin", "low", "high", "confidence", "accuracy", "count"], filled)


def without_nan(row: Iterable[float]) -> list[object]:
    return ["" if math.isnan(number) else number for number in row]


def draw_measured(tested: Tested) -> Drawn:
    from filterlab.visualization import calibration, confusion, gallery, per_class
    from filterlab.visualization.style import drawable

    evaluation, subject = tested.evaluation, tested.subject
    classes, shown = drawable(evaluation.classes), evaluation.mistakes[:SHOWN]
    if classes != evaluation.classes:
        legend = ", ".join(f"{number} {name}" for number, name in enumerate(evaluation.classes[:NAMED]))
        print(f"NOTE: no installed font has the letters of all classes, so that figures number them: {legend}")
    yield "evaluation/confusion_matrix", confusion.draw_confusion(evaluation.confusion, classes=classes, subject=subject)
    mistakes = gallery.mistakes(
        tested.test.images[shown],
        predicted=[classes[k] for k in evaluation.predicted[shown]],
        actual=[classes[k] for k in tested.test.labels[shown]],
        sure=evaluation.probabilities[shown].max(axis=1),
        errors=len(evaluation.mistakes),
        subject=subject,
    )
    yield "evaluation/mistakes", mistakes
    yield "evaluation/calibration", calibration.draw_calibration(evaluation.reliability, subject=subject)
    yield "evaluation/per_class", per_class.draw_per_class(evaluation.by_class, classes=classes, subject=subject)


FIGURES: list[Callable[[Tested], Drawn]] = [draw_measured]
