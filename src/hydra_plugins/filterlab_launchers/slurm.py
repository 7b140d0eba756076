"""`hydra/launcher=slurm`: the jobs of a sweep as a SLURM array, through submitit; one that fails ends no other."""

import itertools
import logging
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from filterlab import extras
from filterlab.errors import UserError
from filterlab.slurm import UNKNOWN, is_over, job_states, max_array_size
from filterlab.sweeps.sweep import VARIABLE, record_jobs
from hydra_plugins.filterlab_launchers import in_job

if TYPE_CHECKING:
    from submitit import Job

try:
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, SlurmQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititLauncher
except ModuleNotFoundError:  # Hydra imports this at each start: what is missing is named where it is asked for
    SlurmQueueConf, SubmititLauncher = None, Launcher

log = logging.getLogger(__name__)

GRACE = 15.0  # seconds that a shared file system may take to show an ended job's result
TARGET = "hydra_plugins.filterlab_launchers.slurm.SlurmLauncher"
SETUP = [
    # Since SLURM 22.05 srun no longer takes over sbatch's options, and would bind the training to one core.
    'if [ -n "$SLURM_CPUS_PER_TASK" ]; then',
    "  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK",
    "fi",
    # Several GPUs: where one process fails, the others would wait for it until the time limit.
    "export SLURM_KILL_BAD_EXIT=1",
]
SETTINGS: Any = {"_target_": TARGET}
if SlurmQueueConf is not None:

    @dataclass
    class SlurmConf(SlurmQueueConf):
        """The released plugin's settings; conf/hydra/launcher/slurm.yaml gives the values and their units."""

        _target_: str = TARGET

    SETTINGS = SlurmConf

ConfigStore.instance().store(group="hydra/launcher", name="filterlab_slurm", node=SETTINGS, provider="filterlab")


class SlurmLauncher(SubmititLauncher):
    """The released launcher, but that

    - a job that was cancelled, killed, out of time or failed does not end the batch: its JobReturn has the status FAILED,
      its overrides, and a `return_value` that raises submitit's UncompletedJobError (it left no result) or FailedJobError
      (it raised an exception);
    - a job whose training failed is FAILED for SLURM too, with an exit code that is not 0;
    - it needs no accounting database to see that a job is over;
    - the ids of the jobs are written to submitted.json in the folder that FILTERLAB_SWEEP names, as they are submitted.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the batch, wait until every job has ended, and give what each returned, in the order of `job_overrides`.

        Raises:
            UserError: sbatch refuses, or a job would have other processes than its training wants.
            KeyboardInterrupt: the jobs stay in the queue.
        """
        assert self.config is not None
        self.check_processes(job_overrides)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs: list[Job[JobReturn]] = []
        size = max_array_size()
        for start in range(0, len(calls), size):
            array = self.submit(calls[start : start + size])
            if sweep := os.environ.get(VARIABLE):
                record_jobs(Path(sweep), [(call[0], job.job_id) for call, job in zip(calls[start:], array, strict=False)])
            jobs += array
        log.info("%d jobs submitted to SLURM: %s", len(jobs), ", ".join(array_ids(jobs)))
        try:
            return wait_for_jobs(jobs, overrides=[list(filter_overrides(overrides)) for overrides in job_overrides])
        except KeyboardInterrupt as error:
            error.add_note(f"the jobs stay in SLURM's queue; to end them: scancel {' '.join(array_ids(jobs))}")
            raise

    def check_processes(self, job_overrides: Sequence[Sequence[str]]) -> None:
        """Raises UserError: several nodes, or tasks_per_node is not trainer.devices, so that each task would train by itself."""
        assert self.hydra_context is not None and self.config is not None
        if (nodes := self.params["nodes"]) != 1:
            raise UserError(
                f"hydra.launcher.nodes is {nodes}, expected 1: a training stays on one node; for several processes there, "
                "hydra.launcher.tasks_per_node and trainer.devices. Nothing was submitted"
            )
        tasks = self.params["tasks_per_node"]
        # Composing takes a tenth of a second: once for all jobs that say the same of the trainer.
        alike = {tuple(word for word in words if word.startswith(("trainer", "experiment"))): words for words in job_overrides}
        for words in alike.values():
            composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(words))
            devices = OmegaConf.select(composed, "trainer.devices", default=tasks)
            if devices != tasks:
                raise UserError(
                    f"trainer.devices is {devices}, but hydra.launcher asks for {tasks} processes: make them equal by "
                    f"hydra.launcher.tasks_per_node={devices}. Nothing was submitted"
                )

    def submit(self, calls: Sequence[tuple[Any, ...]]) -> "list[Job[JobReturn]]":
        """One array (or one job) that calls this launcher with each of these arguments."""
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        settings = {name: given for name, given in self.params.items() if given is not None}
        settings["setup"] = SETUP + export_lines() + settings.get("setup", [])
        executor = submitit.AutoExecutor(
            settings.pop("submitit_folder"), "slurm", slurm_max_num_timeout=settings.pop("max_num_timeout")
        )
        shared = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(**{name if name in shared else f"slurm_{name}": given for name, given in settings.items()})
        try:
            return executor.map_array(self, *zip(*calls, strict=True))
        except (FailedJobError, FailedSubmissionError) as error:
            reasons = [line for line in str(error).splitlines() if line.startswith("sbatch: error")]
            raise UserError(f"SLURM took no job: {'; '.join(reasons) or error}") from error

    def __call__(self, *arguments: Any) -> JobReturn:
        """The job itself, on its node. Raises what the task raised: SLURM sees exit code 1, and the launcher why."""
        in_job.prepare_job()
        done = super().__call__(*arguments)
        _ = done.return_value
        return done


