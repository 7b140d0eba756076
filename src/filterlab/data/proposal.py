"""What lies at a path, and the option of conf/data/ that reads it: `filterlab data add`."""

import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml

from filterlab.config import document, schema
from filterlab.config.section import SIDE
from filterlab.data.own.collection import SOURCES, read_all
from filterlab.data.own.division import Division, divide, readable
from filterlab.data.own.layout import some
from filterlab.data.own.picture import Seen
from filterlab.data.progress import Progress
from filterlab.errors import DataError, UserError

LONGER = 64  # pixels of the longer side that are proposed at most, but for pictures that are all of one size up to KEPT
KEPT = 96
SHORTER = 28  # pixels of the shorter side that are proposed at least: the default network takes no less than some 24
GRAY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}
TINY = 10  # images, below which a class is said to be tiny
NAME = r"[A-Za-z][\w-]*"


@dataclass(frozen=True)
class Proposal:
    """facts: what was found, by what it is about. text: of the option's file."""

    data: schema.Own
    facts: dict[str, str]
    text: str


def propose(path: Path, *, name: str, root: Path, progress: Progress) -> Proposal:
    """Look at every image, and propose an option. Raises DataError: nothing that could be trained on lies there."""
    with tempfile.TemporaryDirectory() as scratch:
        found = SOURCES["pictures"](path, Path(scratch))
        seen = read_all(found, None, None, progress=progress)
    sound, broken = readable(found.entries, seen)
    if not sound:
        named = "".join(f"\n  - {name}: {fault}" for name, fault in broken[:5])
        raise DataError(f"{path} has no picture that can be read, expected some in a folder for each class{named}")
    entries = [found.entries[row] for row in sound]
    counts = Counter(entry.label for entry in entries)
    classes = sorted({entry.label for entry in found.entries})
    if len(counts) < 2:
        raise DataError(
            f"{path} has pictures of one class alone ({next(iter(counts))}), expected a folder for each of two or more"
        )
    if empty := sorted(set(classes) - set(counts)):
        raise DataError(f"{path} has no picture that can be read of {some(empty)}: add some, or remove the folder")
    read = [seen[row] for row in sound]
    height, width, why_size = size(read)
    modes = Counter(about.mode for about in read)
    gray = set(modes) <= GRAY
    parts = Counter(entry.part for entry in entries)
    shares = {part: 0.0 if part in parts else share for part, share in [("test", 0.2), ("validation", 0.1)]}
    data = schema.Own(
        name=name,
        folder=name,
        classes=classes,
        channels=1 if gray else 3,
        height=height,
        width=width,
        mirrors=[],
        files={},
        take="all",
        take_n=0,
        validation=shares["validation"],
        split="stratified",
        seed=0,
        source="pictures",
        path=str(path) if path.is_absolute() else os.path.relpath(path, root),
        fit="pad",
        on_broken="stop",
        test=shares["test"],
    )
    division = divide(found.entries, seen, schema.Own(**{**vars(data), "on_broken": "skip"}))
    by_mode = ", ".join(f"{mode} {count:,}" for mode, count in modes.most_common())
    facts = {
        "found": f"{'a folder' if path.is_dir() else 'an archive'} of pictures by class",
        "pictures": f"{len(sound):,} of {len(counts):,} classes: {numbers(counts)}",
        "sizes": why_size,
        "modes": by_mode
        + (f"; {animated:,} with several frames" if (animated := sum(about.frames > 1 for about in read)) else ""),
        "split": described(parts, division),
    }
    if tiny := [label for label, count in counts.items() if count < TINY]:
        facts["tiny"] = f"{some(tiny)}: fewer than {TINY} pictures"
    if max(counts.values()) >= 3 * min(counts.values()):
        most, least = counts.most_common()[0], counts.most_common()[-1]
        facts["imbalance"] = f"{most[0]} has {most[1]:,}, {least[0]} {least[1]:,}: look at the macro means, not at the accuracy"
    if copies := copied([entry.label for entry in entries], read):
        facts["copies"] = copies
    if straddling := division.notes.get("copies of images on another side, left out"):
        facts["straddling"] = f"{straddling:,} pictures that are in the test or validation set too: left out of training"
    if broken:
        facts["broken"] = f"{len(broken):,}: " + some([f"{name} {fault}" for name, fault in broken])
    if strange := len(found.entries) - len(sound) - len(broken):
        facts["no pictures"] = f"{strange:,} other files, left alone"
    return Proposal(data, facts, written(data, facts, gray=gray))


