"""What all tests share: the real MNIST, and the rule that in CI nothing is skipped."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

# The rooms whose files take longest come first, so that both workers are busy to the end.
FIRST = ["pipeline", "sweeps", "slurm", "ui", "server", "stages", "tracking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {room: number for number, room in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(FIRST)))


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
