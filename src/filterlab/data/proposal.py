"""What lies at a path, and the option of conf/data/ that reads it: `filterlab data add`."""

import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from filterlab.config import document, schema
from filterlab.config.section import SIDE
from filterlab.data.own.collection import Collection, read_all
from filterlab.data.own.division import STRADDLING, Division, divide, readable
from filterlab.data.own.layout import Entry, has_ending, some
from filterlab.data.own.picture import Seen
from filterlab.data.own.sources import SOURCES, tell
from filterlab.data.own.tree import OnDisk
from filterlab.data.progress import Progress
from filterlab.errors import DataError, UserError

LONGER = 64  # pixels of the longer side that are proposed at most, but for pictures that are all of one size up to KEPT
KEPT = 96
SHORTER = 28  # pixels of the shorter side that are proposed at least: the default network takes no less than some 24
GRAY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}
TINY = 10  # images, below which a class is said to be tiny
FOUND = {
    "pictures": "pictures by class, in a folder or an archive",
    "csv": "a CSV of labels and pixels, or of file names and labels",
    "npz": "an .npz of images and labels",
    "idx": "IDX files",
    "torchvision": "a data set of torchvision's",
}
TORCHVISION = "torchvision:"
NAME = r"[A-Za-z][\w-]*"
RESERVED = {"default", "true", "false", "null"}


@dataclass(frozen=True)
class Proposal:
    """facts: what was found, by what it is about. text: of the option's file."""

    data: schema.Own
    facts: dict[str, str]
    text: str


def propose(path: Path, *, name: str, root: Path, progress: Progress) -> Proposal:
    """Look at every image, and propose an option. Raises DataError: nothing that could be trained on lies there."""
    named, _, variant = str(path).removeprefix(TORCHVISION).partition("/")
    roles: dict[str, str]
    if str(path).startswith(TORCHVISION):
        source, place, roles = "torchvision", root / "data/torchvision", {}
        place.mkdir(parents=True, exist_ok=True)
        chosen = {"set": named, "variant": variant or "none"}
    else:
        source, place, roles = tell(path)
        chosen = {"set": "none", "variant": "none"}
    where = str(place) if path.is_absolute() else os.path.relpath(place, root)
    values: dict[str, Any] = {"name": name, "folder": name, "source": source, "path": where, "roles": roles, "transpose": False}
    values |= chosen | {"mirrors": [], "files": {}, "take": "all", "take_n": 0, "split": "stratified", "seed": 0}
    values |= {
        "fit": "pad",
        "on_broken": "skip",
        "test": 0.0,
        "validation": 0.0,
        "classes": [],
        "channels": 3,
        "height": 0,
        "width": 0,
    }
    with tempfile.TemporaryDirectory() as scratch:
        found = SOURCES[source](place, Path(scratch), schema.Own(**values))
        seen = read_all(found, None, None, progress=progress)
    sound, broken = readable(found, seen)
    unlisted = unnamed(place, found) if source == "csv" else 0
    if unlisted > len(found.entries):
        raise DataError(
            f"{path} has a CSV that names {len(found.entries):,} of {len(found.entries) + unlisted:,} pictures: expected one "
            "source; move the CSV away where the folders are the classes, or add the others to it"
        )
    if not sound:
        named = "".join(f"\n  - {name}: {fault}" for name, fault in broken[:5])
        raise DataError(f"{path} has no image that can be read, expected some of each class{named}")
    entries, read = [found.entries[row] for row in sound], [seen[row] for row in sound]
    counts = Counter({label: 0 for label in found.classes})
    counts.update(entry.label for entry in entries)
    if len(counts) < 2:
        raise DataError(f"{path} has images of one class alone ({next(iter(counts))}), expected two classes or more")
    if empty := [label for label, count in counts.items() if not count]:
        raise DataError(f"{path} has no image that can be read of {some(empty)}: add some, or remove the class")
    height, width, why_size = size(read)
    modes = Counter(about.mode for about in read)
    parts = {entry.part for entry in entries}
    values |= {"classes": list(counts), "channels": 1 if set(modes) <= GRAY else 3, "height": height, "width": width}
    values |= {part: 0.0 if part in parts else share for part, share in [("test", 0.2), ("validation", 0.1)]}
    division = divide(found, seen, schema.Own(**values))
    by_mode = ", ".join(f"{mode} {count:,}" for mode, count in modes.most_common())
    animated = sum(about.frames > 1 for about in read)
    facts = {
        "found": FOUND[source],
        "images": f"{len(sound):,} of {len(counts):,} classes: {numbers(counts)}",
        "sizes": why_size,
        "modes": by_mode + (f"; {animated:,} with several frames" if animated else ""),
        "split": described(parts, division),
    }
    facts |= doubts(counts, entries, read, division)
    if broken:
        facts["broken"] = f"{len(broken):,}: " + some([f"{name} {fault}" for name, fault in broken])
    if strange := len(found.entries) - len(sound) - len(broken):
        facts["no pictures"] = f"{strange:,} other files, left alone"
    if empty := folders_without_files(place) if source == "pictures" else []:
        facts["empty"] = f"{some(empty)}: {'folders' if len(empty) > 1 else 'a folder'} without a file, no class"
    if beside := left_alone(place) if source == "pictures" else []:
        facts["beside"] = f"{some(beside)}: left alone"
    if unlisted:
        facts["unlisted"] = f"{unlisted:,} pictures that no line names, left alone"
    if found.numbered and int(next(iter(counts))):
        facts["labels"] = f"they count from {next(iter(counts))}: the first class is the label {next(iter(counts))}"
    data = schema.Own(**values | {"on_broken": "stop"})
    return Proposal(data, facts, written(data, facts))


