"""The resolved config, the data and the model: there, and what their digests say."""

from collections.abc import Iterator
from pathlib import Path

from filterlab.config import resolved, schema
from filterlab.data import arrays, origin, prepare, published
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
    """The data set of the resolved config; None where there is none to read, of which the line "config" tells."""
    try:
        return resolved.load(root).data
    except UserError:
        return None


def check_raw(root: Path) -> Iterator[Finding]:
    """The data set's files against the digests that were written with them."""
    data, raw = asked(root), root / "data/raw"
    if data is None or not (raw / data.folder).exists():
        yield Finding(NOT_HERE)
        return
    if isinstance(data, schema.Own):
        missing = "" if origin.place(data, root).exists() else f"correct `path` in conf/data/{data.name}.yaml"
        yield Finding(f"{data.path}: {'not there' if missing else 'there'}", missing)
        return
    try:
        published.check(raw, data)
    except DataError as error:
        yield Finding(str(error), "`dvc repro download`")
    else:
        yield Finding(f"data/raw/{data.folder}, intact")


def check_prepared(root: Path) -> Iterator[Finding]:
    """What preprocess made, against the digest on its card."""
    processed = root / "data/processed"
    if not processed.exists():
        yield Finding(NOT_HERE)
        return
    for part in sorted(path for path in processed.iterdir() if path.is_dir()):
        try:
            card, _ = arrays.load(part)
        except DataError as error:
            yield Finding(str(error), "`dvc repro preprocess`")
        else:
            counts = ", ".join(f"{number:,} {name}" for name, number in card.counts.items())
            data = asked(root)
            older = data is not None and card.made_from != prepare.made_from(data)
            note = "; made for another configuration, `dvc repro` makes it anew" * older
            yield Finding(f"data/processed/{part.name}: {card.name}, {counts}, intact{note}")


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
