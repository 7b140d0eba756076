"""`filterlab data`: options of conf/data/ for a user's own images."""

import os
import sys
from pathlib import Path

from filterlab import console, files
from filterlab.config import compose, document, schema
from filterlab.config.faults import unknown_option
from filterlab.data import progress, proposal
from filterlab.errors import ConfigError, DataError, UserError


def show(root: Path, *, name: str) -> None:
    """Draw the first images of each class, as they are prepared, into results/data/<name>.png; prepare them if need be.

    Raises ConfigError: there is no such option. Raises DataError: its images can't be prepared, or the picture be written.
    """
    from filterlab.data import arrays, ready
    from filterlab.visualization import gallery, png
    from filterlab.visualization.style import drawable

    data = compose.compose(root / "conf", ["experiment=none", f"data={name}"]).data
    folder = ready.find(data, root)
    card, parts = arrays.load(folder / "train")
    counts = {**card.counts, **arrays.Card.load(folder / "test" / arrays.CARD).counts}
    said = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    subject = f"{card.name}: {said} images of {card.width}x{card.height}"
    classes = drawable(card.classes)
    drawn = gallery.examples(parts["train"].images, parts["train"].labels, classes=classes, subject=subject)
    path = root / "results/data" / f"{card.name}.png"
    png.write(drawn, path)
    stands_for = {"numbers": console.legend(classes, card.classes)} if classes != card.classes else {}
    print(console.facts({"drawn": str(path.relative_to(root)), "images": said} | stands_for))


def check_set(words: str) -> None:
    """Raises UserError: torchvision has no such data set, or another than EMNIST is given a variant."""
    name, _, variant = words.partition("/")
    if name not in schema.TORCHVISION:
        raise UserError(f"torchvision: {unknown_option(name, schema.TORCHVISION)}")
    if (name == "EMNIST") != bool(variant):
        raise UserError(f"torchvision:{words}: EMNIST alone has variants, and needs one, e.g. torchvision:EMNIST/letters")


def add(root: Path, *, path: str, name: str) -> None:
    """Look at the images at `path`, say what is there, and write conf/data/<name>.yaml.

    Raises:
        UserError: nothing is at that path, the name can't be one, or is taken.
        DataError: what is there can't be trained on.
    """
    given = Path(path).expanduser()
    if path.startswith(proposal.TORCHVISION):
        check_set(path.removeprefix(proposal.TORCHVISION))
    elif not given.exists():
        raise UserError(
            f"{path} is not there (seen from {Path.cwd()}): expected a folder of pictures by class, or an archive of one"
        )
    called = proposal.name_of(given, name)
    option = root / f"conf/data/{called}.yaml"
    busy = UserError(f"another process makes conf/data/{called}.yaml: wait for its end, or take another name by --name")
    with files.held(option.with_name(f".{called}.lock"), otherwise=busy):
        if os.path.lexists(option):
            raise UserError(f"conf/data/{called}.yaml is there already: remove it, or take another name by --name")
        with progress.on(sys.stderr, counting="images") as watched:
            proposed = proposal.propose(given, name=called, root=root, progress=watched)
        if len(proposed.text.encode()) > document.LARGEST:
            raise DataError(
                f"{path} has {len(proposed.data.classes):,} classes, whose names take more than {document.LARGEST:,} bytes"
            )
        files.write(option, proposed.text)
    facts = {**proposed.facts, "written": f"conf/data/{called}.yaml, with its reasons"}
    try:
        compose.compose(root / "conf", ["experiment=none", f"data={called}"])
    except ConfigError as error:
        facts["but"] = f"as it stands it can't be trained: {'; '.join(error.faults)}"
    first = f"mend these pictures, or write `on_broken: skip` in conf/data/{called}.yaml; then " if "broken" in facts else ""
    facts["next"] = f"{first}write `data: {called}` in params.yaml, then: dvc repro"
    print(console.facts(facts))
