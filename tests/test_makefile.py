"""The Makefile: what `make` lists, and that what is installed is not installed again. Nothing is installed here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Makefile").read_text()


def make(*words: str, at: Path) -> list[str]:
    """The lines that make prints, in a terminal without make's own variables (the suite may be run by `make test`)."""
    kept = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")} | {"LC_ALL": "C"}
    done = subprocess.run(["make", *words], cwd=at, env=kept, text=True, capture_output=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which everything has been installed an hour ago, from files of the day before."""
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    (tmp_path / ".venv").mkdir()
    for name, age in [("pyproject.toml", 25), ("requirements.lock", 25), (".venv/.installed", 1)]:
        (tmp_path / name).touch()
        date(tmp_path / name, hours=-age)
    return tmp_path


def date(path: Path, *, hours: float) -> None:
    then = path.stat().st_mtime + 3600 * hours
    os.utime(path, (then, then))


def test_make_alone_lists_every_target_with_a_description() -> None:
    """A line each, in the order of the file."""
    (phony,) = re.findall(r"^\.PHONY: (.+)$", TEXT, flags=re.MULTILINE)
    listed = [re.fullmatch(r"  make ([a-z]+) +(\S.*)", line) for line in make(at=ROOT)]
    assert all(listed), "each line is `make`, a target and what it does"
    assert [found[1] for found in listed if found] == phony.split()
    assert all(f"## {found[2]}\n" in TEXT for found in listed if found)


@pytest.mark.parametrize(("target", "command"), [("pipeline", ["filterlab pipeline"]), ("ui", ["filterlab ui"]), ("setup", [])])
def test_what_is_installed_is_not_installed_again(installed: Path, target: str, command: list[str]) -> None:
    assert [line for line in make("-n", target, at=installed) if "Nothing to be done" not in line] == command


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_other_requirements_are_installed_first(installed: Path, name: str) -> None:
    date(installed / name, hours=25)
    printed = make("-n", "pipeline", at=installed)
    assert any("pip install" in line and "requirements.lock" in line for line in printed)
    assert printed[-1] == "filterlab pipeline"
