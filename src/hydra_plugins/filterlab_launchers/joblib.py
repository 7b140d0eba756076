"""`hydra/launcher=joblib`: the jobs of a sweep in parallel on this machine; one that fails ends no other."""

import logging
import os
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher as ReleasedLauncher

log = logging.getLogger(__name__)


@dataclass
class JoblibConf(JobLibLauncherConf):
    """The released plugin's settings; its workers' libraries are given cores // n_jobs threads, but for OMP_NUM_THREADS."""

    _target_: str = "hydra_plugins.filterlab_launchers.joblib.JoblibLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="filterlab_joblib", node=JoblibConf, provider="filterlab")


class JoblibLauncher(ReleasedLauncher):
    """The released launcher, but that a job that is ended by a signal does not end the batch.

    Where a process is killed (out of memory, by hand), joblib ends all of them. Those that were cut short run again, one at a
    time, and a training goes on from its last checkpoint. One that is killed then, too, comes out as a JobReturn with
    the status FAILED, its overrides, and a `return_value` that raises.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from hydra_plugins.hydra_joblib_launcher._core import process_joblib_cfg
        from joblib import Parallel, cpu_count, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        setup_globals()
        settings = {**self.joblib, "backend": "loky", "return_as": "generator_unordered"}
        process_joblib_cfg(settings)
        jobs = [(initial_job_idx + number, list(overrides)) for number, overrides in enumerate(job_overrides)]
        shared = (os.getpid(), self.hydra_context, self.config, self.task_function, Singleton.get_state())
        suspects: set[int] = set()
        lost: dict[int, JobReturn] = {}
        abreast = settings["n_jobs"] if settings["n_jobs"] > 0 else cpu_count() + 1 + settings["n_jobs"]
        log.info("%d jobs on this machine, %d at a time", len(jobs), abreast)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            while left := [job for job in jobs if not (folder / f"{job[0]}.returned").exists() and job[0] not in lost]:
                alone = [job for job in left if job[0] in suspects][:1]
                try:
                    for _ in Parallel(**settings)(delayed(run_job)(*job, folder, *shared) for job in alone or left):
                        log.info("%d of %d jobs have ended", len([*folder.glob("*.returned")]) + len(lost), len(jobs))
                except TerminatedWorkerError as error:
                    if not (markers := list(folder.glob("*.begun"))):
                        raise  # a worker that can't even begin a job
                    for marker in markers:
                        marker.unlink()
                    if alone:
                        ((number, overrides),) = alone
                        lost[number] = failed_result(overrides, error)
                        log.warning("job %d (%s) was killed again, alone; the others run", number, " ".join(overrides))
                    else:
                        suspects |= {int(marker.stem) for marker in markers}
                        log.warning("a job was killed (is there memory for %d?); what that cut short runs again", abreast)
            return [lost.get(number) or read_result(folder / f"{number}.returned") for number, _ in jobs]


def run_job(number: int, overrides: list[str], folder: Path, driver: int, *hydras: Any) -> None:
    """Run a job in a worker, and keep what it returned in `folder`, which outlives the worker."""
    import cloudpickle  # type: ignore[import-untyped]
    from hydra_plugins.hydra_joblib_launcher._core import execute_job

    end_without(driver)
    marker = folder / f"{number}.begun"
    marker.touch()
    try:
        done = execute_job(number, overrides, *hydras)
    except SystemExit as error:
        if os.getpid() == driver:
            raise  # n_jobs=1 has no worker: SIGTERM is for the whole sweep
        end_without(driver)
        done = failed_result(overrides, RuntimeError(f"ended by a signal, with exit code {error.code}"))
    partial = folder / f"{number}.partial"
    partial.write_bytes(cloudpickle.dumps(done))
    marker.unlink()
    partial.rename(folder / f"{number}.returned")


def end_without(driver: int) -> None:
    """End this worker, which would run what else it was handed, where the sweep's process is gone."""
    if driver not in (os.getpid(), os.getppid()):
        os._exit(128 + signal.SIGTERM)


def read_result(path: Path) -> JobReturn:
    import pickle

    done: JobReturn = pickle.loads(path.read_bytes())
    return done


def failed_result(overrides: list[str], error: BaseException) -> JobReturn:
    made = JobReturn(overrides=list(filter_overrides(overrides)), status=JobStatus.FAILED)
    made.return_value = error
    return made
