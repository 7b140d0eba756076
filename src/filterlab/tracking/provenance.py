"""Provenance of a run: the tags that lead from MLflow back to the code."""

import hashlib
import os
import subprocess
from pathlib import Path

from filterlab.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
SOURCES = ["src", "pyproject.toml", "requirements.lock"]  # conf/ and params.yaml are in the run whole, resolved


def tags(root: Path) -> dict[str, str]:
    """Git commit, whether the code (or what it is installed with) differs from it, the code's hash, and DVC's experiment."""
    found = {"filterlab.code": code_digest(PACKAGE)}
    # Code that Git doesn't track is of no commit: that of a repository around an unpacked archive is another project's.
    if (commit := git(root, "rev-parse", "HEAD")) and git(root, "ls-files", "--", *SOURCES):
        changed = bool(git(root, "status", "--porcelain", "--", *SOURCES)) or runs_other_code(root)
        found |= {"mlflow.source.git.commit": commit, "filterlab.dirty": str(changed).lower()}
    for variable, tag in [("DVC_EXP_NAME", "dvc.experiment"), ("DVC_EXP_BASELINE_REV", "dvc.baseline")]:
        if variable in os.environ:
            found[tag] = os.environ[variable]
    return found


def runs_other_code(root: Path) -> bool:
    """Whether the package that is imported differs from the repository's own, e.g. by PYTHONPATH or another environment."""
    own = root / "src/filterlab"
    return own.is_dir() and own.resolve() != PACKAGE and code_digest(own) != code_digest(PACKAGE)


def check_code(root: Path) -> None:
    """Raises UserError where `runs_other_code`: dvc.lock would name the repository's code for what another's made."""
    if runs_other_code(root):
        raise UserError(
            f"the code that runs is {PACKAGE}, and differs from this repository's, {root / 'src/filterlab'}, which dvc.lock "
            "would name: activate this repository's .venv, and unset PYTHONPATH"
        )


def code_digest(package: Path) -> str:
    """SHA-256 (hex) over a package's Python files: their names and bytes."""
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def git(root: Path, *arguments: str) -> str:
    """What git prints; empty where it has nothing to say of `root`: no repository or one of somebody else's, or no git."""
    # Those of a hook that runs this name another repository.
    environment = {name: text for name, text in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except (FileNotFoundError, PermissionError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
