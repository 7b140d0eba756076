"""Building by name and seed, for every shipped option."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from filterlab.config import schema, section
from filterlab.models import architectures, registry
from filterlab.models.architectures import ARCHITECTURES
from filterlab.models.architectures.conv_net import ConvLayer
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.shapes import ShapeError

MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def bits(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


def test_every_architecture_is_found() -> None:
    folder = Path(architectures.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {settings.__module__.rpartition(".")[2] for settings in ARCHITECTURES.values()} == files
    assert files >= {"conv_net", "lenet5", "mlp", "resnet", "softmax", "tutorial_cnn"}
    assert set(ARCHITECTURES) >= files | {"cnn"}
    assert issubclass(ARCHITECTURES["cnn"], ARCHITECTURES["conv_net"])
    assert schema.FAMILIES["model"] == ARCHITECTURES


def test_logits_and_gradients(option: schema.Model) -> None:
    network = registry.build(option, **MNIST, seed=0).train()
    logits = network(images())
    assert logits.shape == (2, 10)
    assert logits.dtype == torch.float32
    nn.functional.cross_entropy(logits, torch.tensor([3, 7])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_maps_are_not_changed_by_the_layers_above(option: schema.Model) -> None:
    """Hooks keep the tensors themselves: a layer that works in place would falsify the map below."""
    network = registry.build(option, **MNIST, seed=0).train()
    kept: list[tuple[Tensor, Tensor]] = []
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, output: kept.append((output, output.detach().clone())))
    network(images())
    assert kept
    assert all(torch.equal(output, then) for output, then in kept)


def test_channels_last_is_kept(option: schema.Model) -> None:
    network = registry.build(option, **{**MNIST, "channels": 3}, seed=0).eval().to(memory_format=torch.channels_last)
    batch = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    maps: list[Tensor] = []
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, output: maps.append(output) if output.ndim == 4 else None)
    logits = network(batch.to(memory_format=torch.channels_last))
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in maps)
    torch.testing.assert_close(logits, network(batch), rtol=1e-4, atol=1e-5)


def test_same_seed_same_bits(option: schema.Model) -> None:
    first = bits(registry.build(option, **MNIST, seed=0))
    torch.rand(3)
    assert bits(registry.build(option, **MNIST, seed=0)) == first
    assert bits(registry.build(option, **MNIST, seed=1)) != first


def test_random_state_is_untouched(option: schema.Model) -> None:
    before = torch.get_rng_state()
    registry.build(option, **MNIST, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("written", [dataclasses.asdict, section.plain])
def test_from_dict_is_the_inverse(option: schema.Model, written: Callable[[schema.Model], object]) -> None:
    values = json.loads(json.dumps(written(option)))
    assert registry.from_dict(values) == option
    assert type(registry.from_dict(values)) is type(option)


def test_a_layer_is_written_as_it_was_before_it_had_dilation_groups_and_averages() -> None:
    """So that the same network's model.json keeps its bytes, and a training its key."""
    usual = {
        "filters": 3,
        "kernel": 5,
        "stride": 1,
        "padding": 0,
        "batch_norm": True,
        "activation": "relu",
        "pool": 2,
        "dropout": 0.0,
    }
    assert section.plain(ConvLayer(3, 5, batch_norm=True, pool=2)) == usual
    other = ConvLayer(3, [1, 5], batch_norm=True, pool=2, groups=3, pool_of="average")
    assert section.plain(other) == {**usual, "kernel": [1, 5], "groups": 3, "pool_of": "average"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "vgg"}, "no architecture is called 'vgg'; there are conv_net, cnn,"),
        ({}, "no architecture is called None"),
        ({"name": "mlp", "hidden": []}, "MLP has the fields name, hidden, activation, but is given name, hidden$"),
        ({"name": "softmax", "depth": 3}, "Softmax has the fields name, but is given name, depth"),
        (
            {"name": "conv_net", "layers": [{"filters": 3, "kernel": 3}], "head": "flatten", "hidden": [], "dropout": 0.0},
            "ConvLayer has the fields filters, .* but is given filters, kernel$",
        ),
    ],
)
def test_from_dict_names_the_fault(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry.from_dict(values)


def test_depth_is_checked() -> None:
    with pytest.raises(ShapeError, match="nearest are 20 and 26"):
        registry.build(ResNet(name="resnet", depth=22, width=4, residual=True), **MNIST, seed=0)
