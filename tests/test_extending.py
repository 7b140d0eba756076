"""README's words on adding a model, an optimizer and a schedule, done in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ADDED = {"model": "narrow", "optimizer": "rmsprop", "schedule": "linear"}
EXPECTED = {  # option -> the files that are written, and those that are added to
    "narrow": {"src/filterlab/models/architectures/narrow.py", "conf/model/narrow.yaml"},
    "rmsprop": {"src/filterlab/training/optimizers.py", "conf/optimizer/rmsprop.yaml"},
    "linear": {"src/filterlab/training/schedules.py", "conf/schedule/linear.yaml"},
}


def blocks() -> dict[str, str]:
    """README's code blocks that begin with `# <path>`, by that path."""
    indented = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (ROOT / "README.md").read_text(), flags=re.M)
    parts = re.split(r"^# ((?:src|conf)/\S+)\n", textwrap.dedent("".join(indented)), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def run(*words: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    return subprocess.run([sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for name in ("src", "conf", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for path, text in blocks().items():
        before = (root / path).read_text() + "\n\n" if (root / path).exists() else ""
        (root / path).write_text(before + text)
    return root


def test_each_takes_two_places() -> None:
    assert set(blocks()) == set.union(*EXPECTED.values())


def test_the_words_are_good_code(copy: Path) -> None:
    """But for blank lines, which README leaves out."""
    files = [path for path in blocks() if path.endswith(".py")]
    checked = run("ruff", "check", "--quiet", "--fix", *files, root=copy)
    assert checked.returncode == 0, checked.stdout


def test_they_train_and_the_tests_find_them(copy: Path) -> None:
    """Two steps of each; and what else is tested of every option there is."""
    tests = ["tests/training/test_every_option.py", "tests/config/test_options.py", "tests/models"]
    ran = run("pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-rA", "-k", " or ".join(EXPECTED), *tests, root=copy)
    assert ran.returncode == 0, ran.stdout[-3000:]
    for group, option in ADDED.items():
        assert f"PASSED tests/training/test_every_option.py::test_two_steps[{group}={option}]" in ran.stdout
    assert "PASSED tests/models/test_shapes.py::test_shipped_options[narrow]" in ran.stdout
