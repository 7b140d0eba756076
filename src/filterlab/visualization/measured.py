"""Numbers of the views: what they measure of a trained network, as results/views.json has it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from filterlab.visualization.trained import Trained


def filters(trained: Trained) -> dict[str, Any]:
    """Of each layer: silent, the channels that answer no training image with more than 0 (behind ReLU they are dead); twins,
    those that are like an earlier one. Of the first: its drift by epoch and its likeness to templates, means over its filters.
    """
    from filterlab.visualization import development

    layers = {}
    for name in trained.layers:
        weights = trained.predictor.network.get_submodule(name).get_parameter("weight").detach().numpy()
        layers[name] = {
            "sees": [span.size for span in trained.windows[name]],
            "channels": len(weights),
            "silent": int((trained.strongest[name].activations[:, 0] <= 0).sum()),
            "twins": int(development.twins(weights).sum()),
        }
    moved = development.drift(trained.first_layers).mean(axis=1)
    alike = {
        which: {kind: float(values.mean()) for kind, values in found.items()} for which, found in trained.development.items()
    }
    return {
        "layers": layers,
        "first_layer": {
            "drift": moved.tolist() if len(moved) > 1 else "its weights by epoch were not kept",
            "likeness": alike or "filters of one pixel, or none, are no edges, bars or blobs",
        },
    }


def optimised(trained: Trained) -> dict[str, Any]:
    """above: the share of channels whose image excites them more than every training patch does."""
    layers = {}
    for name, found in trained.optimised.items():
        strongest = trained.strongest[name].activations[:, 0]
        layers[name] = {"channels": len(strongest), "above": float((found.activations > strongest).mean())}
    sure = trained.of_classes.activations
    return {"layers": layers, "classes": {"least_probability": float(sure.min()), "at_least_0.99": float((sure >= 0.99).mean())}}


def explained(trained: Trained) -> dict[str, Any]:
    """Areas under the curves of deletion (the lower, the better) and insertion (the higher), and the rank correlation of the maps
    with those of shuffled weights, by layer down to which they are shuffled.
    """
    from filterlab.visualization.attribution import SHARES

    return {
        "images": trained.checks["images"],
        "by_method": {
            name: {
                **{which: float(np.trapezoid(values, SHARES)) for which, values in found.items()},
                **({"shuffled": trained.checks["sanity"][name]} if name != "random" else {}),
            }
            for name, found in trained.checks["curves"].items()
        },
        "does_not_apply": trained.methods.missing,
        "mistakes_on_validation": len(trained.surest),
    }


def layers(trained: Trained) -> dict[str, Any]:
    """By layer, trained and untrained: accuracy of a linear probe, median selectivity; and, of the trained one, what a unit sees.

    Of the embedding: the share of the variance on the plane of PCA, and of a point's neighbors that are of its class.
    """
    by_layer = {
        name: {
            "sees": trained.sees[name],
            **{
                which: {"probe_accuracy": of.accuracy[name], "selectivity": float(np.median(of.selectivity[name]))}
                for which, of in trained.compared.items()
            },
        }
        for name in trained.sees
    }
    _, found = trained.embedded
    return {"by_layer": by_layer, "embedding": {"pca_explained": found.explained, "neighbors_of_the_class": found.together}}


MEASURED: dict[str, Callable[[Trained], dict[str, Any]]] = {
    "filters": filters,
    "optimised": optimised,
    "explained": explained,
    "layers": layers,
}
