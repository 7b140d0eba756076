"""The page in which a trained network runs: its plan and its weights, pictures to give it, and the scripts beside this file."""

import base64
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from filterlab.models import shapes
from filterlab.models.plan import Model
from filterlab.pages import page

# After network.js, which the worker gets, too.
SCRIPTS = ["picture", "engine", "maps", "inspector", "play", "place", "changes", "given", "tour"]
WEIGHTS = 10_000_000  # bytes of weights at most, for a page below 15 MB: base64 takes four thirds
TILES = 3_000_000  # bytes of what the channels look for; what is more is left out
PICTURES = 1_000_000  # bytes of examples, of mistakes, and of the first layer by epoch, at most each
EXAMPLES = 20
LEARNED = ["weight", "bias", "running_mean", "running_var"]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """images: (N, C, H, W) uint8; labels: (N,), what they are; notes: a line about each, e.g. where it is from."""

    images: np.ndarray
    labels: np.ndarray
    notes: list[str]

    def first(self, n: int) -> "Pictures":
        return Pictures(self.images[:n], self.labels[:n], self.notes[:n])


def first_of_each(images: np.ndarray, labels: np.ndarray, *, classes: int) -> Pictures:
    """The first validation images (N, C, H, W) of each class, the classes in their order, EXAMPLES at most."""
    each = max(1, EXAMPLES // classes)
    places = np.concatenate([np.flatnonzero(labels == k)[:each] for k in range(classes)])[:EXAMPLES]
    return Pictures(images[places], labels[places], [f"validation image {place}" for place in places])


def render(content: Mapping[str, Any]) -> str:
    """The page of `describe`'s network, one file that asks for nothing else."""
    folder = Path(__file__).parent
    return page.render(
        "play/play.html.jinja",
        data=content["data"],
        model=content["model"],
        parameters=sum(layer["parameters"] for layer in content["layers"]),
        colored=content["channels"] == 3,
        fits=bool(content["tensors"]),
        content=json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        network=(folder / "network.js").read_text(encoding="utf-8"),
        scripts=[(folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS],
    )


def describe(
    model: Model,
    weights: Mapping[str, np.ndarray],
    *,
    description: Mapping[str, Any],
    rule: str,
    examples: Pictures,
    mistakes: Pictures,
    tiles: Mapping[str, Path] | None = None,
    epochs: np.ndarray | None = None,
    chosen: int = 0,
) -> dict[str, Any]:
    """What the page is of, for JSON; the same for the same network and pictures.

    weights: float32 by their names in the torch network, e.g. conv1.weight
    description: model.json's, of the data and the scaling
    rule: how a picture is brought to their size, mnist or another
    tiles: PNGs by their names, LAYER.patches and LAYER.optimised, a row a channel
    epochs: (1 + epochs, *weight), the first layer's weight by epoch, and which of them is the network's: `chosen`

    Where the weights would make the file larger than 15 MB, they are rounded to 16 bits; where that is too much still, the page
    says so and shows the layers alone. Raises ShapeError as `shapes.layers`.
    """
    data = description["data"]
    size = {name: data[name] for name in ("channels", "height", "width")}
    plan, sizes = shapes.plan_and_layers(model, **size, classes=len(data["classes"]))
    learned = {name: array for name, array in sorted(weights.items()) if name.rpartition(".")[2] in LEARNED}
    numbers = sum(array.size for array in learned.values())
    kind = np.float32 if 4 * numbers <= WEIGHTS else np.float16
    fits = numbers * np.dtype(kind).itemsize <= WEIGHTS
    history = thinned(epochs, chosen) if epochs is not None and fits else []
    return {
        "data": data["name"],
        "model": model.name,
        "rule": rule,
        "classes": data["classes"],
        **size,
        "mean": np.atleast_1d(description["mean"]).tolist(),
        "std": np.atleast_1d(description["std"]).tolist(),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "settings": dict(layer.settings),
                "inputs": list(layer.inputs),
                "sees": shape.receptive_field,
                "parameters": shape.parameters,
            }
            for layer, shape in zip(plan.layers, sizes, strict=True)
        ],
        "tensors": {name: packed(array, kind) for name, array in learned.items()} if fits else {},
        "epochs": [{"epoch": epoch, "weight": packed(weight, kind)} for epoch, weight in history],
        "chosen": chosen,
        "examples": listed(examples, limit=EXAMPLES),
        "tiles": {name: page.uri(path, maker="filterlab visualize") for name, path in within(tiles or {}).items()}
        if fits
        else {},
        "mistakes": listed(mistakes, limit=len(mistakes.labels)),
    }


def packed(array: np.ndarray, kind: type[np.floating] | type[np.uint8]) -> dict[str, Any]:
    """Numbers as the page reads them: little-endian, in base64."""
    values = np.ascontiguousarray(array, dtype=np.dtype(kind).newbyteorder("<"))
    return {"type": np.dtype(kind).name, "base64": base64.b64encode(values.tobytes()).decode("ascii")}


def thinned(epochs: np.ndarray, chosen: int) -> list[tuple[int, np.ndarray]]:
    """The first layer's weights by epoch: all, or as many as there is room for, evenly spaced, and the chosen among them."""
    room = max(2, PICTURES // epochs[0].nbytes)
    kept = {*np.linspace(0, len(epochs) - 1, min(room, len(epochs))).round().astype(int).tolist(), chosen}
    return [(epoch, epochs[epoch]) for epoch in sorted(kept)]


def within(tiles: Mapping[str, Path]) -> dict[str, Path]:
    """As many as there is room for, the smallest first."""
    found, room = {}, TILES
    for name, path in sorted(tiles.items(), key=lambda tile: (tile[1].stat().st_size, tile[0])):
        room -= path.stat().st_size
        if room >= 0:
            found[name] = path
    return found


def listed(pictures: Pictures, *, limit: int) -> dict[str, Any]:
    """As many of the pictures as there is room for, but one at least."""
    if not len(pictures.labels):
        return {"count": 0, "pixels": packed(pictures.images, np.uint8), "labels": [], "notes": []}
    shown = pictures.first(min(limit, max(1, PICTURES // pictures.images[0].nbytes)))
    labels = shown.labels.tolist()
    return {"count": len(labels), "pixels": packed(shown.images, np.uint8), "labels": labels, "notes": shown.notes}
