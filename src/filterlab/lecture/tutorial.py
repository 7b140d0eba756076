"""The lecture's exercise of 2020: its data, its network from several seeds, and its result beside the lecturer's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from filterlab.config import schema
from filterlab.data import split
from filterlab.data.arrays import LabelledImages
from filterlab.evaluation import metrics
from filterlab.evaluation.summary import evaluate
from filterlab.lecture.context import Context, by_setting, part
from filterlab.lecture.result import Check, Result, Table, below, between, close, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, train_all
from filterlab.models import shapes
from filterlab.pages import play
from filterlab.study.statistics import mean_interval, summarize
from filterlab.visualization import confusion, curves, filters, gallery
from filterlab.visualization.style import size

IMAGE = {"channels": 1, "height": 28, "width": 28, "classes": 10}
LAYERS = {  # of the exercise's network: channels, height and width behind the layer, parameters
    "conv1": [32, 26, 26, 320],
    "conv2": [32, 24, 24, 9_248],
    "pool1": [32, 12, 12, 0],
    "flatten": [4608, 1, 1, 0],
    "fc1": [32, 1, 1, 147_488],
    "fc2": [10, 1, 1, 330],
}
LECTURER = ["0.911", "0.977", "13", "18", "0.970", "0.105"]


class Setting(NamedTuple):
    """filters: of both convolutions; kernel: side of the first one's."""

    filters: int
    kernel: int

    @property
    def cells(self) -> list[str]:
        return [str(self.filters), size(self.kernel, self.kernel)]


EXERCISE = Setting(32, 3)
Trained = dict[Setting, dict[int, Outcome]]  # by setting and seed


@dataclass(frozen=True)
class Data:
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


