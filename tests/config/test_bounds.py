"""Every value has bounds that make sense, and what is beyond them is one sentence, at once."""

import dataclasses
import time
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from filterlab.config import compose, schema, validation
from filterlab.config.section import SIGNS, TEXTS, Section
from filterlab.errors import ConfigError
from filterlab.models import shapes
from filterlab.models.architectures.softmax import Softmax


def subclasses(of: type) -> list[type]:
    return [node for below in of.__subclasses__() for node in (below, *subclasses(below))]


SECTIONS = [node for node in subclasses(Section) if node.__module__.startswith("filterlab.")]
FIELDS = [
    (section, field)
    for section in SECTIONS
    for field in dataclasses.fields(section)
    if not (section is schema.Config and field.name in schema.FAMILIES)
]


def kinds(kind: Any) -> Iterator[Any]:
    """int of list[int], and so on."""
    inner = typing.get_args(kind)
    for each in inner:
        yield from kinds(each)
    if not inner:
        yield kind


@pytest.mark.parametrize(("section", "field"), FIELDS, ids=lambda part: getattr(part, "__name__", getattr(part, "name", "")))
def test_every_value_is_bounded(section: Any, field: Any) -> None:
    """A number from both sides, a text by what there is or by its kind, a list or mapping in its length."""
    limits = field.metadata["bounds"]
    kind = typing.get_type_hints(section)[field.name]
    assert ("most" in limits) == any(typing.get_origin(of) in (list, dict) for of in (kind, *typing.get_args(kind)))
    for each in kinds(kind):
        if each in (int, float):
            assert limits.keys() & {"ge", "gt"} and limits.keys() & {"le", "lt"}
            assert all(abs(limits[sign]) < 3.4e38 for sign in limits.keys() & SIGNS.keys()), "finite in 32 bits"
        elif each is str:
            assert ("choices" in limits) != (limits.get("text") in TEXTS)
        else:
            assert each is bool or dataclasses.is_dataclass(each)
    assert ("values" in limits) == (typing.get_origin(kind) is dict)


