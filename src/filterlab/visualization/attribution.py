"""Why this answer: which pixels speak for a class, by four methods, with Captum (arXiv 2009.07896); and checks of their maps."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from filterlab.models.plan import Plan
from filterlab.visualization.patches import recorded

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor

WORTH = 4  # sides of maps that are worth enlarging to the image's size
STEPS = 32  # of the path of integrated gradients
SHARES = np.linspace(0, 1, 17)  # of the pixels that are deleted or inserted
AT_ONCE = 64  # images

Attribute = Callable[["Predictor", Tensor, Tensor], Tensor]  # images (N, C, H, W) in [0, 1], classes (N,) -> (N, C or 1, H, W)


@dataclass(frozen=True)
class Methods:
    """What applies to a network, by name; and of what does not, why."""

    methods: dict[str, Attribute]
    missing: dict[str, str]


def methods(predictor: "Predictor", plan: Plan, *, ground: NDArray[np.floating]) -> Methods:
    """ground: (C,) in [0, 1]: the pixel that stands for "nothing there", from which integrated gradients go, and which covers."""
    empty = torch.as_tensor(ground, dtype=torch.float32).view(1, -1, 1, 1)
    found: dict[str, Attribute] = {"occlusion": occlusion(empty), "integrated gradients": integrated_gradients(empty)}
    missing = {}
    if layer := worth_enlarging(predictor, plan):
        found[f"Grad-CAM at {layer}"] = grad_cam(layer)
    else:
        missing["Grad-CAM"] = f"no layer has maps of {WORTH} x {WORTH} or more"
    functions = {layer.settings["function"] for layer in plan.layers if layer.kind == "activation"} - {"identity"}
    if functions == {"relu"}:
        found["guided backpropagation"] = guided_backpropagation
    else:
        has = ", ".join(sorted(functions)) or "none"
        missing["guided backpropagation"] = f"it is defined where all activations are relu; this network has {has}"
    return Methods(found, missing)


def worth_enlarging(predictor: "Predictor", plan: Plan) -> str:
    """The last layer whose maps, WORTH x WORTH or larger, come after a convolution; "" where there is none."""
    kinds = {layer.name: layer.kind for layer in plan.layers}
    convolved = [*kinds.values()].index("conv") if "conv" in kinds.values() else len(kinds)
    names = [name for name in [*kinds][convolved:] if kinds[name] in ("activation", "pool", "add")]
    with recorded(predictor, names) as outputs, torch.inference_mode():
        predictor(torch.zeros(1, *predictor.shape))
    large = [name for name in names if outputs[name].ndim == 4 and min(outputs[name].shape[2:]) >= WORTH]
    return large[-1] if large else ""


def occlusion(empty: Tensor) -> Attribute:
    """How much the class's score falls where a square of a seventh of the image, moved by half its side, is covered."""

    def attribute(predictor: "Predictor", images: Tensor, classes: Tensor) -> Tensor:
        from captum.attr import Occlusion

        channels, height, width = images.shape[1:]
        sides = [max(1, round(length / 7)) for length in (height, width)]
        window, steps = (channels, *sides), (channels, *(max(1, side // 2) for side in sides))
        with torch.no_grad():
            covered = empty.expand_as(images)
            found = Occlusion(predictor).attribute(images, window, strides=steps, baselines=covered, target=classes)
        return found[:, :1]  # a square covers all channels, and each has its whole fall

    return attribute


def integrated_gradients(empty: Tensor) -> Attribute:
    """The gradient's mean on the way from the empty image, times the way: the pixels' shares add up to the score's change."""

    def attribute(predictor: "Predictor", images: Tensor, classes: Tensor) -> Tensor:
        from captum.attr import IntegratedGradients

        return IntegratedGradients(predictor).attribute(
            images, baselines=empty.expand_as(images), target=classes, n_steps=STEPS, internal_batch_size=8 * AT_ONCE
        )

    return attribute


def grad_cam(layer: str) -> Attribute:
    """The layer's maps, each weighted with its mean gradient, where the sum speaks for the class (Selvaraju and others 2017)."""

    def attribute(predictor: "Predictor", images: Tensor, classes: Tensor) -> Tensor:
        from captum.attr import LayerAttribution, LayerGradCam

        cam = LayerGradCam(predictor, predictor.network.get_submodule(layer))
        found = cam.attribute(images, target=classes, relu_attributions=True)
        return LayerAttribution.interpolate(found, images.shape[2:], interpolate_mode="bilinear")

    return attribute


def guided_backpropagation(predictor: "Predictor", images: Tensor, classes: Tensor) -> Tensor:
    """The gradient, of which each ReLU lets pass what is above 0 (Springenberg and others 2015)."""
    from captum.attr import GuidedBackprop

    with warnings.catch_warnings():  # Captum says that it sets hooks, and takes them away again
        warnings.simplefilter("ignore", UserWarning)
        return GuidedBackprop(predictor).attribute(images, target=classes)


def explain(
    attribute: Attribute, predictor: "Predictor", images: NDArray[np.uint8], classes: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(N, H, W): what each pixel, its channels summed, says for the class (above 0) or against it; of images (N, C, H, W)."""
    predictor.eval()
    found = []
    for batch, wanted in zip(
        torch.from_numpy(images).split(AT_ONCE), torch.from_numpy(classes).long().split(AT_ONCE), strict=True
    ):
        pixels = (batch.float() / 255).requires_grad_()
        found.append(attribute(predictor, pixels, wanted).detach().sum(dim=1))
    return torch.cat(found).numpy().astype(np.float32)


def curves(
    predictor: "Predictor",
    images: NDArray[np.uint8],
    classes: NDArray[np.integer],
    maps: NDArray[np.floating],
    *,
    ground: NDArray[np.floating],
) -> dict[str, NDArray[np.float64]]:
    """The class's probability after each of SHARES of the pixels, a mean over images (N, C, H, W); those first
    that maps (N, H, W) rank highest: deleted, that is, replaced by the ground, or inserted into it (Petsiuk,
    Das, Saenko 2018, arXiv 1806.07421).
    """
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable").reshape(maps.shape)
    pixels = torch.from_numpy(images).float() / 255
    empty = torch.as_tensor(ground, dtype=torch.float32).view(1, -1, 1, 1).expand_as(pixels)
    wanted = torch.from_numpy(classes).long()[:, None]
    found: dict[str, list[float]] = {"deletion": [], "insertion": []}
    predictor.eval()
    with torch.inference_mode():
        for share in SHARES:
            chosen = torch.from_numpy(rank < round(share * rank[0].size))[:, None]
            for which, one, other in (("deletion", empty, pixels), ("insertion", pixels, empty)):
                sure = predictor(torch.where(chosen, one, other)).softmax(dim=1).gather(1, wanted)
                found[which].append(float(sure.double().mean()))
    return {which: np.array(values) for which, values in found.items()}


def randomised(predictor: "Predictor", plan: Plan, *, seed: int, limit: int) -> dict[str, "Predictor"]:
    """Copies whose weights are shuffled within each layer, from the last one down to and with the named one (Adebayo and others
    2018, arXiv 1810.03292); of more than `limit` layers with weights, as many evenly spaced.
    """
    from filterlab.visualization.style import spaced

    layers = [layer.name for layer in plan.layers if layer.kind in ("conv", "norm", "dense")][::-1]
    kept = {layers[place] for place in spaced(len(layers), limit=limit)}
    current, found = copy.deepcopy(predictor), {}
    draw = torch.Generator().manual_seed(seed)
    for name in layers:
        module = current.network.get_submodule(name)
        with torch.no_grad():
            for values in module.parameters():  # which keeps how large they are
                values.copy_(values.flatten()[torch.randperm(values.numel(), generator=draw)].view_as(values))
        if name in kept:
            found[name] = copy.deepcopy(current)
    return found


def alike(maps: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Rank correlation (Spearman's) of the absolute values of maps (N, H, W), a mean over images; of equal values: 0."""
    from scipy.stats import rankdata

    found = []
    for one, other in zip(maps, others, strict=True):
        ranks = [rankdata(np.abs(of).ravel()) for of in (one, other)]
        moved = [rank - rank.mean() for rank in ranks]
        length = float(np.sqrt((moved[0] ** 2).sum() * (moved[1] ** 2).sum()))
        found.append(float(moved[0] @ moved[1]) / length if length > 0 else 0.0)
    return float(np.mean(found))
