"""The resolved config, the data and the model: there, and what their digests say."""

from collections.abc import Iterator
from pathlib import Path

from filterlab.config import resolved, schema
from filterlab.data import arrays, aside, origin, prepare, published
from filterlab.doctor.finding import Finding
from filterlab.errors import ConfigError, DataError, UserError
from filterlab.models import folder

NOT_HERE = "not here yet: `dvc repro` makes it"


def check_config(root: Path) -> Iterator[Finding]:
    if not (root / resolved.RESOLVED).exists():
        yield Finding(f"{resolved.RESOLVED} is {NOT_HERE}")
        return
    try:
        config = resolved.load(root)
    except ConfigError as error:
        yield Finding("; ".join(error.faults), "`dvc repro --force compose`")
    else:
        yield Finding(f"{resolved.RESOLVED}: {config.model.name} on {config.data.name}, seed {config.seed}")


def asked(root: Path) -> schema.Data | None:
    """The data of the resolved config; None where there is none to read, of which the line "config" tells."""
    try:
        return resolved.load(root).data
    except UserError:
        return None


def check_raw(root: Path) -> Iterator[Finding]:
    """The data sets' files against the digests that were written with them; of a user's own images, whether they are there."""
    data, raw = asked(root), root / "data/raw"
    if isinstance(data, schema.Own):
        place = origin.place(data, root)
        if place.exists():
            yield Finding(f"{place}, read where it lies")
        else:
            yield Finding(f"{place} is not there", f"bring it back, or correct `path` in conf/data/{data.name}.yaml")
    elif data is None or not (raw / data.folder).exists():
        yield Finding(NOT_HERE)
    else:
        try:
            published.check(raw, data)
        except DataError as error:
            yield Finding(str(error), "`dvc repro download`")
        else:
            yield Finding(f"data/raw/{data.folder}, intact")
    for beside in folders(aside.place(root) / "raw"):
        if published.is_ours(beside):
            yield Finding(f"{beside}, intact")
        else:
            yield Finding(f"{beside} is not as it was written", f"rm -r {beside}: the next training that asks for it brings it")


def check_prepared(root: Path) -> Iterator[Finding]:
    """What preprocess made, for the pipeline and beside it, against the digests on the cards."""
    data, processed, sets = asked(root), root / "data/processed", aside.place(root)
    made = folders(processed) + [part for place in folders(sets) if place.name != "raw" for part in folders(place)]
    for part in made:
        own = part.parent == processed
        try:
            card, _ = arrays.load(part)
        except DataError as error:
            yield Finding(str(error), "`dvc repro preprocess`" if own else f"rm -r {part.parent}")
            continue
        counts = ", ".join(f"{number:,} {name}" for name, number in card.counts.items())
        older = own and data is not None and card.made_from != prepare.made_from(data)
        note = "; made for another configuration, `dvc repro` makes it anew" * older
        yield Finding(f"{part}: {card.name}, {counts}, intact{note}")
    if not made:
        yield Finding(NOT_HERE)


def folders(place: Path) -> list[Path]:
    found = sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
    return [path for path in found if path.suffix != ".partial"]


def check_model(root: Path) -> Iterator[Finding]:
    if not (root / "models").exists():
        yield Finding(NOT_HERE)
        return
    try:
        described = folder.describe(root / "models")
        folder.digests(root / "models")
    except DataError as error:
        yield Finding(str(error), "`dvc repro train`, or `dvc checkout models`")
    else:
        yield Finding(f"models/: {described['model'].get('name', 'a network')}, intact")
