"""What all tests share: the real MNIST, a disk that is full, and the rule that in CI nothing is skipped."""

import os
import resource
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import spawn
from pathlib import Path

import pytest
from filelock import FileLock

import measuring  # noqa: F401 (before a test starts a process)
import preloaded
from filterlab import garbage
from filterlab.config import compose
from filterlab.data import sources
from filterlab.data.progress import Progress

garbage.tune()
# A suite in the background (`make test &`, nohup) is given them as ignored, and its processes after it.
for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)

# The files that take longest come first, so that all workers are busy to the end.
LONGEST = [
    "pipeline/test_printed.py",
    "slurm/test_slurm.py",
    "pipeline/test_repro.py",
    "stages/test_train.py",
    "tracking/test_outages.py",
    "sweeps/test_sweep_runs.py",
    "pipeline/test_from_a_folder.py",
    "stages/test_report.py",
    "lecture/test_whole.py",
    "pipeline/test_remote.py",
    "tracking/test_run.py",
    "server/test_postgres_server.py",
    "sweeps/test_any_run.py",
    "sweeps/test_cancel.py",
    "ui/test_mlflow_ui.py",
    "sweeps/test_promotion.py",
    "ui/test_play.py",
    "tracking/test_failures.py",
    "test_extending.py",
    "training/test_bucket.py",
    "pipeline/test_fallback.py",
    "config/test_options.py",
    "training/test_fit.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {Path(__file__).parent / file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow's set_tracking_uri sets it, in whichever test came before


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


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with python, filterlab and dvc, quick to start: see preloaded.py. One for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "preloaded"
    with FileLock(f"{folder}.lock"):
        made = preloaded.programs(folder)
    held = preloaded.hold(folder)
    yield made
    for connection in held:
        connection.close()


@contextmanager
def chosen(python: Path) -> Iterator[Path]:
    """Within the block it is sys.executable, and runs the processes of joblib and multiprocessing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        patch.setattr(spawn, "_python_exe", os.fsencode(python))
        yield python


@pytest.fixture
def python(programs: Path) -> Iterator[Path]:
    """The folder's python, which is sys.executable too."""
    with chosen(programs / "python") as python:
        yield python


@pytest.fixture(scope="module")
def python_of_module(programs: Path) -> Iterator[Path]:
    """The same for all tests of a module."""
    with chosen(programs / "python") as python:
        yield python


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
