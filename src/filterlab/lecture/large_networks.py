"""Topic 15: networks of a hundred layers, with and without shortcuts, and the dense layers at the end of AlexNet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from filterlab.data.arrays import LabelledImages
from filterlab.lecture.context import Context, by_setting, part
from filterlab.lecture.plots import new_figure, share_limits
from filterlab.lecture.result import Check, Floats, Result, Table, close, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, train_all
from filterlab.models import shapes
from filterlab.models.architectures.resnet import ResNet
from filterlab.study.claims import Hypothesis, compare
from filterlab.study.statistics import plus_minus, summarize
from filterlab.visualization.style import BLUE, MARGIN, ORANGE, panel

SIDE, WIDTH = 14, 4
PAPER = {20: 0.27, 56: 0.85, 110: 1.7}  # million parameters of its networks on CIFAR-10 (arXiv 1512.03385, table 6)
DENSE, DENSE_PARAMETERS = [[9216, 4096], [4096, 4096], [4096, 1000]], [37_752_832, 16_781_312, 4_097_000]
COLORS = {20: BLUE, 56: "#009e73", 110: ORANGE}  # of Okabe and Ito's palette


@dataclass(frozen=True)
class Kind:
    residual: bool
    depth: int


@dataclass(frozen=True)
class Seen:
    """Of one training: the norm of each convolution's gradient before it, by depth, and its curves."""

    gradients: Floats
    outcome: Outcome

    @property
    def span(self) -> float:
        """Factors of ten between the largest and the smallest gradient of a convolution."""
        return float(np.log10(self.gradients.max() / self.gradients.min()))

    @property
    def train(self) -> float:
        return self.outcome.curves["train/accuracy"][-1]

    @property
    def validation(self) -> float:
        return self.outcome.best("validation/accuracy")


Measured = Mapping[Kind, Mapping[int, Seen]]  # by network and seed


def train_large_networks(context: Context) -> Result:
    seeds = range(context.budget(full=4, quick=2))
    kinds = [Kind(residual, depth) for residual in (False, True) for depth in context.budget(full=tuple(PAPER), quick=(20, 110))]
    jobs = {(kind, seed): residual_job(context, kind, seed) for kind in kinds for seed in seeds}
    outcomes = train_all(context, jobs)
    measured = by_setting({key: Seen(gradient_norms(jobs[key]), outcome) for key, outcome in outcomes.items()})
    classifier_checks, classifier_table = check_classifier()
    return Result(
        checks=[*check_depths(), *classifier_checks],
        hypotheses=judge_hypotheses(measured),
        figures={"gradients": plot_gradients(measured), "training": plot_training(measured)},
        tables=[tabulate_networks(measured), classifier_table],
        conclusion=conclude_deepest(measured),
    )


def residual_job(context: Context, kind: Kind, seed: int) -> Job:
    train, validation = context.budget(full=(2048, 1024), quick=(64, 32))
    config = context.compose_training(
        *("model=resnet", f"model.depth={kind.depth}", f"model.width={WIDTH}", f"model.residual={kind.residual}"),
        *(f"data.height={SIDE}", f"data.width={SIDE}"),
        *("optimizer.lr=0.003", "schedule=one_cycle", "trainer.batch_size=64"),
        epochs=context.budget(full=8, quick=2),
        seed=seed,
    )
    order = np.random.default_rng((15, seed)).permutation(len(context.train))
    drawn = [part(context.train, which) for which in (order[:train], order[train : train + validation])]
    smaller = [LabelledImages(images=halved(each.images), labels=each.labels) for each in drawn]
    return Job({**vars(kind), "seed": seed}, config, train=smaller[0], validation=smaller[1])


