"""pyproject.toml names what is imported; what an extra brings is not needed without it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from filterlab.extras import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_IMPORTED = {"dvc", "dvc-s3", "psycopg"}  # a program, its plugin, a driver that SQLAlchemy loads by its name


def distribution(requirement: str) -> str:
    """Its name as pip compares it."""
    (name,) = re.findall(r"^[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> set[str]:
    return {distribution(requirement) for requirement in requirements}


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """Modules of others that the packages import, by their outermost name, and the distribution that brings each."""
    graph = grimp.build_graph("filterlab", "hydra_plugins", include_external_packages=True, cache_dir=None)
    known = packages_distributions()
    found = {}
    for module in graph.modules:
        if module.startswith(("filterlab", "hydra_plugins.filterlab")):
            for other in graph.find_modules_directly_imported_by(module):
                parts = other.split(".")
                if other.startswith("hydra_plugins.hydra"):
                    found[".".join(parts[:2])] = distribution(parts[1])
                elif parts[0] in known and parts[0] not in ("filterlab", "hydra_plugins"):
                    names = {distribution(name) for name in known[parts[0]]}
                    found[parts[0]] = "mlflow" if "mlflow" in names else min(names)
    return found


def test_what_is_imported_is_named_and_what_is_named_is_imported(imported: dict[str, str]) -> None:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    assert named(PROJECT["dependencies"]) | named(extras) == set(imported.values()) | NOT_IMPORTED


def test_each_extra_is_known_by_the_modules_that_it_brings(imported: dict[str, str]) -> None:
    """But for s3, which DVC reports, and markupsafe, which jinja2 brings anyway."""
    for extra, requirements in PROJECT["optional-dependencies"].items():
        brings = {module for module, brought_by in imported.items() if brought_by in named(requirements)} - {
            "mlflow",
            "markupsafe",
        }
        if extra == "team":
            brings |= {"psycopg", "flask_wtf"}  # MLflow's authentication needs the second
        assert brings == set(EXTRAS.get(extra, [])), extra


def without(extra: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line where the extra's modules can't be imported; a warning is an error."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS[extra]!r})); from filterlab.cli import main; main({list(words)!r})"
    )
    return subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, text=True, capture_output=True, check=False)


def test_a_training_needs_no_cluster() -> None:
    done = without("cluster", "train", "--cfg", "job")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("extra", "words", "said"),
    [
        ("cluster", ["train", "-m", "hydra/launcher=slurm", "seed=0,1"], "hydra/launcher=slurm needs submitit"),
        ("lecture", ["lecture", "1"], "the lecture needs latex2mathml"),
        ("team", ["server", "--store", "postgresql://a@127.0.0.1/b", "--port", "5999"], "this needs psycopg"),
        (
            "team",
            ["server", "--store", "sqlite:///a.db", "--port", "5999", "--auth"],
            "asks for names and passwords needs psycopg",
        ),
    ],
)
def test_a_missing_extra_is_one_sentence(extra: str, words: list[str], said: str) -> None:
    done = without(extra, *words)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert said in line and line.endswith(f"pip install -e '.[{extra}]' (or `make setup`, for everything)")