def folders_without_files(place: Path) -> list[str]:
    """Empty ones below a folder, at any depth; hidden ones are left out."""
    walked = ((os.path.relpath(folder, place), below, names) for folder, below, names in os.walk(place))
    empty = [folder for folder, below, names in walked if not below and not names]
    return sorted(folder for folder in empty if not any(part.startswith(".") for part in Path(folder).parts))


def left_alone(place: Path) -> list[str]:
    """What lies in a folder of classes and is none: files, and hidden folders with pictures in them."""
    if not place.is_dir():
        return []
    hidden = [each for each in sorted(place.iterdir()) if each.is_dir() and each.name.startswith(".")]
    pictures = {each: sum(has_ending(name) for _, _, names in os.walk(each) for name in names) for each in hidden}
    files = [each.name for each in sorted(place.iterdir()) if each.is_file() and not each.name.startswith(".")]
    return [f"{each.name}/ (hidden, {count:,} pictures)" for each, count in pictures.items() if count] + files


def unnamed(place: Path, found: Collection) -> int:
    """How many pictures lie beside a CSV that names others."""
    named = {each.path for each in found.places if isinstance(each, OnDisk)}
    folder = place if place.is_dir() else place.parent
    return sum(str(path) not in named for path in folder.rglob("*") if has_ending(path.name)) if named else 0


def doubts(counts: Counter[str], entries: list[Entry], seen: list[Seen], division: Division) -> dict[str, str]:
    """What may be wrong with images that can be read."""
    facts = {}
    if tiny := [label for label, count in counts.items() if count < TINY]:
        facts["tiny"] = f"{some(tiny)}: fewer than {TINY} images"
    if max(counts.values()) >= 3 * min(counts.values()):
        most, least = counts.most_common()[0], counts.most_common()[-1]
        facts["imbalance"] = f"{most[0]} has {most[1]:,}, {least[0]} {least[1]:,}: `trainer.balance`, and the macro means"
    if copies := copied(entries, seen):
        facts["copies"] = copies
    if straddling := division.notes.get(STRADDLING):
        facts["straddling"] = f"{straddling:,} images that are in the test or validation set too: left out of training"
    return facts


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
    listed = [f"{label} {count:,}" for label, count in counts.items()]
    return ", ".join(listed[:10]) + (f", and {len(listed) - 10:,} more" if len(listed) > 10 else "")


