"""A trained network on disk: model.safetensors (the weights) and model.json (how to build it); nothing that can run.

filters.safetensors, the first layer's weights by epoch, lies with them where the training is known.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from filterlab.config.section import plain
from filterlab.errors import DataError
from filterlab.models import folder as stored
from filterlab.models import registry
from filterlab.models.folder import DESCRIPTION, FIRST_LAYERS, WEIGHTS
from filterlab.models.plan import Model
from filterlab.models.predictor import Predictor

_DATA_FIELDS = ["name", "classes", "channels", "height", "width"]


def save(
    folder: Path,
    network: nn.Module,
    *,
    model: Model,
    card: Mapping[str, Any],
    first_layers: Tensor | None = None,
    beside: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Writes the files, each whole or not at all; gives the SHA-256 (hex) of each by its name. Equal networks, equal bytes.

    card: name, classes, channels, height and width of the data, mean and std of the scaling that the network was trained
    under (pixels in [0, 1]; scaling "unit" is mean 0, std 1). Other keys, as a data card has them, are left out.
    first_layers: (1 + epochs, *weight), the first layer's weight, before training first.
    beside: SHA-256 (hex) of files of the same training elsewhere, by name, to be kept with those of the model's own.

    Raises DataError naming the file that could not be written.
    """
    description = {
        "model": plain(model),
        "data": {key: card[key] for key in _DATA_FIELDS},
        "mean": _plain(card["mean"]),
        "std": _plain(card["std"]),
    }
    # safetensors refuses other memory layouts, such as channels_last
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    contents = {WEIGHTS: safetensors.torch.save(tensors)}
    if first_layers is not None:
        contents[FIRST_LAYERS] = stored.write_first_layers(first_layers.numpy())
    return stored.write(folder, description, contents, beside=beside or {})


def load(folder: Path) -> Predictor:
    """The network in eval mode, on the CPU, with its scaling. Raises DataError naming the file at fault."""
    description = stored.describe(folder)
    try:
        data = {key: description["data"][key] for key in _DATA_FIELDS}
        shape = (data["channels"], data["height"], data["width"])
        model = registry.from_dict(description["model"])
        with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced at once
            network = registry.build(
                model, channels=shape[0], height=shape[1], width=shape[2], classes=len(data["classes"]), seed=0
            )
        predictor = Predictor(
            network,
            data_name=data["name"],
            classes=data["classes"],
            shape=shape,
            mean=description["mean"],
            std=description["std"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # as torch raises them for sizes no network has
        raise DataError(f"{folder / DESCRIPTION} does not describe a network: {type(error).__name__}: {error}") from error
    weights = _weights(stored.read(folder, WEIGHTS, description), folder / WEIGHTS, like=network.state_dict())
    network.load_state_dict(weights, assign=True)
    return predictor.eval()


def _plain(scale: Any) -> float | list[float]:
    return [float(number) for number in scale] if isinstance(scale, list) else float(scale)


def _weights(content: bytes, path: Path, *, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    faults = [f"{name} is missing" for name in like if name not in tensors]
    faults += [f"{name} is unexpected" for name in tensors if name not in like]
    faults += [
        f"{name} is {tensors[name].dtype} {tuple(tensors[name].shape)}, expected {expected.dtype} {tuple(expected.shape)}"
        for name, expected in like.items()
        if name in tensors and (tensors[name].shape, tensors[name].dtype) != (expected.shape, expected.dtype)
    ]
    if faults:
        raise DataError(f"{path} does not fit the network that {DESCRIPTION} describes: {'; '.join(faults)}")
    return tensors
