"""Networks from their settings: the layers of a plan become torch modules, with initial weights that a seed decides."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import torch
from torch import Tensor, nn

from filterlab.config.section import Section
from filterlab.models import layers, shapes
from filterlab.models.architectures import ARCHITECTURES
from filterlab.models.plan import Block, Layer, Model, as_block
from filterlab.models.predictor import Predictor, Scale

if TYPE_CHECKING:
    from filterlab.config import schema


def build(model: Model, *, channels: int, height: int, width: int, classes: int, seed: int) -> nn.Module:
    """A new network: (N, channels, height, width) float32 -> logits (N, classes). Its initial weights depend on `seed` alone.

    Every layer of the plan is a submodule of its name. No random state outside is read or changed.
    Raises ShapeError as `shapes.layers`.
    """
    plan, sizes = shapes.plan_and_layers(model, channels=channels, height=height, width=width, classes=classes)
    given = {size.name: size.channels for size in sizes}
    below = channels
    modules: dict[str, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the GPUs
        for layer in plan.layers:
            made = layers.module(layer, channels=given[layer.inputs[0]] if layer.inputs else below)
            if not plan.draw_weights_last:
                layers.draw(made, layer)
            modules[layer.name], below = made, given[layer.name]
        if plan.draw_weights_last:
            for layer in plan.layers:
                layers.draw(modules[layer.name], layer)
    return network(as_block(plan.layers), modules)


def network(part: Layer | Block, modules: Mapping[str, nn.Module]) -> nn.Module:
    """The module of a layer; of a block, or of the whole network, one that has its layers' modules by their names."""
    if isinstance(part, Layer):
        return modules[part.name]
    children = OrderedDict((name, network(child, modules)) for name, child in part.children.items())
    return Graph(children, part.inputs) if part.inputs else nn.Sequential(children)


class Graph(nn.Module):
    """Children that are called one after the other, each on what the one before gives, or on what `inputs` names for it.

    inputs: child -> the children whose outputs it is given; '' is the input of the whole.
    """

    def __init__(self, parts: Mapping[str, nn.Module], inputs: Mapping[str, list[str]]):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.inputs = inputs
        self.kept = {name for names in inputs.values() for name in names}

    def forward(self, given: Tensor) -> Tensor:
        kept = {"": given}
        for name, part in self.named_children():
            given = part(*map(kept.__getitem__, self.inputs[name])) if name in self.inputs else part(given)
            if name in self.kept:
                kept[name] = given
        return given


def predictor(config: "schema.Config", *, mean: Scale, std: Scale) -> Predictor:
    """The network that `config` describes before training, for the images that it describes, with this scaling. As `build`."""
    data = config.data
    size = {"channels": data.channels, "height": data.height, "width": data.width}
    network = build(config.model, **size, classes=len(data.classes), seed=config.seed)
    shape = (data.channels, data.height, data.width)
    return Predictor(network, data_name=data.name, classes=data.classes, shape=shape, mean=mean, std=std)


def from_dict(values: Mapping[str, Any]) -> Model:
    """The inverse of `section.plain` for a model. Raises ValueError naming what is unknown or missing."""
    name = dict(values).get("name")
    if name not in ARCHITECTURES:
        raise ValueError(f"no architecture is called {name!r}; there are {', '.join(ARCHITECTURES)}")
    return _section(ARCHITECTURES[name], values)


def _section(kind: Any, values: Any) -> Any:
    expected = [field.name for field in fields(kind)]
    if set(values) | {field.name for field in fields(kind) if field.metadata["later"]} != set(expected):
        raise ValueError(f"{kind.__name__} has the fields {', '.join(expected)}, but is given {', '.join(values)}")
    inner = {name: get_args(hint)[0] for name, hint in get_type_hints(kind).items() if get_args(hint)}
    sections = {name for name, element in inner.items() if issubclass(element, Section)}
    return kind(
        **{key: [_section(inner[key], item) for item in given] if key in sections else given for key, given in values.items()}
    )