def check_machine() -> None:
    """Raises UserError where submitit, or one of SLURM's commands, is missing."""
    extras.check("cluster", needed_by="hydra/launcher=slurm")
    if missing := [command for command in ("sbatch", "srun", "squeue") if shutil.which(command) is None]:
        raise UserError(
            f"hydra/launcher=slurm: {', '.join(missing)} not found on the PATH, nothing was submitted. Run this on a login "
            "node of a SLURM cluster (some need `module load slurm`), or choose hydra/launcher=joblib for this machine"
        )


def export_lines() -> list[str]:
    """Lines of a job's script that set the variables it needs, where a site sets SBATCH_EXPORT=NONE too."""
    needed = {name: os.environ[name] for name in ("PYTHONPATH", VARIABLE) if name in os.environ}
    return [f"export {name}={shlex.quote(given)}" for name, given in needed.items()] + ["unset SLURM_EXPORT_ENV"]


def wait_for_jobs(jobs: "Sequence[Job[JobReturn]]", *, overrides: Sequence[list[str]]) -> list[JobReturn]:
    """What each job returned, once all have ended.

    SLURM is asked every 2 s at first, then after a tenth of the time waited so far, but at least every 30 s.
    """
    common = set.intersection(*map(set, overrides))
    returns: dict[int, JobReturn] = {}
    over_since: dict[int, float] = {}
    start = time.monotonic()
    silent = False
    while len(returns) < len(jobs):
        waiting = [number for number in range(len(jobs)) if number not in returns]
        states = job_states([jobs[number].job_id for number in waiting])
        if (unknown := UNKNOWN in states.values()) and not silent:
            log.warning("squeue does not answer; results are waited for")
        silent = unknown
        for number in waiting:
            state, now = states[jobs[number].job_id], time.monotonic()
            if not is_over(state):
                over_since.pop(number, None)  # queued again
            elif now - over_since.setdefault(number, now) < GRACE:
                state = ""
            if state == UNKNOWN or number in over_since:
                returned = read_result(jobs[number], overrides=overrides[number], state=state)
                if returned is not None:
                    returns[number] = returned
                    log_failure(returned, jobs[number], common=common)
        if len(jobs) - len(returns) < len(waiting):
            failed = sum(returned.status == JobStatus.FAILED for returned in returns.values())
            log.info("%d of %d jobs have ended%s", len(returns), len(jobs), f", {failed} of them failed" if failed else "")
        if len(returns) < len(jobs):
            expected = over_since.keys() - returns.keys()
            time.sleep(2.0 if expected else min(30.0, max(2.0, (time.monotonic() - start) / 10)))
    return [returns[number] for number in range(len(jobs))]


def read_result(job: "Job[JobReturn]", *, overrides: list[str], state: str) -> JobReturn | None:
    """What the job returned, or why it returned nothing; None where a result may still come.

    Args:
        state: that the job was left in, where no result is waited for any longer; else empty, or UNKNOWN.
    """
    from submitit.core.utils import UncompletedJobError

    os.scandir(job.paths.folder).close()  # makes a network file system look again
    tasks = [job.task(rank) for rank in range(job.num_tasks)]
    written = [task for task in tasks if task.paths.result_pickle.exists()]
    error = next((error for task in written if (error := task.exception())), None)
    if error is None and len(written) == len(tasks):
        returned: JobReturn = job.results()[0]
        return returned
    if error is None and not is_over(state):
        return None
    failed = JobReturn(overrides=overrides, status=JobStatus.FAILED)
    failed.return_value = error or UncompletedJobError(f"job {job.job_id} ended as {state} and left no result")
    return failed


def log_failure(returned: JobReturn, job: "Job[JobReturn]", *, common: set[str]) -> None:
    """Log why a job failed: the last line of its error, what was its own among the overrides, where its log is."""
    from submitit.core.utils import FailedJobError

    if returned.status == JobStatus.FAILED:
        why = str(returned._return_value)
        if isinstance(returned._return_value, FailedJobError):  # it quotes the traceback between two rules
            why = f"job {job.job_id} failed: {why.split('-' * 22)[1].strip().splitlines()[-1]}"
        own = " ".join(word for word in returned.overrides or [] if word not in common)
        log.warning("%s%s; its log: %s", why, f" ({own})" if own else "", job.task(0).paths.stderr)


def array_ids(jobs: "Sequence[Job[JobReturn]]") -> list[str]:
    """Ids for scancel, one for a whole array."""
    return [array for array, _ in itertools.groupby(job.job_id.split("_")[0] for job in jobs)]