def described(parts: set[str], division: Division) -> str:
    said = [part for part in ("train", "validation", "test") if part in parts]
    counts = ", ".join(f"{len(division.rows[part]):,} {part}" for part in ("train", "validation", "test"))
    return f"{'by the source: ' + ', '.join(said) if said else 'none by the source'}; so there are {counts}"


def copied(entries: list[Entry], seen: list[Seen]) -> str:
    """How many pictures have the bytes of another, and which of them are in several classes."""
    by_digest: dict[bytes, list[Entry]] = {}
    for entry, about in zip(entries, seen, strict=True):
        by_digest.setdefault(about.digest, []).append(entry)
    copies = len(seen) - len(by_digest)
    contradictory = [same for same in by_digest.values() if len({entry.label for entry in same}) > 1]
    words = f"{copies:,} images have the same bytes as another: they stay on one side of the split" if copies else ""
    if contradictory:
        named = some([" = ".join(entry.name for entry in same[:3]) for same in contradictory])
        words += f"; {len(contradictory):,} are in several classes at once: {named}"
    return words


def written(data: schema.Own, facts: dict[str, str]) -> str:
    """The option's file: values with their reasons."""

    def text(value: object) -> str:
        dumped = yaml.dump(value, Dumper=document.Dumper, default_flow_style=True, allow_unicode=True, width=110)
        return dumped.removesuffix("\n").removesuffix("\n...")

    broken = f"{facts['broken'].partition(':')[0]} can't be read; " if "broken" in facts else ""
    says = {
        "test": "of all images, drawn with the seed; evaluate alone reads them" if data.test else "the source says which",
        "validation": "of the training images, drawn with the seed" if data.validation else "the source says which",
    }
    arrays = f"set: {data.set}\nvariant: {text(data.variant)}\n" if data.source == "torchvision" else ""
    arrays += f"roles: {text(data.roles)}  # which array, or file, is what\n" if data.roles else ""
    if data.source != "pictures":
        arrays += "transpose: false  # true exchanges rows and columns, as EMNIST's files need\n"
    return f"""# {data.path}, {facts["found"]}: {facts["images"]}.
# Written by `filterlab data add`; from now on it is yours.
name: {text(data.name)}
source: {data.source}
path: {text(data.path)}
{arrays}folder: {text(data.folder)}
classes: {text(data.classes)}{"  # names, in the order of the labels" if data.source in ("npz", "idx") else ""}
channels: {data.channels}  # {"gray" if data.channels == 1 else "red, green, blue"}: {facts["modes"]}
height: {data.height}  # {facts["sizes"]}; larger shows more, and takes longer
width: {data.width}
fit: pad  # all of each image, scaled, zeros around it; crop: its middle, without zeros
on_broken: stop  # {broken}skip leaves out what can't be read
mirrors: []
files: {{}}
take: all
take_n: 0
test: {data.test}  # {says["test"]}
validation: {data.validation}  # {says["validation"]}
split: stratified
seed: 0
"""


def name_of(path: Path, given: str) -> str:
    """The name of the data set: the one given, or the path's. Raises UserError: it can't be one."""
    named = str(path).removeprefix(TORCHVISION).partition("/")[0] if str(path).startswith(TORCHVISION) else path.resolve().name
    name = given or re.sub(r"(\.tar)?\.[A-Za-z0-9]+$", "", named).lower().replace(" ", "_")
    if name in RESERVED:
        raise UserError(f"{name!r} means something to Hydra or YAML: give the data set another name by --name, e.g. --name herbs")
    if not re.fullmatch(NAME, name, re.ASCII) or len(name) > 100:
        raise UserError(
            f"{name!r} is no name for a data set: give one by --name, of letters, digits, _ and -, the first a letter, e.g. "
            "--name herbs"
        )
    return name