def test_the_largest_seeds_draw_differently() -> None:
    """The generator takes 32 bits of a seed: within the bounds no two seeds are one training, beyond they would be."""
    first = {seed: torch.rand(8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1, 2**31, 2**32 - 1, 2**32)}
    assert torch.equal(first[0], first.pop(2**32))
    assert len({tuple(drawn.tolist()) for drawn in first.values()}) == 4
    assert schema.SEEDS == {"ge": 0, "lt": 2**32}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([f"seed={2**64}"], f"seed is {2**64}, expected >= 0 and < 4,294,967,296"),
        ([f"seed={2**32}"], f"seed is {2**32}, expected >= 0 and < 4,294,967,296"),
        (["seed=" + "9" * 5000], "cannot read 'seed=999"),
        (["data.seed=-1"], "data.seed is -1, expected >= 0"),
        (["optimizer.lr=1" + "0" * 400], "optimizer.lr is 1000"),
        (["optimizer.lr=1e300"], "optimizer.lr is 1e+300, expected >= 1e-30 and <= 1,000,000.0"),
        (["optimizer.lr=1e-300"], "optimizer.lr is 1e-300, expected >= 1e-30"),
        (["optimizer=adam", "optimizer.eps=1e-300"], "optimizer.eps is 1e-300, expected >= 1e-30 and <= 1"),
        (["trainer.threads=100000"], "trainer.threads is 100000, expected >= 0 and <= 1,024"),
        (
            ["trainer=ddp", "trainer.batch_size=100000", "trainer.devices=100000"],
            "trainer.devices is 100000, expected >= 1 and <= 1,024",
        ),
        (["trainer.max_epochs=1000000000000"], "trainer.max_epochs is 1000000000000, expected >= 1 and <= 1,000,000"),
        (["trainer.batch_size=2000000000"], "trainer.batch_size is 2,000,000,000: the layers' outputs of a step take "),
        (["model=resnet", "model.depth=6000002"], "model.depth is 6000002, expected >= 8 and <= 1,202"),
        (["model=mlp", "model.hidden=[1000000000]"], "model mlp: 795,000,000,010 parameters take 3,180.0 GB"),
        (["model.layers.0.filters=1000000000"], "model cnn: "),
        (["model.layers.0.filters=99999999999"], "model.layers.0.filters is 99999999999, expected >= 1 and <= 2,147,483,647"),
        (["model.layers.0.padding=4000", "model.layers.0.stride=1"], "outputs for one image take "),
        (["data.height=100000"], "data.height is 100000, expected >= 8 and <= 4,096"),
        (["augment.pixels=28"], "augment.pixels is 28, expected less than the images' side, 28"),
        (["data.mirrors=['file:///etc/']"], "data.mirrors.0 is 'file:///etc/', expected a URL such as https://host/folder/"),
        (["data.mirrors=['http://']"], "data.mirrors.0 is 'http://', expected a URL"),
        (["data.mirrors=['http://h:99999/']"], "data.mirrors.0 is 'http://h:99999/', expected a URL"),
        (["data.mirrors=['http://h/a b']"], "data.mirrors.0 is 'http://h/a b', expected a URL"),
        (
            ["tracking=server", "tracking.uri='sqlite:///x'"],
            "tracking.uri is 'sqlite:///x', expected a URL such as http://host:5000",
        ),
        (["data.classes=[a,b,a]"], "data.classes names 'a' more than once"),
        (["data.classes=[a,'']"], "data.classes.1 is '', expected 1 to 255 bytes of visible text"),
        (["data.classes=[a,b,'c\td']"], "data.classes.2 is 'c\\td', expected 1 to 255 bytes of visible text"),
        (
            ["data.classes=[" + ",".join(f"c{n}" for n in range(1001)) + "]"],
            "data.classes has 1,001 entries, expected at most 1,000",
        ),
        (["seed=" + "[" * 20_000], "cannot read 'seed=[[["),
        (["tracking.experiment=" + "x" * 100_000], "cannot read 'tracking.experiment=xxx"),
    ],
    ids=lambda part: part[0][:40] if isinstance(part, list) else "",
)
def test_beyond(composed: compose.Composer, words: list[str], expected: str) -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError) as raised:
        composed(words)
    [fault] = raised.value.faults
    assert expected in fault and "\n" not in fault and len(fault) < 600
    assert time.monotonic() - start < 20


def test_a_large_layer_is_told_in_gigabytes(composed: compose.Composer) -> None:
    """784 inputs by 10^9 units and a bias each, 10 logits of 10^9 and a bias each; 4 bytes a number."""
    [fault] = validation.check(compose_unchecked(composed, hidden=[10**9]))
    parameters = 785 * 10**9 + (10**9 + 1) * 10
    assert fault == (
        f"model mlp: {parameters:,} parameters take {4 * parameters / 1e9:,.1f} GB as 32-bit numbers, 3,140.0 GB of it in fc1; "
        "expected at most 8.6 GB: take fewer or smaller layers"
    )


def test_the_limit_itself() -> None:
    """An MLP without a hidden layer has (pixels + 1) * classes parameters: the last that fits, and one class more."""
    size = {"channels": 1, "height": 1024, "width": 1024}
    fits = shapes.LARGEST // (1024 * 1024 + 1)
    layers = shapes.layers(Softmax(name="softmax"), **size, classes=fits)
    assert shapes.parameter_count(layers) == (1024 * 1024 + 1) * fits <= shapes.LARGEST
    assert shapes.unit_count(layers) == 1024 * 1024 + fits
    with pytest.raises(shapes.ShapeError, match=r"parameters take 8\.6 GB"):
        shapes.layers(Softmax(name="softmax"), **size, classes=fits + 1)


def test_the_deepest_network_is_worked_out_at_once(composed: compose.Composer) -> None:
    config = composed(["model=resnet", "model.depth=1202"])
    assert config.model.depth == 1202  # type: ignore[attr-defined]


def compose_unchecked(composed: compose.Composer, *, hidden: list[int]) -> schema.Config:
    config = composed(["model=mlp"])
    return dataclasses.replace(config, model=dataclasses.replace(config.model, hidden=hidden))  # type: ignore[call-arg]
