"""README's and CONTRIBUTING's words on adding something, done in a copy of the repository, each in at most two places."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("python")
ROOT = Path(__file__).parents[1]
OPTIONS = {"model": "narrow", "optimizer": "rmsprop", "schedule": "linear"}
EXPECTED = {  # what is added -> the files that are written, and those that are added to
    "narrow": {"src/filterlab/models/architectures/narrow.py", "conf/model/narrow.yaml"},
    "rmsprop": {"src/filterlab/training/optimizers.py", "conf/optimizer/rmsprop.yaml"},
    "linear": {"src/filterlab/training/schedules.py", "conf/schedule/linear.yaml"},
    "a data set in another format": {"src/filterlab/data/formats/npz.py", "conf/data/stripes.yaml"},
    "an experiment": {"conf/experiment/wide.yaml"},
    "a metric": {"src/filterlab/evaluation/summary.py"},
    "a figure": {"src/filterlab/visualization/class_sizes.py", "src/filterlab/stages/visualize.py"},
    "something logged": {"src/filterlab/runs/callbacks.py"},
    "a stage": {"src/filterlab/stages/count.py", "dvc.yaml"},
    "a topic of the lecture": {"src/filterlab/lecture/dice.py", "src/filterlab/lecture/topics/21_dice.md"},
    "a check of the doctor": {"src/filterlab/doctor/examination.py"},
    "a launcher": {"src/hydra_plugins/filterlab_launchers/backwards.py"},
}
DEFAULT = ("conf/config.yaml", "- model: cnn", "- model: resnet")  # README: another default is one line there
PARAMETERS = """
data: stripes
model: narrow
optimizer: rmsprop
schedule: linear
trainer: cpu
override: {trainer: {max_epochs: 2, batch_size: 8, threads: 1}, tracking: {system_metrics: false}}
"""
STAGES = ["compose", "download", "preprocess", "train", "evaluate", "visualize", "play", "report", "count"]
# In a process that has Hydra already, which brings a plugin whose assertions pytest would write anew.
QUIETLY = ["-q", "-rA", "-p", "no:xdist", "-p", "no:cacheprovider", "-W", "ignore:Module already imported so cannot be rewritten"]


def blocks() -> dict[str, str]:
    """The code blocks of both pages that begin with `# <path>`, by that path."""
    found: dict[str, str] = {}
    for page in ("README.md", "CONTRIBUTING.md"):
        indented = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (ROOT / page).read_text(), flags=re.M)
        parts = re.split(r"^# ((?:src|conf)/\S+|dvc\.yaml)\n", textwrap.dedent("".join(indented)), flags=re.M)[1:]
        found |= dict(zip(parts[::2], parts[1::2], strict=True))
    return found


def run(*words: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "FILTERLAB_MIRROR": str(root / "own")}
    environment.pop("DVC_ROOT", None)
    return subprocess.run([sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, text=True, check=False)


def make_stripes(folder: Path) -> dict[str, str]:
    """A user's own files: lying and upright stripes with noise. Gives the MD5 of each by its placeholder."""
    folder.mkdir()
    draw, sums = np.random.default_rng(0), {}
    for part, count in [("train", 48), ("test", 12)]:
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = draw.integers(0, 100, (count, 8, 8), np.uint8)
        images[labels == 0, ::2] += 100
        images[labels == 1, :, ::2] += 100
        np.savez(folder / f"{part}.npz", images=images, labels=labels)
        sums[f"{part.upper()}_MD5"] = hashlib.md5((folder / f"{part}.npz").read_bytes(), usedforsecurity=False).hexdigest()
    return sums


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for name in ("src", "conf", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "dvc.yaml"):
        shutil.copy(ROOT / name, root)
    sums = make_stripes(root / "own")
    for path, text in blocks().items():
        before = (root / path).read_text() + "\n\n" if (root / path).exists() else ""
        (root / path).write_text(before + re.sub("|".join(sums), lambda found: sums[found[0]], text))
    path, old, new = DEFAULT
    text = (root / path).read_text()
    assert text.count(old) == 1
    (root / path).write_text(text.replace(old, new))
    (root / "params.yaml").write_text(PARAMETERS)
    return root


