"""Topic 16: what the filters of a trained network look for, by several techniques, each with its check."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context, Record, part
from filterlab.lecture.plots import add_panels, means_and_bars, new_figure
from filterlab.lecture.result import Check, Floats, Result, Table, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, fit, record_all, writable
from filterlab.models import shapes
from filterlab.study.claims import Hypothesis, compare, count_verdicts
from filterlab.study.statistics import mean_interval
from filterlab.visualization.style import BLUE, MUTED
from filterlab.visualization.trained import Trained, typical

TOPIC = "learned_filters"
POOL = 50_000  # training images are the first of MNIST's, validation images follow these
SEES = {"conv1": 5, "conv2": 10, "conv3": 20}  # pixels to a side
CHANCE = "random"  # the map that knows nothing


@dataclass(frozen=True)
class Look:
    """A training, and what was measured of its network.

    Attributes:
        roughness: of the first layer's filters before training, and of the best epoch's.
        made, strongest: by layer, each filter's activation by the image made for it, and by the training patch it answers most.
        deleted: by method, and CHANCE, the area under the probability of the class while pixels are deleted.
        sees: by layer, the pixels to a side that a unit sees.
    """

    outcome: Outcome
    roughness: tuple[float, float]
    made: Mapping[str, Floats]
    strongest: Mapping[str, Floats]
    deleted: Mapping[str, float]
    sees: Mapping[str, Sequence[int]]

    def record(self) -> Record:
        found = self.outcome.record()
        metrics = {"roughness/untrained": self.roughness[0], "roughness/trained": self.roughness[1]}
        metrics |= {f"made/{name}": float(own.mean()) for name, own in self.made.items()}
        metrics |= {f"strongest/{name}": float(own.mean()) for name, own in self.strongest.items()}
        metrics |= {f"deleted/{name}": area for name, area in self.deleted.items()}
        return Record(found.params, {**found.metrics, **metrics}, found.curves)


Looks = Mapping[int, Look]  # by seed


def look_at_learned_filters(context: Context) -> Result:
    jobs = {seed: training(context, seed) for seed in range(context.budget(full=5, quick=2))}
    looks = record_all(context, look, jobs)
    hypotheses = judge_hypotheses(looks)
    return Result(
        checks=check_looks(context, looks),
        figures={**draw_network(network_of(jobs[0], looks[0].outcome)), "deleted": plot_deleted(looks)},
        hypotheses=hypotheses,
        tables=[tabulate_layers(looks), tabulate_deleted(looks)],
        conclusion=conclude_looks(looks, hypotheses),
    )


def network(context: Context) -> list[str]:
    first, second, third = context.budget(full=(8, 16, 32), quick=(2, 3, 4))
    layers = (
        f"{{filters: {first}, kernel: 5, pool: 2}}, {{filters: {second}, kernel: 3, pool: 2}}, {{filters: {third}, kernel: 3}}"
    )
    return ["model=conv_net", f"model.layers=[{layers}]", "model.hidden=[]", "model.dropout=0", "optimizer.lr=0.003"]


def training(context: Context, seed: int) -> Job:
    images, validation, epochs = context.budget(full=(10_000, 5_000, 8), quick=(300, 100, 1))
    config = context.compose_training(*network(context), epochs=epochs, seed=seed)
    shown = part(context.train, slice(POOL, POOL + validation))
    return Job({"seed": seed}, config, train=part(context.train, slice(images)), validation=shown)


def network_of(job: Job, outcome: Outcome) -> Trained:
    return Trained(
        model=job.config.model,
        predictor=outcome.predictor,
        train=writable(job.train),
        validation=writable(job.validation),
        curves={},
        first_layers=outcome.first_layers,
        subject="MNIST",
        seed=job.config.seed,
    )


def look(job: Job) -> Look:
    """Train a network and measure it, in the process this is called in."""
    from filterlab.visualization import measured

    outcome = fit(job)
    trained = network_of(job, outcome)
    by_method = measured.explained(trained)["by_method"]
    return Look(
        outcome,
        roughness=(roughness(outcome.first_layers[0]), roughness(outcome.first_layers[outcome.best_epoch])),
        made={name: found.activations.astype(np.float64) for name, found in trained.optimised.items()},
        strongest={name: trained.strongest[name].activations[:, 0].astype(np.float64) for name in trained.optimised},
        deleted={name: found["deletion"] for name, found in by_method.items()},
        sees={name: [span.size for span in window] for name, window in trained.windows.items()},
    )


def roughness(filters: Any) -> float:
    """Mean over filters (K, C, H, W) of the squared differences of neighbors, summed, over twice the squared weights, summed."""
    given = np.asarray(filters, np.float64)
    steps = sum((np.diff(given, axis=axis) ** 2).sum(axis=(1, 2, 3)) for axis in (2, 3))
    return float((steps / (2 * (given**2).sum(axis=(1, 2, 3)))).mean())


def check_looks(context: Context, looks: Looks) -> list[Check]:
    size = {"channels": 1, "height": 28, "width": 28, "classes": 10}
    counted = shapes.parameter_count(shapes.layers(context.compose(*network(context)).model, **size))
    first = next(iter(looks.values()))
    slope = np.add.outer(np.arange(3.0), np.arange(3.0))[None, None]
    return [
        equal("parameters of the network", first.outcome.parameters, counted),
        equal(
            "pixels to a side that a filter of each layer sees",
            [list(first.sees[name]) for name in SEES],
            [[side, side] for side in SEES.values()],
        ),
        equal("roughness of a 3x3 slope: 12 steps of 1, squared weights of 48", roughness(slope), 12 / 96),
    ]


def judge_hypotheses(looks: Looks) -> list[Hypothesis]:
    def by_seed(of: Callable[[Look], float]) -> dict[int, float]:
        return {seed: of(found) for seed, found in looks.items()}

    def area(name: str) -> dict[int, float]:
        return by_seed(lambda found: found.deleted[name])

    untrained, trained = by_seed(lambda found: found.roughness[0]), by_seed(lambda found: found.roughness[1])
    claims = [compare("training makes the first layer's filters smoother", untrained, trained, unit="of roughness")]
    for name in SEES:
        made, strongest = ({seed: float(own[name].mean()) for seed, own in found.items()} for found in activations(looks))
        claim = f"the image made for a filter of {name} excites it more than every training patch"
        claims.append(compare(claim, made, strongest, unit="of activation, a mean over the filters"))
    for name in methods(looks):
        claim = f"{name} finds what the answer rests on better than a random map"
        claims.append(compare(claim, area(CHANCE), area(name), unit="of the area under the deletion curve"))
    return claims


def activations(looks: Looks) -> list[dict[int, Mapping[str, Floats]]]:
    """By seed and layer: by the images made for the filters, and by the strongest patches."""
    return [{seed: own.made for seed, own in looks.items()}, {seed: own.strongest for seed, own in looks.items()}]


def share_above(looks: Looks, name: str) -> list[float]:
    """By seed, the share of a layer's filters that the image made for them excites more than every training patch."""
    return [float((own.made[name] > own.strongest[name]).mean()) for own in looks.values()]


