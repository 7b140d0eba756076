"""The Python environment: what is installed, and whose code runs."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from filterlab.doctor.finding import Finding
from filterlab.errors import DataError
from filterlab.tracking import provenance

SHOWN = 4  # packages that a line names
# Releases that no environment should have, and who says so. "" stands for every version.
MALICIOUS = {
    ("lightning", "2.6.2"): "steals credentials when it is imported (GHSA-w37p-236h-pfx3)",
    ("lightning", "2.6.3"): "steals credentials when it is imported (GHSA-w37p-236h-pfx3)",
    ("litellm", "1.82.7"): "steals credentials (PYSEC-2026-2)",
    ("litellm", "1.82.8"): "steals credentials whenever Python starts (PYSEC-2026-2)",
    ("mistralai", "2.4.6"): "runs what a stranger's server sends (GHSA-wx9m-wx4f-4cmg)",
    (
        "torchtriton",
        "",
    ): "reads and sends files; PyTorch never published it there (pytorch.org/blog/compromised-nightly-dependency)",
    ("ultralytics", "8.3.41"): "mines for a stranger (github.com/ultralytics/ultralytics/issues/18027)",
    ("ultralytics", "8.3.42"): "mines for a stranger (github.com/ultralytics/ultralytics/issues/18027)",
    ("ultralytics", "8.3.45"): "mines for a stranger (github.com/ultralytics/ultralytics/issues/18027)",
    ("ultralytics", "8.3.46"): "mines for a stranger (github.com/ultralytics/ultralytics/issues/18027)",
}


def check_python(root: Path) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = str(project(root)["requires-python"])
    least = tuple(map(int, re.findall(r"\d+", wanted)))
    if sys.version_info[: len(least)] < least:
        yield Finding(f"{found}, and pyproject.toml says {wanted}", "make PYTHON=python3.11 setup, in place of .venv")
    else:
        yield Finding(f"{found}, {sys.executable}")


def check_packages(root: Path) -> Iterator[Finding]:
    """Those that are installed against requirements.lock and the list above."""
    installed = {normal(found.name): found.version for found in distributions()}
    for name, version in installed.items():
        if why := MALICIOUS.get((name, version)) or MALICIOUS.get((name, "")):
            yield Finding(
                f"{name} {version} is malicious: it {why}",
                f"pip uninstall {name}; take every key and password on this machine for stolen, and replace them",
            )
    locked = locked_versions(root / "requirements.lock")
    direct = {normal(re.split(r"[^\w.-]", wanted)[0]) for wanted in project(root)["dependencies"]}
    # A build for another device has a suffix, as in 2.14.0+cpu.
    other = [name for name, versions in locked.items() if installed.get(name, "").split("+")[0] not in {*versions, ""}]
    if other:
        says = [f"{name} is {installed[name]}, not {' or '.join(sorted(locked[name]))}" for name in other]
        yield Finding(f"not as in requirements.lock: {shortened(says)}", "make setup")
    if missing := sorted(name for name in direct & locked.keys() if name not in installed):
        yield Finding(f"not installed: {shortened(missing)}", "make setup")
    if not other and not missing:
        absent = len(locked.keys() - installed.keys())
        yield Finding(
            f"{len(locked.keys() & installed.keys())}, as requirements.lock says"
            + f"; {absent} more are for others' machines, or what only some need" * (absent > 0)
        )


def check_code(root: Path) -> Iterator[Finding]:
    if provenance.runs_other_code(root):
        yield Finding(
            f"what runs is {provenance.PACKAGE}, which differs from this repository's",
            "activate this repository's .venv, and unset PYTHONPATH",
        )
    else:
        yield Finding(f"{provenance.PACKAGE}")


def locked_versions(path: Path) -> dict[str, set[str]]:
    """By normal name; one may have several, for different versions of Python. Raises DataError: the file names none."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE):
        found.setdefault(normal(name), set()).add(version)
    if not found:
        raise DataError(f"{path.name} names no package: `git checkout {path.name}` brings it back")
    return found


def project(root: Path) -> dict[str, Any]:
    """What pyproject.toml says of it. Raises DataError: it can't be read."""
    try:
        return dict(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"pyproject.toml can't be read ({error}): `git checkout pyproject.toml` brings it back") from error


def normal(name: str) -> str:
    """As pip compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shortened(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + f", and {len(words) - SHOWN} more" * (len(words) > SHOWN)
