"""The Makefile: what `make` lists, and that what is installed is not installed again. Nothing is installed here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Makefile").read_text()


def make(*words: str, at: Path, path: Path | None = None) -> list[str]:
    """The lines that make prints, in a terminal without make's own variables (the suite may be run by `make test`).

    path: folder of programs that are found before others.
    """
    kept = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")} | {"LC_ALL": "C"}
    kept |= {"PATH": f"{path}:{kept['PATH']}"} if path else {}
    done = subprocess.run(["make", *words], cwd=at, env=kept, text=True, capture_output=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which everything has been installed an hour ago, from files of the day before."""
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.place").write_text(f"{tmp_path}\n")
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


def test_a_commit_runs_what_make_lint_runs() -> None:
    """Hooks of this repository alone: nothing is downloaded."""
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = repo["hooks"]
    assert (repo["repo"], hook["language"], hook["entry"], hook["pass_filenames"]) == ("local", "system", "make lint", False)


@pytest.mark.parametrize(("target", "command"), [("pipeline", ["filterlab pipeline"]), ("ui", ["filterlab ui"]), ("setup", [])])
def test_what_is_installed_is_not_installed_again(installed: Path, target: str, command: list[str]) -> None:
    assert [line for line in make("-n", target, at=installed) if "Nothing to be done" not in line] == command


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_other_requirements_are_installed_first(installed: Path, name: str) -> None:
    date(installed / name, hours=25)
    printed = make("-n", "pipeline", at=installed)
    assert any("pip install" in line and "requirements.lock" in line for line in printed)
    assert printed[-1] == "filterlab pipeline"


UV = """#!/bin/sh
echo "$*" >> "{log}"
if [ "$1" = venv ]; then mkdir -p .venv/bin && touch .venv/bin/python && chmod +x .venv/bin/python; fi
"""


@pytest.fixture
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program uv that says in a file `log` what it was told, and makes an environment with nothing in it."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "uv").write_text(UV.format(log=folder / "log"))
    (folder / "uv").chmod(0o755)
    return folder


@pytest.mark.parametrize("how", ["moved", "copied"])
@pytest.mark.parametrize("name", ["elsewhere", "a b", "#1 (50%) & $x"])
def test_an_environment_that_was_made_elsewhere_is_made_anew(tmp_path: Path, uv: Path, how: str, name: str) -> None:
    """Its programs would run the code of the place where it was made."""
    first, second = tmp_path / "first", tmp_path / name
    first.mkdir()
    for file in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / file, first / file)
    make("setup", at=first, path=uv)
    (first / ".venv/bin/filterlab").write_text(f"#!{first}/.venv/bin/python")
    told = (uv / "log").read_text()
    assert make("setup", at=first, path=uv) == ["make: Nothing to be done for 'setup'."]
    if how == "moved":
        first.rename(second)
    else:
        subprocess.run(["cp", "-a", first, second], check=True)
    said, *_ = make("setup", at=second, path=uv)
    assert said == "The environment in .venv was not made in this place: making it anew"
    assert not (second / ".venv/bin/filterlab").exists()
    assert (uv / "log").read_text() == told * 2
    assert make("setup", at=second, path=uv) == ["make: Nothing to be done for 'setup'."]
    if how == "copied":
        assert make("setup", at=first, path=uv) == ["make: Nothing to be done for 'setup'."], "the other place keeps its own"
