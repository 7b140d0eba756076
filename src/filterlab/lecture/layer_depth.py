"""Topic 17: layers by depth: what a linear probe reads from each, how specific its channels are, and how many it should have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from filterlab.lecture.context import Context, Record, part
from filterlab.lecture.learned_filters import network_of
from filterlab.lecture.plots import add_panels, means_and_bars, new_figure
from filterlab.lecture.result import Check, Result, Table, between, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, fit, record_all
from filterlab.models import shapes
from filterlab.study.claims import Hypothesis, compare, count_verdicts
from filterlab.study.statistics import mean_interval
from filterlab.visualization.style import BLUE, ORANGE

TOPIC = "layer_depth"
POOL = 50_000  # training images are the first of MNIST's, validation images follow these
MORE, FEWER = "fewer, then more", "more, then fewer"  # filters
WIDTHS = {MORE: (8, 16, 32), FEWER: (36, 18, 10)}
SMALL = {MORE: (2, 4, 8), FEWER: (11, 6, 3)}  # for the quick budget
LAYERS = ["conv1", "conv2", "conv3"]
SEES = [3, 8, 18]  # pixels to a side
COLORS = {"trained": BLUE, "untrained": ORANGE}
IMAGE = {"channels": 1, "height": 28, "width": 28, "classes": 10}


@dataclass(frozen=True)
class Depth:
    """A training, and what was measured of its layers.

    Attributes:
        probe: by "trained" and "untrained" and layer, the accuracy of a linear probe on validation images.
        selectivity: likewise, the mean over the layer's channels, from 0 (all classes alike) to 1 (one class alone).
        sees: by layer, the pixels to a side that a unit sees.
    """

    outcome: Outcome
    probe: Mapping[str, Mapping[str, float]]
    selectivity: Mapping[str, Mapping[str, float]]
    sees: Mapping[str, int]

    def record(self) -> Record:
        found = self.outcome.record()
        metrics = {
            f"{what}/{which}/{layer}": number
            for what, measured in (("probe", self.probe), ("selectivity", self.selectivity))
            for which, by_layer in measured.items()
            for layer, number in by_layer.items()
        }
        return Record(found.params, {**found.metrics, **metrics}, found.curves)


Depths = Mapping[str, Mapping[int, Depth]]  # by the widths' name and seed


def compare_layers(context: Context) -> Result:
    seeds = range(context.budget(full=8, quick=2))
    jobs = {(name, seed): training(context, name, seed) for name in WIDTHS for seed in seeds}
    measured = record_all(context, measure, jobs)
    depths = {name: {seed: measured[name, seed] for seed in seeds} for name in WIDTHS}
    hypotheses = judge_hypotheses(depths)
    return Result(
        checks=check_depths(context, depths),
        figures={"depth": plot_depth(depths[MORE]), "widths": plot_widths(context, depths)},
        hypotheses=hypotheses,
        tables=[tabulate_layers(depths[MORE]), tabulate_widths(context, depths)],
        conclusion=conclude_depth(depths, hypotheses),
    )


def widths(context: Context, name: str) -> tuple[int, ...]:
    return context.budget(full=WIDTHS, quick=SMALL)[name]


def network(context: Context, name: str) -> list[str]:
    first, second, third = (f"filters: {number}, kernel: 3" for number in widths(context, name))
    layers = f"{{{first}, pool: 2}}, {{{second}, pool: 2}}, {{{third}}}"
    return ["model=conv_net", f"model.layers=[{layers}]", "model.hidden=[]", "model.dropout=0", "optimizer.lr=0.003"]


def training(context: Context, name: str, seed: int) -> Job:
    images, validation, epochs = context.budget(full=(10_000, 10_000, 8), quick=(300, 100, 1))
    config = context.compose_training(*network(context, name), epochs=epochs, seed=seed)
    shown = part(context.train, slice(POOL, POOL + validation))
    return Job({"filters": name, "seed": seed}, config, train=part(context.train, slice(images)), validation=shown)


def measure(job: Job) -> Depth:
    """Train a network and measure its layers, in the process this is called in."""
    outcome = fit(job)
    trained = network_of(job, outcome)
    compared = trained.compared
    return Depth(
        outcome,
        probe={which: {layer: of.accuracy[layer] for layer in LAYERS} for which, of in compared.items()},
        selectivity={which: {layer: float(of.selectivity[layer].mean()) for layer in LAYERS} for which, of in compared.items()},
        sees={layer: trained.sees[layer] for layer in LAYERS},
    )


def check_depths(context: Context, depths: Depths) -> list[Check]:
    counts = [parameters(context, name) for name in WIDTHS]
    own = [next(iter(depths[name].values())).outcome.parameters for name in WIDTHS]
    first = next(iter(depths[MORE].values()))
    return [
        equal(f"parameters of the networks: {MORE}; {FEWER}", own, counts),
        between("the smaller count over the larger one", min(counts) / max(counts), context.budget(full=0.99, quick=0.95)),
        equal("pixels to a side that a unit of each layer sees: r + (k - 1) j", [first.sees[layer] for layer in LAYERS], SEES),
    ]


def parameters(context: Context, name: str) -> int:
    return shapes.parameter_count(shapes.layers(context.compose(*network(context, name)).model, **IMAGE))


def judge_hypotheses(depths: Depths) -> list[Hypothesis]:
    found = depths[MORE]
    first, last = LAYERS[0], LAYERS[-1]

    def probe(which: str, layer: str) -> dict[int, float]:
        return {seed: own.probe[which][layer] for seed, own in found.items()}

    def selectivity(which: str, layer: str) -> dict[int, float]:
        return {seed: own.selectivity[which][layer] for seed, own in found.items()}

    def gain(which: str) -> dict[int, float]:
        return {seed: probe(which, last)[seed] - probe(which, first)[seed] for seed in found}

    accuracy = {name: {seed: own.outcome.best("validation/accuracy") for seed, own in depths[name].items()} for name in WIDTHS}
    points = "points of a probe's accuracy"
    return [
        compare(
            f"a linear probe reads more from {last} than from {first}",
            probe("trained", last),
            probe("trained", first),
            unit=points,
            scale=100,
        ),
        compare(
            "that gain is larger in the trained network than in the untrained one",
            gain("trained"),
            gain("untrained"),
            unit=points,
            scale=100,
        ),
        compare(
            f"channels of {last} are more class-specific than those of {first}",
            selectivity("trained", last),
            selectivity("trained", first),
            unit="of selectivity",
        ),
        compare(
            f"training makes {last} more class-specific",
            selectivity("trained", last),
            selectivity("untrained", last),
            unit="of selectivity",
        ),
        compare(
            f"training leaves {first} as general as it was: it gains less selectivity than {last}",
            {seed: selectivity("trained", last)[seed] - selectivity("untrained", last)[seed] for seed in found},
            {seed: selectivity("trained", first)[seed] - selectivity("untrained", first)[seed] for seed in found},
            unit="of selectivity",
        ),
        compare(
            f"{MORE} filters beat {FEWER}, with as many parameters",
            accuracy[MORE],
            accuracy[FEWER],
            unit="points of validation accuracy",
            scale=100,
        ),
    ]


def tabulate_layers(found: Mapping[int, Depth]) -> Table:
    rows = []
    for layer, side in zip(LAYERS, SEES, strict=True):
        cells = [f"{side}x{side}"]
        for which in COLORS:
            cells.append(mean_interval([own.probe[which][layer] for own in found.values()], ".1f", scale=100))
        for which in COLORS:
            cells.append(mean_interval([own.selectivity[which][layer] for own in found.values()], ".2f"))
        rows.append([layer, *cells])
    return new_table(TOPIC, "layers", rows, seeds=len(found))


def tabulate_widths(context: Context, depths: Depths) -> Table:
    rows = []
    for name, found in depths.items():
        accuracy = mean_interval([own.outcome.best("validation/accuracy") for own in found.values()], ".2f", scale=100)
        rows.append([name, " ".join(map(str, widths(context, name))), f"{parameters(context, name):,}", accuracy])
    return new_table(TOPIC, "widths", rows, seeds=len(depths[MORE]))


def conclude_depth(depths: Depths, hypotheses: Sequence[Hypothesis]) -> str:
    found = list(depths[MORE].values())
    first, last = LAYERS[0], LAYERS[-1]
    means = {
        f"{what}_{place}": float(np.mean([getattr(own, what)[which][layer] for own in found]))
        for what in ("probe", "selectivity")
        for place, which, layer in (("first", "trained", first), ("last", "trained", last), ("untrained", "untrained", last))
    }
    return conclude(TOPIC, "depth", **means, verdicts=count_verdicts(hypotheses))


def plot_depth(found: Mapping[int, Depth]) -> Figure:
    drawn = new_figure(TOPIC, "depth", 12, 3.9, seeds=len(found))
    probes, selective, seen = add_panels(drawn, columns=3)
    places = np.arange(len(LAYERS))
    for which, color in COLORS.items():
        for axes, what, scale in ((probes, "probe", 100), (selective, "selectivity", 1)):
            groups = [[scale * getattr(own, what)[which][layer] for own in found.values()] for layer in LAYERS]
            means, ends = means_and_bars(groups)
            axes.errorbar(places, means, ends, label=which, color=color, linewidth=1.8, marker="o", markersize=5, capsize=4)
    seen.plot(places, SEES, "o-", color=BLUE, linewidth=1.8)
    probes.set_title("accuracy of a linear probe (%)")
    selective.set_title("class selectivity, mean of the channels")
    seen.set_title("pixels to a side that a unit sees")
    for axes in (probes, selective, seen):
        axes.set_xticks(places, LAYERS)
    for axes in (selective, seen):
        axes.set_ylim(bottom=0)
    probes.legend(loc="best")
    return drawn


def plot_widths(context: Context, depths: Depths) -> Figure:
    drawn = new_figure(TOPIC, "widths", 8.5, 3.2, seeds=len(depths[MORE]))
    (axes,) = add_panels(drawn)
    places = np.arange(len(depths))[::-1].astype(np.float64)
    for place, (_, found), color in zip(places, depths.items(), (BLUE, ORANGE), strict=True):
        errors = [100 * (1 - own.outcome.best("validation/accuracy")) for own in found.values()]
        means, ends = means_and_bars([errors])
        axes.scatter(errors, np.full(len(errors), place), s=22, color=color, alpha=0.5, zorder=3)
        axes.errorbar(means, [place - 0.22], xerr=ends, fmt="D", color=color, capsize=4)
    names = [f"{name}\n{', '.join(map(str, widths(context, name)))} filters" for name in depths]
    axes.set_yticks(places, names)
    axes.set(xlabel="validation error (%)", ylim=(-0.6, len(depths) - 0.5), xlim=(0, None))
    return drawn
