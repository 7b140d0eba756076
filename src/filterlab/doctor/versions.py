"""Git's state and DVC's."""

import configparser
import contextlib
import functools
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from filterlab.doctor.finding import Finding
from filterlab.repository import md5
from filterlab.tracking.provenance import git

# What Git leaves while it is at something, by its name among Git's own files, and what ends that.
UNDER_WAY = {
    "MERGE_HEAD": ("a merge", "git merge --continue, or git merge --abort"),
    "rebase-merge": ("a rebase", "git rebase --continue, or git rebase --abort"),
    "rebase-apply": ("a rebase", "git rebase --continue, or git rebase --abort"),
    "CHERRY_PICK_HEAD": ("a cherry-pick", "git cherry-pick --continue, or git cherry-pick --abort"),
    "REVERT_HEAD": ("a revert", "git revert --continue, or git revert --abort"),
}
INDEX_LOCK = "index.lock"
OLD = 60.0  # seconds after which Git's lock is nobody's where no git runs
SHOWN = 3  # stages that a line names


def check_git(root: Path) -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield Finding("not installed: runs name no commit")
        return
    if not any((place / ".git").exists() for place in (root, *root.parents)):
        yield Finding("no repository: runs name no commit, and plain `dvc` needs `dvc config --local core.no_scm true`")
        return
    if not (said := git(root, "status", "--porcelain=v2", "--branch")):
        yield Finding("git does not read this repository", "`git status` says why")
        return
    lines = said.splitlines()
    branch = next((line.split()[2] for line in lines if line.startswith("# branch.head")), "")
    wrong = False
    names = [*UNDER_WAY, INDEX_LOCK]
    places = git(root, "rev-parse", *(word for name in names for word in ("--git-path", name))).splitlines()
    found = {name: root / place for name, place in zip(names, places, strict=True) if (root / place).exists()}
    for what, remedy in dict.fromkeys(UNDER_WAY[name] for name in found if name in UNDER_WAY):
        wrong = True
        yield Finding(f"{what} is under way", remedy)
    if unmerged := [line.split(" ", 10)[-1] for line in lines if line.startswith("u ")]:
        wrong = True
        yield Finding(f"not merged: {', '.join(unmerged)}", "settle what conflicts, then git add")
    lock = found.get(INDEX_LOCK)
    if lock and time.time() - lock.stat().st_mtime > OLD and not any(runs_git(root)):
        wrong = True
        yield Finding(
            f"{INDEX_LOCK} was left by a git that is gone: git changes nothing", f"rm {lock}", functools.partial(unlock, lock)
        )
    if not wrong:
        changed = [line for line in lines if line[0] in "12"]
        detached = "no branch (a detached HEAD)" if branch == "(detached)" else f"branch {branch}"
        dirty = f"; {len(changed)} changed file{'' if len(changed) == 1 else 's'} (those of src/ mark runs as dirty)" * bool(
            changed
        )
        yield Finding(f"{detached}{dirty}")


def runs_git(root: Path) -> Iterator[bool]:
    for process in psutil.process_iter(["name", "cwd"]):
        # Of another user's process the folder can't be seen.
        yield process.info["name"] == "git" and Path(process.info["cwd"] or root).is_relative_to(root)


def unlock(lock: Path) -> str:
    lock.unlink(missing_ok=True)
    return f"removed {lock.name}"


def check_dvc(root: Path) -> Iterator[Finding]:
    """dvc.lock against dvc.yaml and what is on the disk, as `dvc status` would, which takes more than a second."""
    try:
        asked, locked = (stages(root / name) for name in ("dvc.yaml", "dvc.lock"))
    except ValueError as error:
        yield Finding(str(error), "`git checkout dvc.yaml dvc.lock`")
        return
    cache = cache_folder(root)
    if cache and not cache.exists() and cache != root / ".dvc/cache":
        yield Finding(f"its cache, {cache}, is not there", "mount it, or `dvc cache dir --local FOLDER`")
    if unknown := sorted(locked.keys() - asked.keys()):
        yield Finding(f"dvc.lock has stages that dvc.yaml lacks: {', '.join(unknown)}", "`dvc repro` writes it anew")
    due = {name: why for name, stage in asked.items() if (why := differs(root, stage, locked.get(name)))}
    names = "; ".join(f"{name} ({why})" for name, why in [*due.items()][:SHOWN])
    more = f"; and {len(due) - SHOWN} more" * (len(due) > SHOWN)
    yield Finding(
        f"`dvc repro` has {len(due)} of {len(asked)} stages to look at: {names}{more}"
        if due
        else f"all {len(asked)} stages as in dvc.lock"
    )


def stages(path: Path) -> dict[str, dict[str, Any]]:
    """By name. Raises ValueError: it can't be read."""
    if not path.exists():
        return {}
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # an MD5 of digits alone stays text
    try:
        found = (yaml.load(path.read_text(encoding="utf-8"), loader) or {}).get("stages") or {}
        return {str(name): dict(stage) for name, stage in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path.name} can't be read ({' '.join(str(error).split())})") from error


def differs(root: Path, asked: dict[str, Any], locked: dict[str, Any] | None) -> str:
    """In what a stage is not as dvc.lock has it; empty where it is."""
    if locked is None:
        return "never ran"
    if locked.get("cmd") != asked.get("cmd"):
        return "its command"
    for part in ("deps", "outs"):
        wanted = {next(iter(entry)) if isinstance(entry, dict) else entry for entry in asked.get(part, [])}
        known = {entry["path"]: entry for entry in locked.get(part, [])}
        if differ := sorted(wanted ^ known.keys()):
            return ", ".join(differ)
        for path, entry in known.items():
            if "md5" in entry and entry["md5"] != digest(root / path):
                return path if (root / path).exists() else f"{path} is not here"
    for path, values in locked.get("params", {}).items():
        if not (root / path).exists():
            return f"{path} is not here"
        now = parameters(root / path)
        for key, value in values.items():
            if plain(at(now, key)) != plain(value):
                return f"{path}: {key}"
    return ""


def parameters(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def at(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def plain(tree: Any) -> Any:
    """With a number's text as DVC would write it: 0.50 is 0.5."""
    if isinstance(tree, dict):
        return {key: plain(leaf) for key, leaf in tree.items()}
    if isinstance(tree, list):
        return [plain(leaf) for leaf in tree]
    with contextlib.suppress(ValueError, TypeError):
        return float(tree)
    return tree


def digest(path: Path) -> str:
    """As DVC's: of a file, or of a folder with its names, without what .dvcignore leaves out here."""
    if path.is_file():
        return md5(path.read_bytes())
    if not path.is_dir():
        return ""
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    kept = sorted(name for name in found if "__pycache__" not in name.split("/") and not name.endswith((".pyc", ".pyo", ".pyd")))
    return md5(json.dumps([{"md5": md5(found[name].read_bytes()), "relpath": name} for name in kept]).encode()) + ".dir"


def cache_folder(root: Path) -> Path | None:
    """DVC's, of this repository's settings; None where it is none of DVC's."""
    if not (root / ".dvc").is_dir():
        return None
    for name in ("config.local", "config"):
        settings = configparser.ConfigParser(interpolation=None)
        settings.read(root / ".dvc" / name, encoding="utf-8")
        if settings.has_option("cache", "dir"):
            return Path(os.path.normpath(root / ".dvc" / settings["cache"]["dir"].strip("\"'")))
    return root / ".dvc/cache"