def methods(looks: Looks) -> list[str]:
    return [name for name in next(iter(looks.values())).deleted if name != CHANCE]


def tabulate_layers(looks: Looks) -> Table:
    rows = []
    for name, side in SEES.items():
        means = [mean_interval([own[name].mean() for own in found.values()], ".2f") for found in activations(looks)]
        number = len(next(iter(looks.values())).made[name])
        rows.append([name, str(number), f"{side}x{side}", *means, f"{np.mean(share_above(looks, name)):.0%}"])
    return new_table(TOPIC, "layers", rows, seeds=len(looks))


def tabulate_deleted(looks: Looks) -> Table:
    rows = [[name, mean_interval([found.deleted[name] for found in looks.values()], ".3f")] for name in [*methods(looks), CHANCE]]
    return new_table(TOPIC, "deleted", rows, seeds=len(looks))


def conclude_looks(looks: Looks, hypotheses: Sequence[Hypothesis]) -> str:
    before, after = np.mean([found.roughness for found in looks.values()], axis=0)
    last = [*SEES][-1]
    share = float(np.mean(share_above(looks, last)))
    values = {"before": before, "after": after, "last": last, "share": share, "verdicts": count_verdicts(hypotheses)}
    return conclude(TOPIC, "found", **values)


def draw_network(trained: Trained) -> dict[str, Figure]:
    """One network: its filters, the patches and images that excite them, and maps of why it answers."""
    import torch

    from filterlab.evaluation.metrics import softmax
    from filterlab.evaluation.predict import predict
    from filterlab.visualization import attribution, explained, feature_maps, maximise, patches, strongest
    from filterlab.visualization.gallery import visible

    predictor, subject = trained.predictor, trained.subject
    image = typical(trained.validation)
    cut = {name: patches.crop(trained.train.images, trained.strongest[name], trained.windows[name]) for name in SEES}
    layers, untrained = (feature_maps.record(of, torch.from_numpy(image[None])) for of in (predictor, trained.untrained))
    answered = next(layer for layer in layers if layer.name == trained.layers["conv1"])
    present = np.unique(trained.validation.labels)  # `typical` takes the middle one
    figures = {
        "first_layer": strongest.draw_first_layer(
            predictor.network.get_submodule("conv1").get_parameter("weight").detach().numpy(),
            cut["conv1"],
            image=image,
            maps=answered.maps[0],
            names=[],
            name="conv1",
            subject=subject,
        ),
        "feature_maps": feature_maps.draw_feature_maps(
            layers,
            visible(image[None])[0],
            index=0,
            label=str(present[len(present) // 2]),
            subject=f"{subject}, a validation image",
            untrained=untrained,
        ),
        "patches": strongest.draw_layer(cut["conv3"], trained.strongest["conv3"].activations, name="conv3", subject=subject),
    }
    best = patches.first(trained.strongest["conv3"])
    figures["optimised"] = maximise.draw_channels(
        trained.optimised["conv3"], cut["conv3"][:, 0], best.activations[:, 0], name="conv3", subject=subject
    )
    surest = trained.train.images[trained.strongest[trained.plan.layers[-1].name].indices[:, 0]]
    sure = np.diagonal(softmax(predict(predictor, surest)))
    figures["classes"] = maximise.draw_classes(trained.of_classes, surest, sure, names=trained.drawable, subject=subject)
    labels, probabilities = trained.validation.labels, softmax(trained.validated)
    right = np.flatnonzero(trained.validated.argmax(axis=1) == labels)
    rows = right[np.unique(labels[right], return_index=True)[1]]
    maps = {
        name: attribution.explain(of, predictor, trained.validation.images[rows], labels[rows])
        for name, of in trained.methods.methods.items()
    }
    cells = [
        explained.Cell(
            trained.validation.images[row],
            f"{labels[row]}, {probabilities[row, labels[row]]:.1%}",
            {name: found[place] for name, found in maps.items()},
        )
        for place, row in enumerate(rows)
    ]
    figures["answers"] = explained.draw_explained(cells, title="Why this answer", subject=f"{subject}, validation images")
    return figures


def plot_deleted(looks: Looks) -> Figure:
    names = [*methods(looks), CHANCE]
    drawn = new_figure(TOPIC, "deleted", 8.5, 3.4, seeds=len(looks))
    (axes,) = add_panels(drawn)
    means, ends = means_and_bars([[found.deleted[name] for found in looks.values()] for name in names])
    places: Floats = np.arange(len(names))[::-1].astype(np.float64)
    colors = [MUTED if name == CHANCE else BLUE for name in names]
    axes.errorbar(means, places, xerr=ends, fmt="none", ecolor=MUTED, capsize=4)
    axes.scatter(means, places, c=colors, s=40, zorder=3)
    axes.set_yticks(places, names)
    axes.set(xlabel="area under the curve of the probability, the most important pixels deleted first", xlim=(0, None))
    axes.set_ylim(-0.5, len(names) - 0.5)
    return drawn
