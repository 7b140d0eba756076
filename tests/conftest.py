"""What all tests share: the real MNIST, and the rule that in CI nothing is skipped."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder with MNIST's four files, named by FILTERLAB_MIRROR."""
    named = os.environ.get("FILTERLAB_MIRROR")
    if not named or not (Path(named) / "train-images-idx3-ubyte.gz").exists():
        pytest.skip("MNIST: FILTERLAB_MIRROR names no folder with the four files")
    return Path(named).resolve()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("FILTERLAB_SKIP_IS_FAILURE"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but FILTERLAB_SKIP_IS_FAILURE is set: {report.longrepr}"
    return report