def size(seen: list[Seen]) -> tuple[int, int, str]:
    """Height and width to propose, and why."""
    sizes = Counter(about.size for about in seen)
    smallest, largest = min(sizes), max(sizes)
    across, up = median(w for w, _ in sizes.elements()), median(h for _, h in sizes.elements())
    shapes = [w / h for w, h in sizes.elements()]
    why = f"{smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]} (width x height), in the middle {across:g}x{up:g}"
    if len(sizes) == 1:
        why = f"all {across:g}x{up:g} (width x height)"
    most = KEPT if len(sizes) == 1 else LONGER
    scale = min(1.0, (most if max(across, up) <= most else LONGER) / max(across, up))
    if min(across, up) * scale < SHORTER:
        scale = -(-SHORTER // min(across, up)) if min(across, up) < SHORTER else SHORTER / min(across, up)
        why += ", enlarged for the network" if scale > 1 else ""
    width, height = (min(SIDE, round(side * scale)) for side in (across, up))
    if max(shapes) > 1.1 * min(shapes):
        width = height = max(width, height) if scale < 1 else min(width, height)
    return height, width, why


def numbers(counts: Counter[str]) -> str:
    """Counts by class, the first of many."""
    listed = [f"{label} {counts[label]:,}" for label in sorted(counts)]
    return ", ".join(listed[:10]) + (f", and {len(listed) - 10:,} more" if len(listed) > 10 else "")


def described(parts: Counter[str], division: Division) -> str:
    said = [part for part in ("train", "validation", "test") if part in parts]
    counts = ", ".join(f"{len(division.rows[part]):,} {part}" for part in ("train", "validation", "test"))
    return f"{'by folders: ' + ', '.join(said) if said else 'none by folders'}; so there are {counts}"


def copied(labels: list[str], seen: list[Seen]) -> str:
    """How many pictures have the bytes of another, and whether under another class."""
    by_digest: dict[bytes, set[str]] = {}
    for label, about in zip(labels, seen, strict=True):
        by_digest.setdefault(about.digest, set()).add(label)
    copies = len(seen) - len(by_digest)
    contradictory = sum(len(named) > 1 for named in by_digest.values())
    words = f"{copies:,} pictures have the same bytes as another: they stay on one side of the split" if copies else ""
    return words + (f"; {contradictory:,} are in several classes at once" if contradictory else "")


def written(data: schema.Own, facts: dict[str, str], *, gray: bool) -> str:
    """The option's file: values with their reasons."""

    def text(value: object) -> str:
        dumped = yaml.dump(value, Dumper=document.Dumper, default_flow_style=True, allow_unicode=True, width=110)
        return dumped.removesuffix("\n").removesuffix("\n...")

    broken = f"{facts['broken'].partition(':')[0]} can't be read; " if "broken" in facts else ""
    says = {
        "test": "the folder test/ says which"
        if not data.test
        else "of all pictures, drawn with the seed; evaluate alone reads them",
        "validation": "the folder val/ says which" if not data.validation else "of the training images, drawn with the seed",
    }
    return f"""# {data.path}: {facts["pictures"]}.
# Written by `filterlab data add`; from now on it is yours.
name: {text(data.name)}
source: pictures
path: {text(data.path)}
folder: {text(data.folder)}
classes: {text(data.classes)}
channels: {data.channels}  # {"gray" if gray else "red, green, blue"}: {facts["modes"]}
height: {data.height}  # {facts["sizes"]}; larger shows more, and takes longer
width: {data.width}
fit: pad  # all of each picture, scaled, zeros around it; crop: its middle, without zeros
on_broken: stop  # {broken}skip leaves out what can't be read
mirrors: []
files: {{}}
take: all
take_n: 0
test: {data.test:g}  # {says["test"]}
validation: {data.validation:g}  # {says["validation"]}
split: stratified
seed: 0
"""


def name_of(path: Path, given: str) -> str:
    """The name of the data set: the one given, or the path's. Raises UserError: it can't be one."""
    name = given or re.sub(r"(\.tar)?\.[A-Za-z0-9]+$", "", path.resolve().name).lower().replace(" ", "_")
    if not re.fullmatch(NAME, name, re.ASCII) or len(name) > 100 or name in ("default", "true", "false", "null"):
        raise UserError(
            f"{name!r} is no name for a data set: give one by --name, of letters, digits, _ and -, the first a letter, e.g. "
            "--name herbs"
        )
    return name
