"""What has become of SLURM jobs: asked of the queue, and of the accounting where the queue has forgotten them."""

import os
import re
import subprocess
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
UNKNOWN = "UNKNOWN"  # nobody answers now
GONE = "GONE"  # it is over, and nobody remembers how it ended
PATIENCE = 60.0  # seconds that a command of SLURM may take
ARRAY = 1001  # SLURM's default of MaxArraySize


def states(job_ids: Collection[str]) -> dict[str, str]:
    """The state of each job ("12", or "12_3" of an array), as SLURM names it, or UNKNOWN, or GONE.

    squeue is asked first, in one call for all: it knows a job from its submission, sees that an ended one was requeued,
    and needs no accounting database, which many small clusters don't have. It forgets an ended job after MinJobAge
    (300 s by default); then sacct is asked, where a database remembers.
    """
    queue = answer("squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T")
    if queue is None:
        return dict.fromkeys(job_ids, UNKNOWN)
    found = read(queue)
    if forgotten := [job_id for job_id in job_ids if job_id not in found]:
        jobs = sorted({job_id.split("_")[0] for job_id in forgotten})
        accounts = answer(
            "sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={','.join(jobs)}"
        )
        found = read(accounts or "") | found
    return {job_id: found.get(job_id, GONE) for job_id in job_ids}


def read(table: str) -> dict[str, str]:
    """States by job id, from lines such as "12_3|CANCELLED by 1000"."""
    rows = [line.strip().split("|") for line in table.splitlines() if "|" in line]
    return {row[0]: row[1].split()[0].rstrip("+") for row in rows if row[1].strip()}


def is_over(state: str) -> bool:
    """Also PREEMPTED and NODE_FAIL: a job that SLURM starts again is PENDING by then."""
    return state in ENDED or state == GONE


def largest_array() -> int:
    """Jobs that one array may have on this cluster."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer("scontrol", "show", "config") or "", re.MULTILINE)
    return int(found[1]) if found else ARRAY


def answer(*command: str) -> str | None:
    """What the command prints; None where it is missing, fails (no controller, no database) or takes too long."""
    # A user's own SQUEUE_STATES or SQUEUE_PARTITION would hide jobs.
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
