"""Checks that need more than a type: bounds of each value, and values that must agree."""

import dataclasses
import math
import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from filterlab.config import schema
from filterlab.config.faults import short
from filterlab.data.augment import Shift
from filterlab.models import shapes
from filterlab.models.architectures.conv_net import ConvNet
from filterlab.training.optimizers import SGD

COMPARE = {"ge": (operator.ge, ">="), "gt": (operator.gt, ">"), "le": (operator.le, "<="), "lt": (operator.lt, "<")}
STEP = 10**12  # bytes of a step's outputs on one device: more than any has, so that it is a slip of the pen
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, separators of lines and paragraphs


def is_text(text: str) -> bool:
    return bool(text.strip()) and not any(unicodedata.category(sign) in UNSEEN for sign in text) and len(text.encode()) <= 255


def is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and is_printable(text)
    except ValueError:  # of the port, of brackets
        return False


def is_printable(text: str) -> bool:
    return text.isprintable() and " " not in text and len(text) <= 2_000


# kind of text -> whether it is one, and what was expected
TEXTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "text": (is_text, "1 to 255 bytes of visible text"),
    "name": (
        lambda text: is_text(text) and text not in (".", "..") and "/" not in text,
        "the name of one file or folder: 1 to 255 bytes of visible text without /, and neither . nor ..",
    ),
    "url": (is_url, "a URL such as https://host/folder/"),
    "server": (lambda text: not text or is_url(text), "a URL such as http://host:5000, or nothing"),
    "md5": (lambda text: re.fullmatch("[0-9a-f]{32}", text) is not None, "an MD5 of 32 digits, 0 to 9 and a to f"),
}


def check(config: schema.Config) -> list[str]:
    """Every fault of a configuration, a sentence each; [] where there is none."""
    faults = list(out_of_bounds(config))
    faults += list(disagreements(config))
    if not any(fault.startswith(("model.", "data.")) for fault in faults):
        data = config.data
        try:
            layers = shapes.layers(
                config.model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes)
            )
        except shapes.ShapeError as error:
            faults.append(str(error))
        else:
            faults += too_large_a_step(config, shapes.unit_count(layers))
    return faults


def too_large_a_step(config: schema.Config, units: int) -> Iterator[str]:
    """units: outputs of all layers for one image; training keeps them for a whole batch, in 4 bytes each."""
    size, devices = config.trainer.batch_size, config.trainer.devices
    if (needed := 4 * units * size // devices) > STEP:
        yield (
            f"trainer.batch_size is {size:,}: the layers' outputs of a step take {needed / 1e9:,.0f} GB on each device, "
            f"expected at most {STEP / 1e9:,.0f} GB; take smaller batches"
        )


def out_of_bounds(section: Any, place: str = "") -> Iterator[str]:
    """Walk the sections; each field's metadata holds its bounds."""
    for field in dataclasses.fields(section):
        given, bounds = getattr(section, field.name), field.metadata
        at = f"{place}{field.name}"
        if "most" in bounds and len(given) > bounds["most"]:
            yield f"{at} has {len(given):,} entries, expected at most {bounds['most']:,} ({bounds['doc']})"
            continue
        items: list[tuple[str, Any, Mapping[str, Any]]]
        if isinstance(given, dict):
            items = [(f"a key of {at}", key, bounds) for key in given]
            items += [(f"{at}.{key}", value, {"text": bounds["values"]}) for key, value in given.items()]
        elif isinstance(given, list):
            items = [(f"{at}.{index}", item, bounds) for index, item in enumerate(given)]
        else:
            items = [(at, given, bounds)]
        for here, item, its in items:
            if dataclasses.is_dataclass(item):
                yield from out_of_bounds(item, f"{here}.")
            elif expected := broken_bound(item, its):
                yield f"{here} is {short(item)}, expected {expected} ({bounds['doc']})"


def broken_bound(item: Any, bounds: Any) -> str | None:
    if "choices" in bounds and item not in bounds["choices"]:
        return "one of " + ", ".join(bounds["choices"])
    if "text" in bounds:
        fits, expected = TEXTS[bounds["text"]]
        return None if isinstance(item, str) and fits(item) else expected  # OmegaConf lets lists into dict[str, str]
    if isinstance(item, float) and not math.isfinite(item):
        return "a finite number"
    broken = any(name in bounds and not compare(item, bounds[name]) for name, (compare, _) in COMPARE.items())
    if broken:
        return " and ".join(f"{sign} {bounds[name]:,}" for name, (_, sign) in COMPARE.items() if name in bounds)
    return None


def disagreements(config: schema.Config) -> Iterator[str]:
    data, trainer, optimizer = config.data, config.trainer, config.optimizer
    for group, families in schema.FAMILIES.items():
        section = getattr(config, group)
        if len(families) > 1 and families.get(section.name) is not type(section):
            kind = type(section).__name__
            yield f"{group}.name is {section.name!r}, but the values are those of {kind}: {group}=option chooses another"
    if (data.take == "all") != (data.take_n == 0):
        yield f"data.take is {data.take} and data.take_n is {data.take_n}: take_n is 0 with all, and at least 1 otherwise"
    if len(data.classes) < 2:
        yield f"data.classes has {len(data.classes)} entries, expected at least 2"
    if twice := [name for name, count in Counter(data.classes).items() if count > 1]:
        yield f"data.classes names {short(twice[0])} more than once: each label needs a name of its own"
    yield from files(data)
    if isinstance(optimizer, SGD) and optimizer.nesterov and optimizer.momentum == 0:
        yield "optimizer.nesterov is true and optimizer.momentum is 0: nesterov needs momentum > 0"
    side = min(data.height, data.width)
    if isinstance(config.augment, Shift) and config.augment.pixels >= side:
        yield f"augment.pixels is {config.augment.pixels}, expected less than the images' side, {side}: nothing would be left"
    if trainer.strategy == "auto" and trainer.devices > 1:
        yield f"trainer.devices is {trainer.devices} and trainer.strategy is auto: more than one device needs strategy ddp"
    if trainer.batch_size < trainer.devices:
        yield f"trainer.batch_size is {trainer.batch_size}, expected at least one image for each of {trainer.devices} devices"
    if config.tracking.backend != "server" and config.tracking.uri:
        backend, uri = config.tracking.backend, config.tracking.uri
        yield f"tracking.uri is {uri!r} and tracking.backend is {backend}: a uri needs tracking=server"
    if isinstance(config.model, ConvNet) and not config.model.layers:
        yield "model.layers is empty, expected at least one convolution"


def files(data: schema.Data) -> Iterator[str]:
    """Before anything is downloaded or made: under other names it would not be read, and another data set's would."""
    expected = {f"{name}.gz" for pair in schema.FILES.values() for name in (pair.images, pair.labels)}
    if data.files and data.files.keys() != expected:
        other = sorted(data.files.keys() - expected)
        what = f"names {', '.join(other)}" if other else f"lacks {', '.join(sorted(expected - data.files.keys()))}"
        yield (
            f"data.files {what}, expected exactly {', '.join(sorted(expected))}, which is what preprocess reads: give your files "
            "these names (a data set whose `defaults` name another one has that one's files too, as mappings are merged)"
        )
    if not data.files and (data.name, data.folder) != schema.DIGITS:
        name, folder = schema.DIGITS
        yield (
            f"data.files is empty with data.name {data.name!r} and data.folder {data.folder!r}: only scikit-learn's digits "
            f"(name {name}, folder {folder}) come without files. Name the four files of {data.name} with their MD5, "
            "or choose data=digits"
        )
