"""Images in arrays, a row each: a CSV of labels and pixels, the arrays of an .npz, IDX files by role; and a CSV of file names.

An image of an array is (H, W), (H, W, C) or (C, H, W), its values in 0..1, in 0..255, or whole numbers of 16 bits. The labels are
whole numbers, whose order is that of the classes.
"""

import csv
import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from filterlab.config import schema
from filterlab.data import idx
from filterlab.data.own import layout, tree
from filterlab.data.own.collection import Collection, Place
from filterlab.data.own.layout import Entry
from filterlab.data.own.picture import ENDINGS, Row
from filterlab.errors import DataError
from filterlab.files import blaming

NAMES = {
    "file",
    "filename",
    "file_name",
    "image",
    "image_name",
    "image_id",
    "name",
    "path",
    "filepath",
    "picture",
    "id",
}  # of files
LABELS = {"label", "labels", "class", "target", "category", "y"}
PARTS = {"split", "part", "set", "subset"}
ROWS = 2_000  # that are parsed at a time
# role -> names that arrays of an .npz go by: MedMNIST's, Keras's
ARRAYS = {
    "train_images": ["train_images", "x_train", "images", "x"],
    "train_labels": ["train_labels", "y_train", "labels", "y"],
    "validation_images": ["val_images", "validation_images", "x_val"],
    "validation_labels": ["val_labels", "validation_labels", "y_val"],
    "test_images": ["test_images", "x_test"],
    "test_labels": ["test_labels", "y_test"],
}


def npz(path: Path, scratch: Path, data: schema.Own) -> Collection:
    """The arrays of an .npz, by data.roles. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as held:
            if missing := [name for name in data.roles.values() if name not in held]:
                raise DataError(f"{path} has no array {missing[0]}, as data.roles says; there are: {', '.join(held)}")
            arrays = {role: held[name] for role, name in data.roles.items()}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no sound .npz of plain arrays ({error}): save it anew with numpy.savez") from error
    return collect(arrays, path, scratch, transpose=data.transpose)


def idx_files(path: Path, scratch: Path, data: schema.Own) -> Collection:
    """IDX files below a folder, gzipped or not, by data.roles. Raises DataError."""
    arrays = {}
    for role, name in data.roles.items():
        with blaming(path / name, verb="read"):
            content = (path / name).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = idx.unzip(content, path / name)
        arrays[role] = idx.parse(content, path / name, kinds=tuple(idx.ELEMENTS))
    return collect(arrays, path, scratch, transpose=data.transpose)


def collect(arrays: Mapping[str, np.ndarray], path: Path, scratch: Path, *, transpose: bool) -> Collection:
    """The rows of arrays by role. Raises DataError: they don't go together, or are no images and labels."""
    entries: list[Entry] = []
    places: list[Place] = []
    said = len({role.partition("_")[0] for role in arrays}) > 1
    for part in ("train", "validation", "test"):
        if f"{part}_images" not in arrays:
            continue
        if f"{part}_labels" not in arrays:
            raise DataError(f"{path} has {part}_images and no {part}_labels, expected both")
        labels = whole(arrays[f"{part}_labels"], f"{path}: {part}_labels")
        images = to_bytes(arrays[f"{part}_images"], f"{path}: {part}_images")
        if len(images) != len(labels):
            raise DataError(f"{path} has {len(images):,} {part}_images and {len(labels):,} {part}_labels, expected one for each")
        file = scratch / f"{part}.npy"
        with blaming(file, verb="write"):
            np.save(file, images.swapaxes(1, 2) if transpose else images)
        entries += [Entry(f"{part} {row}", part if said else "", str(label)) for row, label in enumerate(labels.tolist())]
        places += [Row(str(file), row) for row in range(len(labels))]
    return Collection(entries, places, numbered=True)


def whole(labels: np.ndarray, what: str) -> np.ndarray:
    """(N,) int64 labels. Raises DataError: they are several for an image, or no whole numbers."""
    flat = labels.reshape(len(labels), -1) if labels.ndim else labels.reshape(1, 1)
    if flat.shape[1] > 1:
        one_hot = ((flat == 0) | (flat == 1)).all() and (flat.sum(axis=1) == 1).all()
        if not one_hot:
            raise DataError(f"{what} has shape {labels.shape}: several labels for an image, expected one (or one-hot)")
        return flat.argmax(axis=1)
    if flat.dtype.kind not in "iub" and not (flat.dtype.kind == "f" and np.isfinite(flat).all() and (flat == flat.round()).all()):
        raise DataError(f"{what} is of {labels.dtype}, expected whole numbers")
    return flat[:, 0].astype(np.int64)


