"""The tags that lead from a run back to the code."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from filterlab.errors import UserError
from filterlab.tracking import provenance

GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]


def test_commit_and_whether_the_code_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/code.py").write_text("x = 0\n")
    for command in [["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]]:
        subprocess.run([*GIT, *command], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "params.yaml").write_text("seed: 1\n")  # in the run whole, as its resolved configuration
    clean = provenance.tags(tmp_path)
    assert (clean["mlflow.source.git.commit"], clean["filterlab.dirty"]) == (head, "false")
    (tmp_path / "src/code.py").write_text("x = 1\n")
    assert provenance.tags(tmp_path)["filterlab.dirty"] == "true"


def test_other_code_than_the_repositorys_is_dirty_and_no_stage_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by PYTHONPATH: dvc.lock and the commit would name what did not run."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    shutil.copytree(provenance.PACKAGE, tmp_path / "src/filterlab", ignore=shutil.ignore_patterns("__pycache__"))
    for command in [["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]]:
        subprocess.run([*GIT, *command], cwd=tmp_path, check=True)
    assert provenance.tags(tmp_path)["filterlab.dirty"] == "false", "a copy that is the same"
    provenance.check_code(tmp_path)
    (tmp_path / "src/filterlab/files.py").write_text("# of another day\n")
    subprocess.run([*GIT, "commit", "--quiet", "-am", "second"], cwd=tmp_path, check=True)
    assert provenance.tags(tmp_path)["filterlab.dirty"] == "true"
    with pytest.raises(UserError, match=rf"^the code that runs is {provenance.PACKAGE}, and differs from this repository's"):
        provenance.check_code(tmp_path)


def test_no_repository_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert set(provenance.tags(tmp_path)) - {"dvc.experiment", "dvc.baseline"} == {"filterlab.code"}
    monkeypatch.setenv("PATH", "")
    assert "mlflow.source.git.commit" not in provenance.tags(tmp_path)


def test_a_commit_of_another_project_is_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that was unpacked inside a repository, which ignores it; a hook of another repository that runs this one."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    outer, ours = tmp_path / "outer", tmp_path / "ours"
    heads = {}
    for root in (outer, ours):
        (root / "src").mkdir(parents=True)
        (root / "src/code.py").write_text(f"# {root.name}\n")
        (root / ".gitignore").write_text("unpacked\n")
        for command in [["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", root.name]]:
            subprocess.run([*GIT, *command], cwd=root, check=True)
        heads[root] = provenance.git(root, "rev-parse", "HEAD")
    (outer / "unpacked/src").mkdir(parents=True)
    (outer / "unpacked/src/code.py").touch()
    assert "mlflow.source.git.commit" not in provenance.tags(outer / "unpacked")
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    assert provenance.tags(ours)["mlflow.source.git.commit"] == heads[ours] != heads[outer]


def test_dvcs_experiment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "bold-name")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    tags = provenance.tags(tmp_path)
    assert (tags["dvc.experiment"], tags["dvc.baseline"]) == ("bold-name", "abc")


def test_the_codes_digest_depends_on_names_and_bytes_of_python_files_alone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = provenance.code_digest(tmp_path)
    (tmp_path / "notes.md").write_text("text")
    assert provenance.code_digest(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    second = provenance.code_digest(tmp_path)
    (tmp_path / "b.py").write_text("x = 2\n")
    assert len({first, second, provenance.code_digest(tmp_path)}) == 3
