"""Whether the process that a run belongs to still lives: a machine that lost power leaves its runs RUNNING."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping

import psutil

HOST, PROCESS, JOB = "filterlab.host", "filterlab.process", "filterlab.slurm_job"


def tags() -> dict[str, str]:
    """Where this process is found: its machine, its number and start (seconds since 1970), and its SLURM job."""
    found = {HOST: socket.gethostname(), PROCESS: f"{os.getpid()} {psutil.Process().create_time():.2f}"}
    if job := os.environ.get("SLURM_JOB_ID"):
        found[JOB] = job  # of an array's task too: the number squeue knows it by
    return found


def alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that left these tags lives; True where that can't be known from here."""
    if tags.get(HOST) == socket.gethostname() and PROCESS in tags:
        number, started = tags[PROCESS].split()
        try:
            return abs(psutil.Process(int(number)).create_time() - float(started)) < 1
        except psutil.NoSuchProcess:
            return False
    if JOB in tags and shutil.which("squeue"):
        return queued([tags[JOB]]) != set()
    return True


def queued(jobs: list[str]) -> set[str]:
    """Those of these SLURM jobs (numbers, or ARRAY_TASK) that wait or run."""
    if not jobs or not shutil.which("squeue"):
        return set()
    asked = [
        "squeue",
        "--noheader",
        "--array",
        "--me",
        "--format=%A %F_%K",
        "--states=PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING",
    ]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        return set(jobs)  # a controller that does not answer: nothing may be started twice
    return set(jobs) & set(done.stdout.split())