def halved(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, C, H, W) -> (N, C, H / 2, W / 2): the mean of each 2x2 pixels, rounded."""
    n, channels, height, width = images.shape
    return np.round(images.reshape(n, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5))).astype(np.uint8)


def gradient_norms(given: Job) -> Floats:
    """(depth - 1,): L2 norm, for each convolution's weights, of the gradient of the untrained network's loss on 64 images."""
    import torch

    from filterlab.data.prepare import pixel_statistics
    from filterlab.models import registry

    mean, std = pixel_statistics(given.train.images)
    network = registry.predictor(given.config, mean=mean, std=std).network.double()
    images = torch.from_numpy((given.train.images[:64] / 255 - mean) / std)
    labels = torch.from_numpy(given.train.labels[:64].astype(np.int64))
    weights = [layer.weight for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(network(images), labels), weights)
    return np.array([float(gradient.norm()) for gradient in gradients])


def judge_hypotheses(measured: Measured) -> list[Hypothesis]:
    """Stated before measuring; each difference is claimed to be positive."""
    plain, residual = ({depth: Kind(shortcuts, depth) for depth in (20, 110)} for shortcuts in (False, True))
    train, new = "points of training accuracy", "points of validation accuracy"
    factors = "factors of ten from the smallest to the largest"
    closer = "with 110 layers, the gradients before training lie closer together with shortcuts"
    rows = [
        ("plain, 20 layers train better than 110", "train", plain[20], plain[110], train, 100),
        ("with 110 layers, shortcuts train better than none", "train", residual[110], plain[110], train, 100),
        ("with 110 layers, shortcuts tell new images better", "validation", residual[110], plain[110], new, 100),
        ("with shortcuts, 110 layers train better than 20", "train", residual[110], residual[20], train, 100),
        (closer, "span", plain[110], residual[110], factors, 1),
    ]

    def of(kind: Kind, what: str) -> dict[int, float]:
        return {seed: getattr(seen, what) for seed, seen in measured[kind].items()}

    return [compare(claim, of(a, what), of(b, what), unit=unit, scale=scale) for claim, what, a, b, unit, scale in rows]


def check_depths() -> list[Check]:
    """Weighted layers and parameters of the paper's networks, without and with shortcuts, by models.shapes and by PyTorch."""
    import torch

    from filterlab.models import registry

    size = {"channels": 3, "height": 32, "width": 32, "classes": 10}
    checks = []
    for depth, millions in PAPER.items():
        models = [ResNet(name="resnet", depth=depth, width=16, residual=residual) for residual in (False, True)]
        with torch.device("meta"):
            networks = [registry.build(model, **size, seed=0) for model in models]
        layers = [sum(isinstance(part, torch.nn.Conv2d | torch.nn.Linear) for part in each.modules()) for each in networks]
        counts = [sum(part.numel() for part in network.parameters()) for network in networks]
        traced = [shapes.parameter_count(shapes.layers(model, **size)) for model in models]
        checks += [
            equal(f"depth {depth}: layers with weights, without and with shortcuts", layers, [depth, depth]),
            equal(f"depth {depth}: parameters without and with shortcuts", counts, [traced[0], traced[0]]),
            equal(f"depth {depth}: parameters by models.shapes", traced, counts),
            close(f"depth {depth}: millions of parameters, as the paper says", counts[1] / 1e6, millions, tolerance=0.03),
        ]
    return checks