def to_bytes(images: np.ndarray, what: str) -> np.ndarray:
    """(N, H, W) or (N, H, W, C) uint8. Raises DataError: they have another shape, or values that are no brightnesses."""
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3, 4))) or 0 in images.shape:
        raise DataError(f"{what} has shape {images.shape}, expected (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1, 3 or 4")
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.dtype.kind not in "iubf":
        raise DataError(f"{what} is of {images.dtype}, expected numbers")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= (65535 if images.dtype.kind in "iu" else 255)):  # nan too
        raise DataError(f"{what} has values from {low:g} to {high:g}, expected 0 to 1, or 0 to 255, or whole numbers of 16 bits")
    if high <= 1:
        return np.rint(images * np.float32(255)).astype(np.uint8)
    return np.rint(images / 257).astype(np.uint8) if high > 255 else np.rint(images).astype(np.uint8)


class Header(NamedTuple):
    """Of a CSV: places of its columns; rows: whether its first line names the columns."""

    columns: list[str]
    named: bool
    label: int | None
    file: int | None
    part: int | None


def header(path: Path) -> Header:
    """Raises DataError: it is no CSV whose columns say what they are."""
    try:
        with blaming(path, verb="read"), path.open(encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV in UTF-8 ({error})") from error
    if len(first) < 2:
        raise DataError(f"{path} has {len(first)} columns, expected a label and pixels, or file names and labels")
    if all(is_number(cell) for cell in first):
        return Header(first, named=False, label=0, file=None, part=None)
    called = [cell.strip().lower() for cell in first]

    def find(names: set[str]) -> int | None:
        return next((place for place, name in enumerate(called) if name in names), None)

    few = len(first) <= 20
    return Header(first, True, find(LABELS), find(NAMES) if few else None, find(PARTS) if few else None)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def csv_files(path: Path) -> list[tuple[str, Path]]:
    """The CSV files at a path by the part that their names say, "" for one alone. Raises DataError: it is unsure."""
    if path.is_file():
        return [("", path)]
    found = sorted(each for each in path.iterdir() if each.is_file() and each.suffix.lower() == ".csv")
    if not found:
        raise DataError(f"{path} has no .csv file")
    said = [(layout.PARTS.get(each.stem.lower().rpartition("_")[2] or "", ""), each) for each in found]
    labelled = [(part, each) for part, each in said if header(each).label is not None]
    if not labelled:
        raise DataError(f"{found[0]} has no column of labels: expected one called {', '.join(sorted(LABELS))}")
    if len(labelled) == 1:
        return [("", labelled[0][1])]
    parts = [part for part, _ in labelled]
    if len({*parts}) < len(parts) or "" in parts or "train" not in parts:
        raise DataError(
            f"{path} has {', '.join(each.name for _, each in labelled)}: expected one file of labels, or train.csv, val.csv, "
            "test.csv; move the others elsewhere"
        )
    return labelled


def table(path: Path, scratch: Path, data: schema.Own) -> Collection:
    """A CSV of labels and pixels, or of file names and labels; a folder of one or of train.csv, val.csv and test.csv."""
    entries: list[Entry] = []
    places: list[Place] = []
    numbered = False
    for part, file in csv_files(path):
        about = header(file)
        if about.file is not None:
            for entry, place in named(file, about, part):
                entries.append(entry)
                places.append(place)
        else:
            numbered = True
            found = pixels(file, about, part, scratch, transpose=data.transpose)
            entries += found.entries
            places += found.places
    return Collection(entries, places, numbered=numbered, listed=True)


def named(file: Path, about: Header, part: str) -> Iterator[tuple[Entry, tree.Place]]:
    """The pictures that a CSV names, beside it. Raises DataError: a row without label, a name that leads elsewhere."""
    assert about.file is not None
    if about.label is None:
        raise DataError(f"{file} has no column of labels: expected one called {', '.join(sorted(LABELS))}")
    seen: set[str] = set()
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text)
            next(rows)
            for number, row in enumerate(rows, start=2):
                if not row:
                    continue
                if len(row) != len(about.columns):
                    raise DataError(
                        f"{file} has {len(row)} cells in line {number}, expected {len(about.columns)}, as in its first"
                    )
                name, label = row[about.file].strip(), row[about.label].strip()
                if not label or not name:
                    raise DataError(f"{file} has no {'label' if name else 'file name'} in line {number}")
                if Path(name).is_absolute() or ".." in Path(name).parts:
                    raise DataError(f"{file} names {name} in line {number}: expected files in its own folder or below")
                if name in seen:
                    raise DataError(f"{file} names {name} twice, again in line {number}: expected each file once")
                seen.add(name)
                said = part
                if about.part is not None:
                    said = layout.PARTS.get(row[about.part].strip().lower(), "")
                    if not said:
                        raise DataError(f"{file} has {row[about.part]!r} in line {number} as part, expected train, val or test")
                yield Entry(name, said, layout.class_name(label, file)), tree.OnDisk(str(with_ending(file.parent / name)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is no CSV in UTF-8 ({error})") from error


def with_ending(path: Path) -> Path:
    """The picture of this name: some tables leave the ending out."""
    if path.exists():
        return path
    return next((found for ending in ENDINGS if (found := path.with_name(f"{path.name}.{ending}")).exists()), path)


def pixels(file: Path, about: Header, part: str, scratch: Path, *, transpose: bool) -> Collection:
    """A CSV of labels and pixels, a row an image. Raises DataError: rows of another length, values that are no pixels."""
    if about.label is None:
        raise DataError(f"{file} has no column of labels: expected one called {', '.join(sorted(LABELS))}")
    count = len(about.columns) - 1
    shape = square(count, file)
    pieces, labels = [], []
    for numbers in parsed(file, about):
        labels.append(numbers[:, about.label])
        values = np.delete(numbers, about.label, axis=1).reshape(-1, *shape)
        bytes_alone = (values == np.rint(values)).all() and values.min() >= 0 and values.max() <= 255
        pieces.append(values.astype(np.uint8 if bytes_alone else np.float32))
    if not pieces:
        raise DataError(f"{file} has no rows, expected a label and {count:,} pixels in each")
    images = np.concatenate(pieces)
    made = collect(
        {"train_images": images, "train_labels": np.concatenate(labels)}, file, folder(scratch, part), transpose=transpose
    )
    return Collection([entry._replace(part=part) for entry in made.entries], made.places, numbered=True)


def parsed(file: Path, about: Header) -> Iterator[np.ndarray]:
    """The rows of numbers, some thousands at a time: (n, columns) float64. Raises DataError: they are others."""
    with blaming(file, verb="read"), file.open("rb") as whole_file:
        if about.named:
            whole_file.readline()
        first = 1 + about.named
        while lines := [line for line in (whole_file.readline() for _ in range(ROWS)) if line]:
            if b"".join(lines).strip():
                try:
                    numbers = np.loadtxt(io.BytesIO(b"".join(lines)), delimiter=",", dtype=np.float64, ndmin=2, comments=None)
                except ValueError:
                    numbers = np.empty((1, 0))
                if numbers.shape[1] != len(about.columns):
                    raise DataError(f"{file}: {why_unread(lines, first, expected=len(about.columns))}")
                yield numbers
            first += len(lines)


def why_unread(lines: list[bytes], first: int, *, expected: int) -> str:
    """The first of the lines, which are counted from `first`, that are not so many numbers."""
    for number, line in enumerate(lines, start=first):
        cells = line.decode(errors="backslashreplace").strip().split(",")
        if cells == [""]:
            continue
        if len(cells) != expected:
            return f"line {number:,} has {len(cells):,} cells, expected {expected:,}, as in the first line"
        if wrong := [cell for cell in cells if not is_number(cell)]:
            return f"line {number:,} has {wrong[0][:20]!r}, expected numbers alone"
    return f"lines {first:,} to {first + len(lines) - 1:,} can't be read as rows of {expected:,} numbers"


def rows_of_pixels(file: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """(N, C, H, W) uint8 of a CSV of pixels, a row an image of that shape; labels in it are left out.

    Raises DataError: rows of another length, values that are no pixels.
    """
    about, (channels, height, width) = header(file), shape
    pixels = channels * height * width
    label = about.label if len(about.columns) == pixels + 1 else None
    if len(about.columns) - (label is not None) != pixels:
        raise DataError(
            f"{file} has {len(about.columns):,} columns, expected {pixels:,} pixels ({channels} x {height} x {width}), as "
            "the network takes them, and perhaps a label"
        )
    rows = list(parsed(file, about))
    if not rows:
        raise DataError(f"{file} has no rows, expected {pixels:,} pixels in each")
    values = np.concatenate(rows) if label is None else np.delete(np.concatenate(rows), label, axis=1)
    shaped = values.reshape(-1, height, width) if channels == 1 else values.reshape(-1, height, width, channels)
    images = to_bytes(shaped, str(file))
    return np.ascontiguousarray(images[:, None] if channels == 1 else images.transpose(0, 3, 1, 2))


def folder(scratch: Path, part: str) -> Path:
    below = scratch / f"of_{part}"
    below.mkdir()
    return below


def square(count: int, file: Path) -> tuple[int, ...]:
    """The shape of an image of so many pixels. Raises DataError: it is no square, gray or in colour."""
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if side * side * channels == count:
            return (side, side) if channels == 1 else (side, side, 3)
    raise DataError(f"{file} has {count:,} pixels in a row, which are no square, neither gray nor of three channels")
