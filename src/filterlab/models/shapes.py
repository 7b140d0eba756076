"""Sizes, parameters and receptive fields of the layers of a plan, worked out without torch.

Sizes follow out = floor((in - reach + 2 padding) / stride) + 1, with reach = dilation (kernel - 1) + 1; height and width each go
their own way. A receptive field grows by (reach - 1) jumps at each layer, a jump being the distance in input pixels between two
neighboring units (Dumoulin, Visin, arXiv 1603.07285).
"""

import math
from dataclasses import dataclass, replace

from filterlab.config.faults import short
from filterlab.models.plan import Layer, Model, Plan, ShapeError, pair

LARGEST = 2**31  # numbers; 8.6 GB of parameters, and as much again for their gradients and for each of an optimizer's moments


class TooSmallError(ShapeError):
    """A filter or a pool is larger than the maps below."""


@dataclass(frozen=True)
class LayerShape:
    """One submodule of a network, in the order of the forward pass.

    name: the submodule's qualified name in the torch network, e.g. conv2 or group1.block3.conv1
    kind: conv, norm, activation, pool, dropout, add, flatten, global_max, global_average or dense
    channels, height, width: of its output; a vector of K units is K, 1, 1
    parameters: how many it trains (the running mean and variance of a norm are none)
    kernel: height and width in pixels of the maps below; 1, 1 where a unit sees one position alone
    stride: in the same pixels
    receptive_field: height and width in input pixels of what one output unit sees, parts beyond the border included;
        from flatten or the global pool on, of what the whole vector sees
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int
    parameters: int
    kernel: tuple[int, int]
    stride: int
    receptive_field: tuple[int, int]


@dataclass(frozen=True)
class Maps:
    """What a layer gives, maps or a vector (flat): its size, a unit's receptive field, and how far two neighbors are apart.

    sized_by: the layer that made the maps as small as they are, for messages
    """

    channels: int
    height: int
    width: int
    field: tuple[int, int] = (1, 1)
    jump: int = 1
    sized_by: str = "the image"
    flat: bool = False

    def __str__(self) -> str:
        return f"{self.channels} values" if self.flat else f"{self.channels} maps of {self.height}x{self.width}"


def layers(model: Model, *, channels: int, height: int, width: int, classes: int) -> list[LayerShape]:
    """The layers of `model` for images of (channels, height, width) pixels and `classes` logits.

    Of images that are too small for it, those of `model.padded()`.

    Raises ShapeError, which names the model, where there can't be such a network: its plan has a fault, an image is too small
    for a filter or a pool, the last layer does not give one logit a class, a residual network's depth is not 6n + 2, or it would
    take more than LARGEST numbers, as parameters or as outputs for one image.
    """
    return plan_and_layers(model, channels=channels, height=height, width=width, classes=classes)[1]


def plan_and_layers(model: Model, *, channels: int, height: int, width: int, classes: int) -> tuple[Plan, list[LayerShape]]:
    """The plan of `model`, and its layers as above."""
    try:
        plan = model.plan(classes=classes)
        if not isinstance(plan, Plan):
            raise ShapeError(f"its plan() returns {short(plan)}, expected a Plan")
        image = Maps(channels, height, width)
        try:
            found = plan_layers(plan, image, classes=classes)
        except TooSmallError:
            if (padded := model.padded()) is None:
                raise
            plan = padded.plan(classes=classes)
            found = plan_layers(plan, image, classes=classes)
        check_size(found)
    except ShapeError as error:
        raise ShapeError(f"model {model.name}: {error}") from None
    return plan, found


def plan_layers(plan: Plan, image: Maps, *, classes: int) -> list[LayerShape]:
    """The shapes of a plan's layers. Raises ShapeError: they don't fit each other, the image or the classes."""
    last = image
    outputs: dict[str, Maps] = {}
    found = []
    for layer in plan.layers:
        last, parameters = layer_output(layer, [outputs[name] for name in layer.inputs] or [last])
        outputs[layer.name] = last
        size = (last.channels, last.height, last.width)
        kernel, stride = pair(layer.settings.get("kernel", 1)), layer.settings.get("stride", 1)
        found.append(LayerShape(layer.name, layer.kind, *size, parameters, kernel, stride, last.field))
    if not last.flat or last.channels != classes:
        raise ShapeError(f"the last layer, {found[-1].name}, gives {last}, expected {classes} values, one a class")
    if not parameter_count(found):
        raise ShapeError("no layer has parameters, so that there is nothing to train; expected a dense layer, or a conv")
    return found


def check_size(found: list[LayerShape]) -> None:
    """Raises ShapeError: more than LARGEST numbers."""
    for what, counts in {
        "parameters": [shape.parameters for shape in found],
        "outputs for one image": [_outputs(shape) for shape in found],
    }.items():
        if (total := sum(counts)) > LARGEST:
            most = max(counts)
            raise ShapeError(
                f"{total:,} {what} take {_gigabytes(total)} as 32-bit numbers, {_gigabytes(most)} of it in "
                f"{found[counts.index(most)].name}; expected at most {_gigabytes(LARGEST)}: take fewer or smaller layers"
            )


def layer_output(layer: Layer, inputs: list[Maps]) -> tuple[Maps, int]:
    """What the layer makes of its inputs, and how many parameters it has. Raises ShapeError: they don't fit."""
    maps, of = inputs[0], layer.settings
    if layer.kind not in ("activation", "dropout", "add") and maps.flat != (layer.kind == "dense"):
        needs, gets = ("a vector", "maps") if layer.kind == "dense" else ("maps", "a vector")
        raise ShapeError(f"{layer.name} needs {needs}, but gets {gets}; put flatten or a global pool between maps and vectors")
    match layer.kind:
        case "conv":
            counts = {"maps": maps.channels, "filters": of["filters"]}
            if uneven := [what for what, count in counts.items() if count % of["groups"]]:
                raise ShapeError(
                    f"{layer.name} has {maps.channels} maps and {of['filters']} filters in {of['groups']} groups, expected as "
                    f"many {' and '.join(uneven)} in each; take another number of groups"
                )
            parameters = (math.prod(pair(of["kernel"])) * (maps.channels // of["groups"]) + of["bias"]) * of["filters"]
            return replace(windows(layer, maps), channels=of["filters"]), parameters
        case "pool":
            return windows(layer, maps), 0
        case "norm":
            return maps, 2 * maps.channels
        case "dense":
            return replace(maps, channels=of["units"]), (maps.channels + 1) * of["units"]
        case "flatten" | "global_max" | "global_average":
            channels = maps.channels * (maps.height * maps.width if layer.kind == "flatten" else 1)
            field = grown(maps, maps.height, maps.width)
            return replace(maps, channels=channels, height=1, width=1, field=field, flat=True), 0
        case "add":
            other = inputs[1]
            sides = [(other.height, other.width), ((other.height + 1) // 2, (other.width + 1) // 2)]
            narrower = other.channels < maps.channels and not maps.flat
            if (
                maps.flat != other.flat
                or (maps.height, maps.width) not in sides
                or not (narrower or other.channels == maps.channels)
            ):
                first, second = (f"{name} ({output})" for name, output in zip(layer.inputs, inputs, strict=True))
                raise ShapeError(
                    f"{layer.name} cannot add {second} to {first}, expected vectors of one size, or maps of the same side or "
                    "twice, and as many or fewer"
                )
            field = (max(maps.field[0], other.field[0]), max(maps.field[1], other.field[1]))
            return replace(maps, field=field), 0
    return maps, 0


def windows(layer: Layer, maps: Maps) -> Maps:
    """What a filter or a pool gives that slides over the maps. Raises ShapeError: they are smaller."""
    kernel, padding = pair(layer.settings["kernel"]), pair(layer.settings.get("padding", 0))
    stride, dilation = layer.settings["stride"], layer.settings.get("dilation", 1)
    height, width = (dilation * (side - 1) + 1 for side in kernel)
    called = f"{layer.name} ({kernel[0]}x{kernel[1]}{f', dilation {dilation}' if dilation > 1 else ''})"
    needed = [max(height - 2 * padding[0], 1), max(width - 2 * padding[1], 1)]
    if maps.height < needed[0] or maps.width < needed[1]:
        raise TooSmallError(
            f"{called} needs at least {needed[0]}x{needed[1]} pixels, but gets {maps.height}x{maps.width} "
            f"from {maps.sized_by}; take smaller filters or pools, larger images, or another model"
        )
    return replace(
        maps,
        height=(maps.height - height + 2 * padding[0]) // stride + 1,
        width=(maps.width - width + 2 * padding[1]) // stride + 1,
        field=grown(maps, height, width),
        jump=maps.jump * stride,
        sized_by=called,
    )


def grown(maps: Maps, height: int, width: int) -> tuple[int, int]:
    """The receptive field of what sees so many units of the maps."""
    return maps.field[0] + (height - 1) * maps.jump, maps.field[1] + (width - 1) * maps.jump


def parameter_count(layers: list[LayerShape]) -> int:
    """Parameters that training changes, over all layers."""
    return sum(layer.parameters for layer in layers)


def unit_count(layers: list[LayerShape]) -> int:
    """Outputs for one image, over all layers."""
    return sum(map(_outputs, layers))


def _outputs(layer: LayerShape) -> int:
    return layer.channels * layer.height * layer.width


def _gigabytes(numbers: int) -> str:
    return f"{4 * numbers / 1e9:,.1f} GB"