def data(context: Context) -> Data:
    """As experiment=tutorial takes and splits them; quick: a tenth of the training images, 500 of the test set."""
    asked = context.compose("experiment=tutorial").data
    number = context.budget(full=asked.take_n, quick=asked.take_n // 10)
    taken = part(context.train, split.subset(context.train.labels, take=asked.take, take_n=number, seed=asked.seed))
    trains, validates = split.split(taken.labels, validation=asked.validation, how=asked.split, seed=asked.seed)
    test = part(context.test, slice(context.budget(full=None, quick=500)))
    return Data(train=part(taken, trains), validation=part(taken, validates), test=test)


def config(context: Context, setting: Setting, *, seed: int) -> schema.Config:
    words = [f"model.filters={setting.filters}", f"model.kernel={setting.kernel}", f"seed={seed}"]
    return context.compose("experiment=tutorial", *words, *context.budget(full=[], quick=["trainer.max_epochs=2"]))


def train_settings(context: Context, data: Data, seeds: Mapping[Setting, Sequence[int]]) -> Trained:
    """The exercise's training of every setting from each of its seeds."""
    jobs = {
        (setting, seed): Job(
            params={"part": "exercise", "filters": setting.filters, "kernel": setting.kernel, "seed": seed},
            config=config(context, setting, seed=seed),
            train=data.train,
            validation=data.validation,
            test=data.test,
        )
        for setting, wanted in seeds.items()
        for seed in wanted
    }
    return by_setting(train_all(context, jobs))


def examine_exercise(context: Context, data: Data, outcomes: Mapping[int, Outcome]) -> Result:
    """outcomes: the exercise's own, by seed."""
    accuracy = mean_interval([outcome.test_accuracy for outcome in outcomes.values()], ".2f", scale=100)
    return Result(
        checks=[*check_data(context, data), *check_network(context), *check_training(context, data, outcomes)],
        figures=figures(outcomes[0], data, names=list(context.mnist.classes)),
        tables=[beside_lecturer(outcomes)],
        conclusion=conclude("algorithm", "exercise", accuracy=accuracy, seeds=len(outcomes)),
        play=describe_play(context, outcomes[0], data),
    )


def check_data(context: Context, data: Data) -> list[Check]:
    first, last = context.budget(full=(4000, 5000), quick=(400, 500))
    sizes = [len(images) for images in (data.train, data.validation, data.test)]
    same = np.array_equal(data.validation.images, context.train.images[first:last])
    return [
        equal(
            "images to train, to validate and to test", sizes, context.budget(full=[4000, 1000, 10_000], quick=[400, 100, 500])
        ),
        equal(f"validation is the last fifth, in the file's order: images {first:,} to {last - 1:,}", same, True),
    ]


def check_network(context: Context) -> list[Check]:
    found = {layer.name: layer for layer in shapes.layers(config(context, EXERCISE, seed=0).model, **IMAGE)}
    traced = [[found[name].channels, found[name].height, found[name].width, found[name].parameters] for name in LAYERS]
    return [
        equal(f"channels, height, width and parameters of {', '.join(LAYERS)}", traced, list(LAYERS.values())),
        equal("parameters of the exercise's network", shapes.parameter_count(list(found.values())), 157_386),
    ]


def check_training(context: Context, data: Data, outcomes: Mapping[int, Outcome]) -> list[Check]:
    from filterlab.evaluation.predict import predict

    settings = config(context, EXERCISE, seed=0).trainer
    trained, labels = outcomes.values(), data.validation.labels
    restored = [predict(outcome.predictor, data.validation.images.copy()) for outcome in trained]
    kept = [outcome.network.conv1.weight.detach().numpy() for outcome in trained]
    checks = [
        below(
            "largest initial weight of conv1, beside Glorot's limit",
            max(float(np.abs(outcome.first_layers[0]).max()) for outcome in trained),
            round((6 / (9 + 9 * 32)) ** 0.5, 6),
        ),
        equal(
            f"last epoch of each seed: best + {settings.patience}, at most {settings.max_epochs}",
            [len(outcome.curves["validation/accuracy"]) for outcome in trained],
            [min(outcome.best_epoch + settings.patience, settings.max_epochs) for outcome in trained],
        ),
        equal(
            "restored filters of conv1 are the best epoch's, to the bit, in each seed",
            [np.array_equal(ours, outcome.first_layers[outcome.best_epoch]) for ours, outcome in zip(kept, trained, strict=True)],
            [True] * len(trained),
        ),
        close(
            "validation accuracy of the restored weights is the best one recorded, in each seed",
            [metrics.accuracy(logits, labels) for logits in restored],
            [max(outcome.curves["validation/accuracy"]) for outcome in trained],
            tolerance=1e-9,
        ),
        close(
            "validation loss of the restored weights is the best epoch's, in each seed",
            [metrics.cross_entropy(logits, labels) for logits in restored],
            [round(outcome.best("validation/loss"), 6) for outcome in trained],
            tolerance=1e-5,
        ),
    ]
    if not context.quick:
        mean = summarize(outcome.test_accuracy for outcome in trained).mean
        checks.append(between("test accuracy of the exercise, mean over seeds", mean, 0.96, 0.98))
    return checks


def beside_lecturer(outcomes: Mapping[int, Outcome]) -> Table:
    """The lecturer's run, the means over our seeds, and a row a seed."""
    rows = {seed: run_in_numbers(outcome) for seed, outcome in outcomes.items()}
    columns = zip(zip(*rows.values(), strict=True), (".3f", ".3f", ".1f", ".1f", ".4f", ".3f"), strict=True)
    ours = [mean_interval(column, form) for column, form in columns]
    cells = [["the lecturer", *LECTURER], [f"mean of {len(rows)} seeds", *ours]]
    cells += [[f"seed {seed}", *(f"{value:.4g}" for value in row)] for seed, row in rows.items()]
    return new_table("algorithm", "lecturer", cells)


def run_in_numbers(outcome: Outcome) -> list[float]:
    assert outcome.logits is not None and outcome.test_labels is not None
    by_epoch = outcome.curves["validation/accuracy"]
    test = [outcome.test_accuracy, metrics.cross_entropy(outcome.logits, outcome.test_labels)]
    return [by_epoch[0], outcome.best("validation/accuracy"), outcome.best_epoch, len(by_epoch), *test]


def describe_play(context: Context, outcome: Outcome, data: Data) -> dict[str, Any]:
    """What the page is of in which the network of seed 0 runs: with images that it gets right and wrong."""
    assert outcome.logits is not None
    names = list(context.mnist.classes)
    measured = evaluate(outcome.logits, data.test.labels, classes=names, data_name="MNIST")
    surest = measured.mistakes[:16]
    sure = measured.probabilities[surest].max(axis=1)
    said = zip(measured.predicted[surest].tolist(), sure.tolist(), surest.tolist(), strict=True)
    notes = [f"test image {place}: it said {names[k]}, {share:.1%} sure" for k, share, place in said]
    predictor = outcome.predictor
    return play.describe(
        config(context, EXERCISE, seed=0).model,
        {name: tensor.numpy() for name, tensor in predictor.network.state_dict().items()},
        description={
            "data": {"name": "MNIST", "channels": 1, "height": 28, "width": 28, "classes": names},
            "mean": predictor.mean.flatten().tolist(),
            "std": predictor.std.flatten().tolist(),
        },
        rule=context.mnist.rule,
        examples=play.first_of_each(data.validation.images, data.validation.labels, classes=len(names)),
        mistakes=play.Pictures(data.test.images[surest], data.test.labels[surest], notes),
        epochs=outcome.first_layers,
        chosen=outcome.best_epoch,
    )


def figures(outcome: Outcome, data: Data, *, names: list[str]) -> dict[str, Figure]:
    """Of the best epoch of seed 0."""
    import torch

    from filterlab.visualization import feature_maps

    assert outcome.logits is not None
    measured = evaluate(outcome.logits, data.test.labels, classes=names, data_name="MNIST")
    subject = "The exercise's network, seed 0, best epoch"
    epochs = list(range(1, len(outcome.curves["train/loss"]) + 1))
    surest = measured.mistakes[:16]
    first = data.train.images[:1].copy()
    label = names[data.train.labels[0]]
    chosen = [float(epoch == outcome.best_epoch) for epoch in epochs]
    columns: dict[str, Sequence[float]] = {**outcome.curves, "epoch": epochs, "chosen": chosen}
    with matplotlib.rc_context({"lines.linewidth": 1.5}):  # as in the report of a training
        training = curves.draw_curves(columns, subject="The exercise, seed 0")
    return {
        "curves": training,
        "confusion": confusion.draw_confusion(measured.confusion, classes=names, subject=f"{subject}, on the test set"),
        "mistakes": gallery.mistakes(
            data.test.images[surest],
            predicted=[names[k] for k in measured.predicted[surest]],
            actual=[names[k] for k in data.test.labels[surest]],
            sure=measured.probabilities[surest].max(axis=1),
            errors=len(measured.mistakes),
            subject=f"{subject}, on the test set",
        ),
        "filters": filters.single_channel(outcome.first_layers[outcome.best_epoch][:, 0], name="conv1", subject=subject),
        "activations": feature_maps.draw_feature_maps(
            feature_maps.record(outcome.predictor, torch.from_numpy(first)),
            first[0, 0],
            index=0,
            label=label,
            subject="The exercise, seed 0, first training image",
        ),
    }
