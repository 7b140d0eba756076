"""Sizes, parameters and receptive fields of the layers of a plan, worked out without torch.

Sizes follow out = floor((in - kernel + 2 padding) / stride) + 1. A receptive field grows by (kernel - 1) jumps at each layer,
a jump being the distance in input pixels between two neighboring units (Dumoulin, Visin, arXiv 1603.07285).
"""

from dataclasses import dataclass, replace

from filterlab.models.plan import Layer, Model, Plan, ShapeError

LARGEST = 2**31  # numbers; 8.6 GB of parameters, and as much again for their gradients and for each of an optimizer's moments


@dataclass(frozen=True)
class LayerShape:
    """One submodule of a network, in the order of the forward pass.

    name: the submodule's qualified name in the torch network, e.g. conv2 or group1.block3.conv1
    kind: conv, norm, activation, pool, dropout, add, flatten, global_max, global_average or dense
    channels, height, width: of its output; a vector of K units is K, 1, 1
    parameters: how many it trains (the running mean and variance of a norm are none)
    kernel, stride: sides in pixels of the maps below; 1, 1 where a unit sees one position alone
    receptive_field: side in input pixels of the square one output unit sees, parts beyond the border included;
        from flatten or the global pool on, the square that the whole vector sees
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int
    parameters: int
    kernel: int
    stride: int
    receptive_field: int


@dataclass(frozen=True)
class Maps:
    """What one layer hands to the next: its size, how far a unit sees, how far two neighbors are apart; `of` is for messages."""

    channels: int
    height: int
    width: int
    field: int = 1
    jump: int = 1
    of: str = "the image"
    flat: bool = False


def layers(model: Model, *, channels: int, height: int, width: int, classes: int) -> list[LayerShape]:
    """The layers of `model` for images of (channels, height, width) pixels and `classes` logits.

    Raises ShapeError if an image is too small for a filter or a pool, if a residual network's depth is not 6n + 2, or if a
    network would take more than LARGEST numbers, as parameters or as outputs for one image.
    """
    return followed(model.plan(classes=classes), model=model.name, channels=channels, height=height, width=width)


def followed(plan: Plan, *, model: str, channels: int, height: int, width: int) -> list[LayerShape]:
    """The layers of the plan of `model`; see `layers`."""
    last = Maps(channels, height, width)
    reached: dict[str, Maps] = {}
    shapes = []
    for layer in plan.layers:
        below = [reached[name] for name in layer.inputs] or [last]
        try:
            last, parameters = step(layer, below)
        except ShapeError as error:
            raise ShapeError(f"model {model}: {error}") from None
        reached[layer.name] = last
        size = (last.channels, last.height, last.width)
        kernel, stride = layer.settings.get("kernel", 1), layer.settings.get("stride", 1)
        shapes.append(LayerShape(layer.name, layer.kind, *size, parameters, kernel, stride, last.field))
    for what, counts in {
        "parameters": [shape.parameters for shape in shapes],
        "outputs for one image": [_outputs(shape) for shape in shapes],
    }.items():
        if (total := sum(counts)) > LARGEST:
            most = max(counts)
            raise ShapeError(
                f"model {model}: {total:,} {what} take {_gigabytes(total)} as 32-bit numbers, {_gigabytes(most)} of it in "
                f"{shapes[counts.index(most)].name}; expected at most {_gigabytes(LARGEST)}: take fewer or smaller layers"
            )
    return shapes


def step(layer: Layer, below: list[Maps]) -> tuple[Maps, int]:
    """What the layer makes of its inputs, and how many parameters it has. Raises ShapeError: they don't fit."""
    maps, of = below[0], layer.settings
    if layer.kind not in ("activation", "dropout") and maps.flat != (layer.kind == "dense"):
        needs, gets = ("a vector", "maps") if layer.kind == "dense" else ("maps", "a vector")
        raise ShapeError(f"{layer.name} needs {needs}, but gets {gets}; put flatten or a global pool between maps and vectors")
    match layer.kind:
        case "conv":
            parameters = (of["kernel"] ** 2 * maps.channels + of["bias"]) * of["filters"]
            return replace(slid(layer, maps), channels=of["filters"]), parameters
        case "pool":
            return slid(layer, maps), 0
        case "norm":
            return maps, 2 * maps.channels
        case "dense":
            return replace(maps, channels=of["units"]), (maps.channels + 1) * of["units"]
        case "flatten" | "global_max" | "global_average":
            channels = maps.channels * (maps.height * maps.width if layer.kind == "flatten" else 1)
            field = maps.field + (max(maps.height, maps.width) - 1) * maps.jump
            return replace(maps, channels=channels, height=1, width=1, field=field, flat=True), 0
        case "add":
            other = below[1]
            sides = [(other.height, other.width), ((other.height + 1) // 2, (other.width + 1) // 2)]
            if other.channels > maps.channels or (maps.height, maps.width) not in sides:
                sizes = [f"{each.channels} of {each.height}x{each.width}" for each in below]
                raise ShapeError(f"{layer.name} cannot add maps to others: {sizes[1]} to {sizes[0]}")
            return replace(maps, field=max(maps.field, other.field)), 0
    return maps, 0


def slid(layer: Layer, maps: Maps) -> Maps:
    """After a filter or a pool. Raises ShapeError: the maps are smaller."""
    kernel, stride, padding = layer.settings["kernel"], layer.settings["stride"], layer.settings.get("padding", 0)
    needed = max(kernel - 2 * padding, 1)
    if min(maps.height, maps.width) < needed:
        raise ShapeError(
            f"{layer.name} ({kernel}x{kernel}) needs at least {needed}x{needed} pixels, but gets {maps.height}x{maps.width} "
            f"from {maps.of}; take smaller filters or pools, larger images, or another model"
        )
    return replace(
        maps,
        height=(maps.height - kernel + 2 * padding) // stride + 1,
        width=(maps.width - kernel + 2 * padding) // stride + 1,
        field=maps.field + (kernel - 1) * maps.jump,
        jump=maps.jump * stride,
        of=f"{layer.name} ({kernel}x{kernel})",
    )


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
