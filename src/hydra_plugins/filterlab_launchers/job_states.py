"""What has become of SLURM jobs: asked of the queue, and of the accounting where the queue has forgotten them."""

import re
from collections.abc import Collection

from filterlab.tracking.process import answer

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
