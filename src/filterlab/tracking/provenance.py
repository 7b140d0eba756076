"""What made a run: the tags that lead back from MLflow to the code."""

import hashlib
import os
import subprocess
from pathlib import Path

SOURCES = ["src", "pyproject.toml", "requirements.lock"]  # conf/ and params.yaml are in the run whole, resolved


def tags(root: Path) -> dict[str, str]:
    """Git commit, whether the code (or what it is installed with) differs from it, the code's hash, and DVC's experiment."""
    found = {"filterlab.code": code_digest(Path(__file__).parents[1])}
    if commit := git(root, "rev-parse", "HEAD"):
        changed = git(root, "status", "--porcelain", "--", *SOURCES)
        found |= {"mlflow.source.git.commit": commit, "filterlab.dirty": str(bool(changed)).lower()}
    for variable, tag in [("DVC_EXP_NAME", "dvc.experiment"), ("DVC_EXP_BASELINE_REV", "dvc.baseline")]:
        if variable in os.environ:
            found[tag] = os.environ[variable]
    return found


def code_digest(package: Path) -> str:
    """SHA-256 (hex) over a package's Python files: their names and bytes."""
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def git(root: Path, *arguments: str) -> str:
    """What git prints; empty where `root` is no repository or git is not installed, as in an unpacked archive."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
