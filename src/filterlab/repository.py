"""Where the repository is, whichever folder of it a command is given in."""

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
