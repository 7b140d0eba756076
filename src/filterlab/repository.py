"""The root of the repository, and MD5s of its folders as DVC computes them."""

import hashlib
import json
import os
from pathlib import Path

from filterlab.errors import UserError


def is_root(folder: Path) -> bool:
    """Whether it holds dvc.yaml and conf/."""
    return (folder / "dvc.yaml").exists() and (folder / "conf").is_dir()


def find_root(start: Path) -> Path:
    """The nearest folder, from `start` up, that is a repository's root. Raises UserError where there is none."""
    for folder in [start, *start.parents]:
        if is_root(folder):
            return folder
    raise UserError(f"{start} is in no filterlab repository: neither it nor a folder above has dvc.yaml and conf/")


def home(root: Path) -> Path:
    """The repository that `root` is, or is DVC's copy of: below .dvc/tmp of the one that DVC_ROOT names."""
    root = root.resolve()
    original = Path(os.environ.get("DVC_ROOT") or root).resolve()
    if not root.is_relative_to(original / ".dvc/tmp"):
        return root  # any other DVC_ROOT is a pipeline's around ours
    copy = next(folder for folder in [root, *root.parents] if (folder / ".dvc").is_dir())
    place = original / root.relative_to(copy)  # where the repository is a folder of DVC's, and not all of it
    return place if is_root(place) else root


def folder_md5(folder: Path) -> str:
    """MD5 (hex) over the names and bytes of all files below `folder`, as in dvc.lock but for its ending .dir; "" without it."""
    if not folder.is_dir():
        return ""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    listed = [{"md5": md5(paths[name].read_bytes()), "relpath": name} for name in sorted(paths)]
    return md5(json.dumps(listed).encode())


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