def test_each_takes_two_places_at_most() -> None:
    assert set(blocks()) == set.union(*EXPECTED.values())
    assert max(map(len, EXPECTED.values())) == 2


def test_the_words_are_good_code(copy: Path) -> None:
    """But for blank lines, which the pages leave out."""
    files = [path for path in blocks() if path.endswith(".py")]
    checked = run("ruff", "check", "--quiet", "--fix", *files, root=copy)
    assert checked.returncode == 0, checked.stdout


def test_options_train_and_the_tests_find_them(copy: Path) -> None:
    """Two steps of each; and what else is tested of every option, every default and every stage there is."""
    tests = ["tests/training/test_every_option.py", "tests/config/test_options.py", "tests/models"]
    tests += ["tests/test_stage_dependencies.py", "tests/test_cli.py"]
    chosen = " or ".join([*OPTIONS.values(), "stripes", "wide", "default", "count", "dvc_yaml", "params_yaml"])
    ran = run("pytest", *QUIETLY, "-k", chosen, *tests, root=copy)
    assert ran.returncode == 0, ran.stdout[-3000:]
    for group, option in OPTIONS.items():
        assert f"PASSED tests/training/test_every_option.py::test_two_steps[{group}={option}]" in ran.stdout
    assert "PASSED tests/config/test_options.py::test_params_yaml_composes" in ran.stdout
    assert "PASSED tests/config/test_options.py::test_option[experiment/wide]" in ran.stdout
    assert "PASSED tests/models/test_shapes.py::test_shipped_options[narrow]" in ran.stdout
    assert "PASSED tests/test_stage_dependencies.py::test_a_stage_names_what_its_result_depends_on[count]" in ran.stdout


def test_the_pipeline_shows_what_was_added(copy: Path) -> None:
    for stage in STAGES:
        done = run("filterlab.cli", "stage", stage, root=copy)
        assert done.returncode == 0, done.stderr
    assert json.loads((copy / "results/metrics.json").read_text())["top_two"] == 1.0, "of two classes"
    assert (copy / "results/count.txt").read_text() == "36\n"
    assert 'alt="class sizes, stripes, narrow"' in (copy / "results/report.html").read_text()
    with sqlite3.connect(copy / "mlflow.db") as store:
        logged = {key: count for key, count in store.execute("select key, count(*) from metrics group by key")}
    assert logged["first_layer/norm"] == 3 and logged["test/top_two"] == 1, "epochs 0, 1 and 2; the test set once"


def test_the_topic_is_run_and_has_a_stage(copy: Path) -> None:
    for words in (["stages"], ["21", "--quick"]):
        done = run("filterlab.cli", "lecture", *words, root=copy)
        assert done.returncode == 0, done.stderr
    assert "1 of 1 checks hold" in done.stdout and (copy / "results/lecture-quick/21_dice/sums.png").exists()
    tests = ["tests/lecture/test_topics.py", "tests/lecture/test_dvc.py"]
    ran = run("pytest", *QUIETLY, "-k", "dice or imports_are_now or page", *tests, root=copy)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "test_it_is_as_the_topics_and_their_imports_are_now" in ran.stdout
    assert "PASSED tests/lecture/test_dvc.py::test_a_topic_depends_on_what_it_imports_and_reads[21_dice]" in ran.stdout


def test_the_launcher_is_offered_and_taken(copy: Path) -> None:
    said = run("filterlab.cli", "train", "--help", root=copy).stdout
    assert "\n  backwards   one job after another, the last first\n" in said and "resnet" in said
    done = run("filterlab.cli", "sweep", "plan", "hydra/launcher=backwards", "seed=0,1", "experiment=none", root=copy)
    assert done.returncode == 0, done.stderr
    assert "2 trainings" in done.stdout, done.stdout


def test_the_doctor_makes_the_check(copy: Path) -> None:
    done = run("filterlab.cli", "doctor", root=copy)
    assert re.search(r"^  swap         (fine |WRONG)  \d+ % used$", done.stdout, flags=re.M), done.stdout + done.stderr
