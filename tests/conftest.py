"""What all tests share: the real MNIST, a disk that is full, and the rule that in CI nothing is skipped."""

import os
import resource
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import measuring  # noqa: F401 (before a test starts a process)
from filterlab import garbage
from filterlab.config import compose
from filterlab.data import sources
from filterlab.data.progress import Progress

garbage.tune()

# The rooms whose files take longest come first, so that all workers are busy to the end.
FIRST = ["pipeline", "sweeps", "slurm", "ui", "server", "commands", "stages", "tracking"]


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


@pytest.fixture(scope="session")
def raw(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/raw with MNIST, as the download stage leaves it; to be linked to, not written to."""
    folder = tmp_path_factory.mktemp("data")
    data = compose.compose(Path(__file__).parents[1] / "conf", ["experiment=none", "data=mnist"]).data
    sources.download(data, raw=folder / "raw", partial=folder / "partial", progress=Progress())
    return folder / "raw"


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """with file_size_limit(bytes): no file can grow beyond, as on a full disk (also for root, unlike permissions)."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("FILTERLAB_SKIP_IS_FAILURE"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but FILTERLAB_SKIP_IS_FAILURE is set: {report.longrepr}"
    return report
