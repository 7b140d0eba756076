"""Checks that need more than a type: bounds of each value, and values that must agree."""

import dataclasses
import math
import operator
from collections.abc import Iterator
from typing import Any

from filterlab.config import schema
from filterlab.models import shapes

COMPARE = {"ge": (operator.ge, ">="), "gt": (operator.gt, ">"), "le": (operator.le, "<="), "lt": (operator.lt, "<")}


def check(config: schema.Config) -> list[str]:
    """Every fault of a configuration, a sentence each; [] where there is none."""
    faults = list(out_of_bounds(config))
    faults += list(disagreements(config))
    if not any(fault.startswith(("model.", "data.")) for fault in faults):
        data = config.data
        try:
            shapes.layers(config.model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes))
        except shapes.ShapeError as error:
            faults.append(str(error))
    return faults


def out_of_bounds(section: Any, place: str = "") -> Iterator[str]:
    """Walk the sections; each field's metadata holds its bounds."""
    for field in dataclasses.fields(section):
        at = f"{place}{field.name}"
        given = getattr(section, field.name)
        for index, item in enumerate(given if isinstance(given, list) else [given]):
            here = f"{at}.{index}" if isinstance(given, list) else at
            if dataclasses.is_dataclass(item):
                yield from out_of_bounds(item, f"{here}.")
            elif expected := broken_bound(item, field.metadata):
                yield f"{here} is {item!r}, expected {expected} ({field.metadata['doc']})"


def broken_bound(item: Any, bounds: Any) -> str | None:
    if "choices" in bounds and item not in bounds["choices"]:
        return "one of " + ", ".join(bounds["choices"])
    if isinstance(item, float) and not math.isfinite(item):
        return "a finite number"
    broken = any(name in bounds and not compare(item, bounds[name]) for name, (compare, _) in COMPARE.items())
    if broken:
        return " and ".join(f"{sign} {bounds[name]}" for name, (_, sign) in COMPARE.items() if name in bounds)
    return None


def disagreements(config: schema.Config) -> Iterator[str]:
    data, trainer, optimizer = config.data, config.trainer, config.optimizer
    for menu, families in schema.FAMILIES.items():
        section = getattr(config, menu)
        if len(families) > 1 and families.get(section.name) is not type(section):
            kind = type(section).__name__
            yield f"{menu}.name is {section.name!r}, but the values are those of {kind}: {menu}=option chooses another"
    if (data.take == "all") != (data.take_n == 0):
        yield f"data.take is {data.take} and data.take_n is {data.take_n}: take_n is 0 with all, and at least 1 otherwise"
    if len(data.classes) < 2:
        yield f"data.classes has {len(data.classes)} entries, expected at least 2"
    yield from files(data)
    if isinstance(optimizer, schema.SGD) and optimizer.nesterov and optimizer.momentum == 0:
        yield "optimizer.nesterov is true and optimizer.momentum is 0: nesterov needs momentum > 0"
    if trainer.strategy == "auto" and trainer.devices > 1:
        yield f"trainer.devices is {trainer.devices} and trainer.strategy is auto: more than one device needs strategy ddp"
    if trainer.batch_size < trainer.devices:
        yield f"trainer.batch_size is {trainer.batch_size}, expected at least one image for each of {trainer.devices} devices"
    if config.tracking.backend != "server" and config.tracking.uri:
        backend, uri = config.tracking.backend, config.tracking.uri
        yield f"tracking.uri is {uri!r} and tracking.backend is {backend}: a uri needs tracking=server"
    if isinstance(config.model, schema.ConvNet) and not config.model.layers:
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
