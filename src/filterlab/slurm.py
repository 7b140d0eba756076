"""SLURM's job states, as squeue and sacct print them."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection

ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
UNKNOWN = "UNKNOWN"  # squeue does not answer
GONE = "GONE"  # the job is over, and nothing remembers how it ended
MAX_ARRAY_SIZE = 1001  # SLURM's default
TIMEOUT = 60.0  # seconds that a command of SLURM may take


def job_states(job_ids: Collection[str]) -> dict[str, str]:
    """The state of each job ("12", or "12_3" of an array), as SLURM names it, or UNKNOWN, or GONE.

    squeue is asked first, in one call for all: it knows a job from its submission, sees that an ended one was requeued,
    and needs no accounting database, which many small clusters don't have. It forgets an ended job after MinJobAge
    (300 s by default); then sacct is asked, where a database remembers.
    """
    found = read_queue()
    if found is None:
        return dict.fromkeys(job_ids, UNKNOWN)
    if forgotten := [job_id for job_id in job_ids if job_id not in found]:
        jobs = sorted({job_id.split("_")[0] for job_id in forgotten})
        accounts = run_command(
            "sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={','.join(jobs)}"
        )
        found = parse_states(accounts or "") | found
    return {job_id: found.get(job_id, GONE) for job_id in job_ids}


def queued_jobs(job_ids: Collection[str]) -> set[str]:
    """Those of these jobs that wait or run; all of them where SLURM does not answer, so that nothing is started twice."""
    if not job_ids or not shutil.which("squeue"):
        return set()
    found = read_queue()
    return {job_id for job_id in job_ids if found is None or (job_id in found and not is_over(found[job_id]))}


def read_queue() -> dict[str, str] | None:
    """State by job id of all jobs in the queue, an array's task by both of its ids (13, 12_3); None without an answer."""
    table = run_command("squeue", "--me", "--array", "--states=all", "--noheader", "--format=%A %F_%K|%T")
    return None if table is None else parse_states(table)


def parse_states(table: str) -> dict[str, str]:
    """States by job id, from lines such as "13 12_3|CANCELLED by 1000".

    Tasks of an array that wait share one number with the task that has it: of several states, one that is no end counts.
    """
    found: dict[str, str] = {}
    for job_ids, _, state in (line.strip().partition("|") for line in table.splitlines()):
        for job_id in job_ids.split() if state.strip() else []:
            if is_over(found.get(job_id, GONE)):
                found[job_id] = state.split()[0].rstrip("+")
    return found


def is_over(state: str) -> bool:
    """Whether a job in that state has ended; PREEMPTED and NODE_FAIL too: a job that SLURM starts again is PENDING by then."""
    return state in ENDED or state == GONE


def order(job_id: str) -> tuple[int, ...]:
    """By which jobs are sorted: 2, 12_3, 12_10."""
    return tuple(map(int, re.findall(r"\d+", job_id)))


def wait_until_over(job_ids: Collection[str], *, seconds: float) -> list[str]:
    """Those of these jobs that still wait or run after so long."""
    deadline = time.monotonic() + seconds
    while (left := queued_jobs(job_ids)) and time.monotonic() < deadline:
        time.sleep(1.0)
    return sorted(left, key=order)


def max_array_size() -> int:
    """Jobs that one array may have on this cluster."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", run_command("scontrol", "show", "config") or "", re.MULTILINE)
    return int(found[1]) if found else MAX_ARRAY_SIZE


def run_command(*command: str) -> str | None:
    """What a command of SLURM prints; None where it is missing, fails (no controller, no database) or takes too long."""
    # A user's own SQUEUE_STATES or SQUEUE_PARTITION would hide jobs.
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
