"""Liveness of the process behind a run: a machine that lost power leaves its runs RUNNING."""

import os
import shutil
import socket
from collections.abc import Mapping, Sequence

import psutil

from filterlab.slurm import queued_jobs

HOST, PROCESS, JOB = "filterlab.host", "filterlab.process", "filterlab.slurm_job"


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
    held = queued_jobs([of[JOB] for of in elsewhere]) if elsewhere and shutil.which("squeue") else None
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
