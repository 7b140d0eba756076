"""Topic 12: ReLU beside the sigmoid, tanh and ELU: what is sure of the functions, and what networks make of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterlab.data.arrays import LabelledImages
from filterlab.lecture.context import Context, by_setting, part
from filterlab.lecture.plots import new_figure, set_log_percent, share_limits
from filterlab.lecture.result import Check, Floats, Result, Table, below, close, conclude, equal, new_table
from filterlab.lecture.trainings import Job, Outcome, train_all
from filterlab.study.claims import Hypothesis, compare, count_verdicts
from filterlab.study.statistics import mean_interval
from filterlab.visualization.style import BLUE, FAINT, MARGIN, MUTED, ORANGE, panel

NAMES = {"relu": "ReLU", "elu": "ELU", "tanh": "tanh", "sigmoid": "sigmoid"}
STEEPEST = {"relu": 1.0, "elu": 1.0, "tanh": 1.0, "sigmoid": 0.25}  # the largest slope
COLORS = {"relu": BLUE, "elu": "#009e73", "tanh": "#cc79a7", "sigmoid": ORANGE}
SHALLOW, DEEP, UNITS = 2, 8, 64  # hidden layers, and units in each
LEVEL = 0.95  # of the validation images
BATCH = 256  # images whose gradient is measured
POOL = 50_000  # training images come before it, validation images after


@dataclass(frozen=True)
class State:
    """A network of H hidden layers at some moment.

    Attributes:
        largest: output of any hidden unit, over all training images.
        dead: share of the hidden units that are 0 for every training image.
        gradients: (H + 1,) norms of the loss's gradient by each layer's sums, the logits last, over a fixed batch.
        ceilings: (H,) what gradients[l] / gradients[l + 1] can't exceed: the largest slope times the weights' spectral norm.
    """

    largest: float
    dead: float
    gradients: Floats
    ceilings: Floats

    @property
    def passed(self) -> float:
        """What reaches the first hidden layer of the gradient at the last."""
        return float(self.gradients[0] / self.gradients[-2])


@dataclass(frozen=True)
class Trained:
    """accuracy: of the validation images, by epoch from 1. before, after: untrained, and in the kept epoch."""

    accuracy: Sequence[float]
    before: State
    after: State

    @property
    def reached(self) -> bool:
        return max(self.accuracy) >= LEVEL

    @property
    def epochs(self) -> float:
        """Until LEVEL is first reached, on straight lines from chance (0.1) at epoch 0 on; all there were where it never is."""
        if not self.reached:
            return float(len(self.accuracy))
        epoch = int(np.argmax(np.array(self.accuracy) >= LEVEL))
        start, end = [0.1, *self.accuracy][epoch : epoch + 2]
        return epoch + (LEVEL - start) / (end - start)


Found = Mapping[tuple[str, int], Sequence[Trained]]  # by activation and number of hidden layers: seeds 0, 1, ...


def train_deep_networks(context: Context) -> Result:
    settings = list(product(NAMES, (SHALLOW, DEEP)))
    jobs = {
        (setting, seed): depth_job(context, *setting, seed)
        for setting in settings
        for seed in range(context.budget(full=5, quick=2))
    }
    done = context.map_parallel(measure, list(zip(jobs.values(), train_all(context, jobs).values(), strict=True)))
    found = {setting: list(seeds.values()) for setting, seeds in by_setting(dict(zip(jobs, done, strict=True))).items()}
    hypotheses = judge_hypotheses(found)
    return Result(
        checks=check_functions() + check_networks(found),
        figures={"functions": plot_functions(), "gradients": plot_gradients(found), "learning": plot_learning(found)},
        hypotheses=hypotheses,
        tables=[tabulate_networks(found)],
        conclusion=conclude_epochs(found, hypotheses),
    )


def depth_job(context: Context, name: str, depth: int, seed: int) -> Job:
    images, validates, epochs = context.budget(full=(30_000, 5_000, 10), quick=(300, 300, 2))
    network = ["model=mlp", f"model.hidden={[UNITS] * depth}", f"model.activation={name}"]
    config = context.compose_training(*network, "schedule=constant", "trainer.batch_size=128", epochs=epochs, seed=seed)
    params = {"activation": name, "hidden_layers": depth, "seed": seed}
    return Job(params, config, part(context.train, slice(images)), part(context.train, slice(POOL, POOL + validates)))


def measure(done: tuple[Job, Outcome]) -> Trained:
    from filterlab.models import registry

    job, outcome = done
    kept, steepest = outcome.predictor, STEEPEST[job.params["activation"]]
    untrained = registry.predictor(job.config, mean=float(kept.mean), std=float(kept.std))
    before, after = (measure_state(predictor, job.train, steepest=steepest) for predictor in (untrained, kept))
    return Trained(outcome.curves["validation/accuracy"], before, after)


def measure_state(predictor: Any, part: LabelledImages, *, steepest: float) -> State:
    import torch
    from torch import nn
    from torch.nn import functional as F

    images, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.astype(np.int64))
    dense = [layer for layer in predictor.network if isinstance(layer, nn.Linear)]
    activations = [layer for layer in predictor.network if not isinstance(layer, nn.Linear | nn.Flatten)]
    with torch.no_grad():
        units = torch.cat(outputs(predictor, images, activations), dim=1)
    sums = outputs(predictor, images[:BATCH], dense)
    by_layer = torch.autograd.grad(F.cross_entropy(sums[-1], labels[:BATCH]), sums)
    return State(
        largest=float(units.max()),
        dead=float((units == 0).all(dim=0).double().mean()),
        gradients=np.array([float(gradient.norm()) for gradient in by_layer]),
        ceilings=np.array([steepest * float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) for layer in dense[1:]]),
    )


def outputs(predictor: Any, images: Any, layers: Sequence[Any]) -> list[Any]:
    """What each of the layers gives, (N, units) tensors, for images (N, C, H, W)."""
    kept: list[Any] = []
    handles = [layer.register_forward_hook(lambda layer, given, gives: kept.append(gives)) for layer in layers]
    predictor(images)
    for handle in handles:
        handle.remove()
    return kept


def in_torch(name: str, a: Floats) -> tuple[Floats, Floats]:
    """Values and slopes, (N,) each, of the activation as the networks use it, by autograd."""
    import torch

    from filterlab.models.layers import ACTIVATIONS

    at = torch.from_numpy(a.copy()).requires_grad_()
    values = ACTIVATIONS[name]()(at)
    (slopes,) = torch.autograd.grad(values.sum(), at)
    return values.detach().numpy(), slopes.numpy()


def relu(a: Floats) -> Floats:
    return np.maximum(0.0, a)


def check_functions() -> list[Check]:
    a = np.arange(-2000, 2001) / 100  # 0 among them
    values, slopes = ({name: in_torch(name, a)[which] for name in NAMES} for which in (0, 1))
    step, large = np.array([-(2.0**-20), 2.0**-20]), np.array([1.0, 10.0, 100.0, 1e6])
    names, largest = ", ".join(NAMES.values()), [float(slopes[name].max()) for name in NAMES]
    return [
        equal(f"places where max(0, a) is not PyTorch's ReLU, of {len(a):,}", int((relu(a) != values["relu"]).sum()), 0),
        equal("the largest value of ReLU up to a = 1, 10, 100, 1e6: no bound", relu(large).tolist(), large.tolist()),
        equal("the slopes that ReLU has", np.unique(slopes["relu"]).tolist(), [0.0, 1.0]),
        equal("its slope at 0, from the left and from the right", np.abs(relu(step) / step).tolist(), [0.0, 1.0]),
        equal("its slope at 0 in PyTorch", float(slopes["relu"][a == 0][0]), 0.0),
        close(f"the largest slope: {names}", largest, list(STEEPEST.values()), tolerance=1e-14),
        *[equal(f"where {name} is steepest", float(a[slopes[name].argmax()]), 0.0) for name in ("tanh", "sigmoid")],
    ]


def check_networks(found: Found) -> list[Check]:
    checks = []
    for name, shown in NAMES.items():
        states = [state for depth in (SHALLOW, DEEP) for own in found[name, depth] for state in (own.before, own.after)]
        highest = max(float((one.gradients[:-1] / one.gradients[1:] / one.ceilings).max()) for one in states)
        checks.append(below(f"{shown}: a layer's gradient as a share of its bound, {len(states)} networks", highest, 1.0))
        if name in ("tanh", "sigmoid"):
            checks.append(below(f"the largest output of a {shown} unit", max(one.largest for one in states), 1.0))
    untrained = [own.before for own in found["sigmoid", DEEP]]
    most, bound = max(one.passed for one in untrained), min(float(one.ceilings[:-1].prod()) for one in untrained)
    claim = f"sigmoid, untrained: what reaches the first of the gradient at the last of {DEEP} hidden layers, and what can"
    return [*checks, below(claim, most, bound)]


def judge_hypotheses(found: Found) -> list[Hypothesis]:
    def of(name: str, measure: Callable[[Trained], float], depth: int = DEEP) -> dict[int, float]:
        return {seed: measure(own) for seed, own in enumerate(found[name, depth])}

    def lead(depth: int) -> dict[int, float]:
        slow, fast = (of(name, lambda own: own.epochs, depth) for name in ("sigmoid", "relu"))
        return {seed: slow[seed] - fast[seed] for seed in slow}

    deep = f"{DEEP} hidden layers"
    more = f"ReLU is ahead of sigmoid by more epochs with {deep} than with {SHALLOW}"
    largest = of("relu", lambda own: own.after.largest), of("relu", lambda own: own.before.largest)
    dead = of("relu", lambda own: own.after.dead), of("relu", lambda own: own.before.dead)
    claims = [
        compare(more, lead(DEEP), lead(SHALLOW), unit="epochs"),
        compare(f"training raises the largest activation of ReLU, {deep}", *largest, unit="of activation"),
        compare(f"training kills ReLU units, {deep}", *dead, unit="of the hidden units"),
    ]
    for name in ("sigmoid", "tanh", "elu"):
        fewer = f"ReLU needs fewer epochs to {LEVEL:.0%} than {NAMES[name]}, {deep}"
        more = f"untrained, ReLU passes more of the gradient down than {NAMES[name]}, {deep}"
        epochs = [of(which, lambda own: own.epochs) for which in (name, "relu")]
        passed = [of(which, lambda own: own.before.passed) for which in ("relu", name)]
        claims.append(compare(fewer, *epochs, unit="epochs"))
        claims.append(compare(more, *passed, unit="of the gradient at the last hidden layer"))
    return claims


def tabulate_networks(found: Found) -> Table:
    rows = []
    for (name, depth), owns in found.items():
        reached = sum(own.reached for own in owns)
        cells = [
            mean_interval([own.epochs for own in owns], ".1f") if reached else "never",
            mean_interval([max(own.accuracy) for own in owns], ".2%"),
            mean_interval([own.after.largest for own in owns], ".2f"),
            mean_interval([own.after.dead for own in owns], ".1%"),
            mean_interval([own.before.passed for own in owns], ".2g"),
            mean_interval([own.after.passed for own in owns], ".2g"),
        ]
        rows.append([NAMES[name], str(depth), f"{reached} of {len(owns)}", *cells])
    return new_table("relu", "networks", rows, level=LEVEL)


def conclude_epochs(found: Found, hypotheses: Sequence[Hypothesis]) -> str:
    words = []
    for name, shown in NAMES.items():
        owns = found[name, DEEP]
        reached, mean = sum(own.reached for own in owns), np.mean([own.epochs for own in owns])
        words.append(f"{shown} {reached} of {len(owns)} seeds, {mean:.1f} epochs" if reached else f"{shown} never")
    return conclude("relu", "epochs", level=LEVEL, deep=DEEP, epochs="; ".join(words), verdicts=count_verdicts(hypotheses))


def plot_functions() -> Figure:
    drawn = new_figure("relu", "functions", 13, 3.6)
    a = np.linspace(-4, 4, 401)
    for place, name in enumerate(NAMES):
        axes = panel(drawn, left=MARGIN + 0.35 + place * 3.1, bottom=0.65, width=2.75, height=2.5)
        values, slopes = in_torch(name, a)
        if name == "relu":
            slopes[a == 0] = np.nan  # a gap: the curve jumps
        axes.axhline(0, color=FAINT, linewidth=1)
        axes.plot(a, values, color=BLUE, label="value")
        axes.plot(a, slopes, color=ORANGE, linestyle="--", label="slope")
        axes.set(title=NAMES[name], xlabel="a", ylim=(-1.3, 4))
    drawn.axes[0].legend(loc="upper left")
    return drawn


def plot_gradients(found: Found) -> Figure:
    curves = {
        "before training": {name: np.array([own.before.gradients for own in found[name, DEEP]]) for name in NAMES},
        "after training": {name: np.array([own.after.gradients for own in found[name, DEEP]]) for name in NAMES},
    }
    drawn = new_figure("relu", "gradients", 12, 4.3, batch=BATCH)
    x = f"layer (1: the lowest hidden one, {DEEP + 1}: the logits)"
    return plot_by_activation(drawn, curves, x=x, y="norm of the gradient")


def plot_learning(found: Found) -> Figure:
    curves = {
        f"{depth} hidden layers": {name: 100 - 100 * np.array([own.accuracy for own in found[name, depth]]) for name in NAMES}
        for depth in (SHALLOW, DEEP)
    }
    drawn = new_figure("relu", "learning", 12, 4.3, level=LEVEL)
    plot_by_activation(drawn, curves, x="epoch", y="validation error (%)")
    for axes in drawn.axes:
        axes.axhline(100 * (1 - LEVEL), color=MUTED, linewidth=1.2, linestyle=":")
        set_log_percent(axes)
    return drawn


def plot_by_activation(drawn: Figure, curves: Mapping[str, Mapping[str, Floats]], *, x: str, y: str) -> Figure:
    """A panel for each title, with (seeds, X) curves by activation, over 1 to X."""
    for place, (name, shown) in enumerate(curves.items()):
        axes = panel(drawn, left=MARGIN + 0.55 + place * 5.7, bottom=0.65, width=5.0, height=3.3)
        for activation, own in shown.items():
            at = np.arange(1, own.shape[1] + 1)
            axes.semilogy(at, own.T, color=COLORS[activation], linewidth=0.8, alpha=0.45)
            axes.semilogy(at, np.median(own, axis=0), color=COLORS[activation], linewidth=2.4, label=NAMES[activation])
        axes.set(title=name, xticks=at, xlabel=x, ylabel=y)
    share_limits(drawn.axes)
    drawn.axes[0].legend()
    return drawn
