"""Liveness of the process behind a run: a machine that lost power leaves its runs RUNNING."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence

import psutil

HOST, PROCESS, JOB = "filterlab.host", "filterlab.process", "filterlab.slurm_job"
PATIENCE = 60.0  # seconds that a command of SLURM may take


def tags() -> dict[str, str]:
    """Where this process is found: its machine, its number and start (seconds since 1970), and its SLURM job.

    The job is empty outside of one, over that of an earlier start of the same run. Of an array's task, too, it is the number
    by which squeue knows it.
    """
    started = f"{os.getpid()} {psutil.Process().create_time():.2f}"
    return {HOST: socket.gethostname(), PROCESS: started, JOB: os.environ.get("SLURM_JOB_ID", "")}


def alive(tags: Sequence[Mapping[str, str]]) -> list[bool]:
    """For the tags that each of some processes left, whether it lives; True where that can't be known from here."""
    elsewhere = [of for of in tags if of.get(JOB) and not here(of)]
    held = queued([of[JOB] for of in elsewhere]) if elsewhere and shutil.which("squeue") else None
    return [runs(of) if here(of) else held is None or not of.get(JOB) or of[JOB] in held for of in tags]


def here(tags: Mapping[str, str]) -> bool:
    return tags.get(HOST) == socket.gethostname() and PROCESS in tags


def runs(tags: Mapping[str, str]) -> bool:
    """Of a process of this machine."""
    number, started = tags[PROCESS].split()
    try:
        return abs(psutil.Process(int(number)).create_time() - float(started)) < 1
    except psutil.NoSuchProcess:
        return False


def queued(jobs: Sequence[str]) -> set[str]:
    """Those of these SLURM jobs (numbers, or ARRAY_TASK) that wait or run; all of them where SLURM does not answer."""
    if not jobs or not shutil.which("squeue"):
        return set()
    states = "--states=PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING"
    said = answer("squeue", "--noheader", "--array", "--me", "--format=%A %F_%K", states)
    return set(jobs) if said is None else set(jobs) & set(said.split())  # nothing may be started twice


def answer(*command: str) -> str | None:
    """What a command of SLURM prints; None where it is missing, fails (no controller, no database) or takes too long."""
    # A user's own SQUEUE_STATES or SQUEUE_PARTITION would hide jobs.
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
