"""The rule of conftest.py that in CI nothing is skipped, on a suite of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TINY = """
import pytest

@pytest.fixture
def cluster():
    pytest.skip("SLURM: not installed")

def test_with_a_fixture_that_skips(cluster): pass
def test_that_skips_itself(): pytest.skip("no network")
@pytest.mark.skip(reason="one day")
def test_that_is_marked(): pass
def test_that_passes(): pass
"""
HERE = Path(__file__).parent
REASONS = ["SLURM: not installed", "no network", "one day"]


@pytest.mark.parametrize(
    ("variable", "code", "counts"), [("", 0, "1 passed, 3 skipped"), ("1", 1, "1 failed, 1 passed, 2 errors")]
)
def test_a_skip_is_a_failure_where_the_variable_is_set(tmp_path: Path, variable: str, code: int, counts: str) -> None:
    shutil.copyfile(HERE / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_tiny.py").write_text(TINY)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "--rootdir", ".", "-c", os.devnull, "test_tiny.py"],
        cwd=tmp_path,
        env=os.environ | {"FILTERLAB_SKIP_IS_FAILURE": variable, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(HERE)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert counts in done.stdout.splitlines()[-1]
    assert all(reason in done.stdout for reason in REASONS)
    assert done.stdout.count("skipped, but FILTERLAB_SKIP_IS_FAILURE is set") >= (3 if variable else 0)
    assert variable or "FILTERLAB_SKIP_IS_FAILURE" not in done.stdout


def test_the_longest_files_are_there(request: pytest.FixtureRequest) -> None:
    conftest = request.config.pluginmanager.get_plugin(str(HERE / "conftest.py"))
    assert [file for file in conftest.LONGEST if not (HERE / file).is_file()] == []
