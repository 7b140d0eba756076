"""What of a user's own can be read: each source by its name in the configuration, and which of them lies at a path."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from filterlab.config import schema
from filterlab.data.own import layout, table, torchvisions, tree
from filterlab.data.own.collection import Collection
from filterlab.errors import DataError
from filterlab.files import blaming


def pictures(path: Path, scratch: Path, data: schema.Own) -> Collection:
    """A folder of pictures by class, or one that is packed. Raises DataError as `tree.files` and `layout.arrange` do."""
    found = tree.files(path, scratch=scratch)
    entries = layout.arrange(found, path)
    return Collection(entries, [found[entry.name] for entry in entries])


# data.source -> what collects the images at data.path; the folder has to last as long as they are read
SOURCES: dict[str, Callable[[Path, Path, schema.Own], Collection]] = {
    "pictures": pictures,
    "csv": table.table,
    "npz": table.npz,
    "idx": table.idx_files,
    "torchvision": torchvisions.read,
}


def tell(path: Path) -> tuple[str, Path, dict[str, str]]:
    """The source that lies at a path, by content: its name, the path to read it at, and its roles.

    Raises DataError: there are several in one folder, or it is unsure which file is for what.
    """
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        kinds = {each: kind(each) for each in files}
        by_class = any(each.is_dir() and not each.name.startswith(".") for each in path.iterdir())
        found = {name for name in kinds.values() if name}
        if "csv" in found and all(each.suffix.lower() != ".csv" for each in files if kinds[each] == "csv"):
            found -= {"csv"}
        if len(found) > 1:
            named = [f"{name} ({', '.join(each.name for each in files if kinds[each] == name)})" for name in sorted(found)]
            raise DataError(f"{path} has {' and '.join(named)}: expected one source; name the one that is meant")
        if by_class and found & {"idx", "npz"}:
            names = ", ".join(each.name for each in files if kinds[each] in found)
            raise DataError(
                f"{path} has {' and '.join(sorted(found))} ({names}) and folders: expected one source; name one, or move it"
            )
        if found == {"idx"}:
            return "idx", path, idx_roles([each for each in files if kinds[each] == "idx"], path)
        if found == {"npz"}:
            archives = [each for each in files if kinds[each] == "npz"]
            if len(archives) > 1:
                raise DataError(f"{path} has {layout.some([each.name for each in archives])}: name the one that is meant")
            return "npz", archives[0], npz_roles(archives[0])
        tables = [table.header(each) for each in files if found == {"csv"} and each.suffix.lower() == ".csv"]
        if by_class and all(about.label is None for about in tables):  # of something else
            return "pictures", path, {}
        if found == {"csv"}:
            (_, first), *_ = table.csv_files(path)
            if by_class and table.header(first).file is None:
                raise DataError(
                    f"{path} has a table of pixels ({first.name}) and folders: expected one source; name {first.name}, or move it"
                )
            return "csv", path, {}
        return "pictures", path, {}
    named_kind = kind(path)
    if named_kind == "csv":
        return "csv", path.parent if table.header(path).file is not None else path, {}
    if named_kind == "npz":
        return "npz", path, npz_roles(path)
    if named_kind == "idx":
        raise DataError(f"{path} is one IDX file: name the folder that holds images and labels, {path.parent}")
    return "pictures", path, {}


def kind(path: Path) -> str:
    """csv, npz or idx by a file's content; empty where it is something else."""
    with blaming(path, verb="read"), path.open("rb") as file:
        begins = file.read(4096)
    if begins[:2] == b"\x1f\x8b":
        begins = zlib.decompressobj(31).decompress(begins, 4096)
    if begins[:2] == b"\0\0" and len(begins) > 4 and begins[2] in range(8, 15) and begins[3] in range(1, 5):
        return "idx"
    if begins[:2] == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return "npz" if archive.namelist() and all(name.endswith(".npy") for name in archive.namelist()) else ""
    try:
        first = begins.decode("utf-8-sig", errors="strict" if len(begins) < 4096 else "ignore").partition("\n")[0]
    except UnicodeDecodeError:
        return ""
    return "csv" if ("," in first and first.isprintable()) or ("," in first and first.rstrip("\r").isprintable()) else ""


def npz_roles(path: Path) -> dict[str, str]:
    """The arrays of an .npz by role. Raises DataError: it is unsure."""
    with zipfile.ZipFile(path) as archive:
        there = [name.removesuffix(".npy") for name in archive.namelist()]
    roles = {role: name for role, names in table.ARRAYS.items() for name in names if name in there}
    if not {"train_images", "train_labels"} <= roles.keys():
        raise DataError(
            f"{path} has the arrays {', '.join(there)}: expected train_images and train_labels (and val_, test_), or x_train, "
            "y_train (x_test, y_test)"
        )
    return roles


def idx_roles(files: list[Path], path: Path) -> dict[str, str]:
    """IDX files by role, as their names say. Raises DataError: it is unsure."""
    roles: dict[str, str] = {}
    for file in files:
        name = file.name.lower()
        part = "test" if "t10k" in name or "test" in name else "validation" if "val" in name else "train"
        what = "labels" if "label" in name else "images" if "image" in name else ""
        if not what:
            raise DataError(f"{path} has the IDX file {file.name}, whose name says neither images nor labels: rename it")
        other = roles.setdefault(f"{part}_{what}", file.name)
        if other.removesuffix(".gz") != file.name.removesuffix(".gz"):
            raise DataError(f"{path} has {other} and {file.name}, both {what} for {part}: expected one in a folder")
        roles[f"{part}_{what}"] = min(other, file.name, key=len)  # unpacked rather than gzipped
    if missing := [role for role in ("train_images", "train_labels") if role not in roles]:
        raise DataError(f"{path} has IDX files, but none of {' and '.join(missing)} by their names")
    return roles