def check_classifier() -> tuple[list[Check], Table]:
    """AlexNet's end, by arithmetic and by PyTorch; the network is torchvision's, without memory for its weights."""
    import torch
    from torchvision.models import alexnet

    with torch.device("meta"):
        network = alexnet()
        maps = network.features[:-1](torch.empty(1, 3, 224, 224))
        pooled = torch.nn.MaxPool2d(3, 2)(maps)
    layers = [layer for layer in network.classifier if isinstance(layer, torch.nn.Linear)]
    counts, total = ([sum(part.numel() for part in each.parameters()) for each in those] for those in (layers, [network]))
    checks = [
        equal("AlexNet's last maps: channels, height, width", list(maps.shape[1:]), [256, 13, 13]),
        equal("side after pooling 3x3, stride 2, by the formula and by PyTorch", [(13 - 3) // 2 + 1, pooled.shape[2]], [6, 6]),
        equal("length of the vector, by product and by PyTorch", [6 * 6 * 256, pooled.flatten(1).shape[1]], [9216, 9216]),
        equal("inputs and units of the dense layers", [[layer.in_features, layer.out_features] for layer in layers], DENSE),
        equal("their parameters, (P + 1) K", [(inputs + 1) * units for inputs, units in DENSE], DENSE_PARAMETERS),
        equal("as PyTorch counts them", counts, DENSE_PARAMETERS),
    ]
    rows = [
        [name, f"{count:,}", f"{count / total[0]:.1%}"]
        for name, count in [
            ("five convolutions", total[0] - sum(counts)),
            *((f"dense, {inputs} to {units}", count) for (inputs, units), count in zip(DENSE, counts, strict=True)),
        ]
    ]
    return checks, new_table("large_networks", "classifier", rows, parameters=total[0])


def tabulate_networks(measured: Measured) -> Table:
    rows = []
    for kind, by_seed in measured.items():
        got = list(by_seed.values())
        cells = [
            f"{got[0].outcome.parameters:,}",
            plus_minus([seen.span for seen in got], ".1f"),
            plus_minus([100 * seen.train for seen in got], ".1f"),
            plus_minus([100 * seen.validation for seen in got], ".1f"),
            plus_minus([seen.outcome.curves["train/loss"][-1] for seen in got], ".3f"),
        ]
        rows.append([str(kind.depth), "yes" if kind.residual else "no", *cells])
    return new_table("large_networks", "networks", rows, seeds=len(got))


def conclude_deepest(measured: Measured) -> str:
    deep = [list(measured[Kind(residual, 110)].values()) for residual in (False, True)]
    plain, residual = (summarize(100 * seen.train for seen in got).mean for got in deep)
    fall = [10 ** summarize(np.log10(seen.gradients[0] / seen.gradients[-1]) for seen in got).mean for got in deep]
    return conclude("large_networks", "deepest", plain=plain, residual=residual, fall=fall)


def plot_gradients(measured: Measured) -> Figure:
    drawn = plot_by_depth("gradients", measured, of=lambda seen: seen.gradients, log=True)
    for axes in drawn.axes:
        axes.set_xlabel("convolution, counted from the image")
    drawn.axes[0].set_ylabel("norm of its weights' gradient")
    drawn.axes[1].legend(loc="upper right")
    return drawn


def plot_training(measured: Measured) -> Figure:
    drawn = plot_by_depth("training", measured, of=lambda seen: 100 * np.array(seen.outcome.curves["train/accuracy"]), log=False)
    for axes in drawn.axes:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, 100)
    drawn.axes[0].set_ylabel("training accuracy [%]")
    drawn.axes[1].legend(loc="best")
    return drawn


def plot_by_depth(name: str, measured: Measured, *, of: Callable[[Seen], Floats], log: bool) -> Figure:
    """Plain networks to the left, residual ones to the right: a thin line a seed, a thick one for their mean (log: geometric)."""
    n = len(next(iter(measured.values())))
    drawn = new_figure("large_networks", name, 12.1, 4.2, seeds=n)
    for place, title in enumerate(("plain", "with shortcuts")):
        axes = panel(drawn, left=MARGIN + 0.75 + 5.5 * place, bottom=0.7, width=4.9, height=3.15)
        axes.set_yscale("log" if log else "linear")
        axes.minorticks_off()
        axes.set_title(title)
        axes.grid(axis="y")
    for kind, got in measured.items():
        lines, axes, color = np.array([of(seen) for seen in got.values()]), drawn.axes[kind.residual], COLORS[kind.depth]
        places = np.arange(1, lines.shape[1] + 1)
        mean = np.exp(np.log(lines).mean(axis=0)) if log else lines.mean(axis=0)
        axes.plot(places, lines.T, color=color, linewidth=0.7, alpha=0.5)
        axes.plot(places, mean, color=color, label=f"{kind.depth} layers")
    share_limits(drawn.axes)
    return drawn
