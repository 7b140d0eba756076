"""`filterlab sweep cancel`: ends what runs of a sweep, here and on SLURM, so that the same command goes on with it."""

import itertools
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM

import psutil

from filterlab import slurm
from filterlab.errors import UserError
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import process

PATIENCE = 120.0  # seconds that a training may take to end in order: a batch, a checkpoint, what is still to be logged


def cancel(root: Path, name: str) -> None:
    """End the sweep's process, its trainings and its jobs, and print in a line what was ended.

    Raises:
        UserError: there is no such sweep, another machine runs it, SLURM does not answer, or something has not ended in time.
    """
    sweep = sweeps.find(root, name)
    ended = end_processes(sweep) + end_jobs(sweep)
    print(
        f"sweep {name}: {' and '.join(ended)} ended; the same command goes on with it" if ended else f"sweep {name}: nothing runs"
    )


def end_processes(sweep: Sweep) -> list[str]:
    """Those of this machine: first the one that hands out trials, then those that train, each of which writes a checkpoint.

    Those that record runs are in sessions of their own, and end by themselves.
    """
    tags = sweeps.driver(sweep)
    if not tags:
        try:
            with sweeps.locked(sweep):
                return []
        except sweeps.BusyError:
            raise UserError(
                f"sweep {sweep.name} is run by a process that has not written down which it is: it has just begun, or an earlier "
                "version began the sweep. Give this again, or end it by its number"
            ) from None
    number = int(tags[process.PROCESS].split()[0])
    if not process.here(tags):
        job = f", as SLURM's job {tags[process.JOB]}" if tags[process.JOB] else ""
        raise UserError(f"sweep {sweep.name} is run by process {number} on {tags[process.HOST]}{job}: give this command there")
    with suppress(psutil.NoSuchProcess):
        driver = psutil.Process(number)
        group = os.getpgid(number)
        below = [child for child in driver.children(recursive=True) if in_group(child, group)]
        recorders = [child for child in driver.children(recursive=True) if child not in below]
        driver.send_signal(SIGTERM)
        wait([driver])
        for child in below:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(SIGTERM)
        wait([*below, *recorders])
    return [f"process {number}" + f" with {len(below)} below it" * bool(below)]


def in_group(child: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(child.pid) == group
    except ProcessLookupError:
        return False


def wait(processes: Iterable[psutil.Process]) -> None:
    """Raises UserError where one has not ended in time."""
    _, alive = psutil.wait_procs([*processes], timeout=PATIENCE)
    if alive:
        numbers = " ".join(str(each.pid) for each in alive)
        raise UserError(
            f"has not ended {PATIENCE:.0f} s after SIGTERM: process {numbers}; kill -9 {numbers} does, without a checkpoint"
        )


def end_jobs(sweep: Sweep) -> list[str]:
    """SLURM's: those that wait, and those that run, each of which gets SIGTERM first."""
    jobs = sorted(slurm.queued_jobs([job for _, job in sweeps.submitted_jobs(sweep)]), key=slurm.order)
    if not jobs:
        return []
    if slurm.run_command("scancel", *jobs) is None:
        raise UserError(f"SLURM does not take `scancel {' '.join(jobs)}`: give it by hand")
    if left := slurm.wait_until_over(jobs, seconds=PATIENCE):
        raise UserError(f"has not ended {PATIENCE:.0f} s after scancel: job {' '.join(left)}; squeue shows its state")
    arrays = [array for array, _ in itertools.groupby(job.split("_")[0] for job in jobs)]
    return [f"{len(jobs)} job{'' if len(jobs) == 1 else 's'} of SLURM ({', '.join(arrays)})"]
