"""Signal handlers and rank of a process of a SLURM job."""

import logging
import os
import signal
import sys
import threading
from types import FrameType

log = logging.getLogger(__name__)


def prepare_job() -> None:
    """Set signal handlers and the rank; to be called in the main thread, once submitit has set its own handlers."""
    end_on_sigterm()
    watch_time_limit()
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        # One training on several GPUs: a task is one of its processes. torchrun's name for it is the one that is asked for.
        os.environ["LOCAL_RANK"] = os.environ["SLURM_LOCALID"]


def end_on_sigterm() -> None:
    """On SIGTERM (scancel, requeue, the time limit): end as interrupted, at once but in order.

    submitit would ignore it, and SLURM kills all processes KillWait seconds later, the one that records the run's end too.
    """

    def end(number: int, frame: FrameType | None) -> None:
        # A function of the module would not know itself again: Hydra, when it looks for plugins, executes the module anew.
        if signal.getsignal(number) is end:
            sys.exit(128 + number)
        # Otherwise Lightning has put a handler in front of this one: it ends the training after the batch.

    signal.signal(signal.SIGTERM, end)


def watch_time_limit() -> None:
    """Let submitit queue a job again whose time runs out, and let one that may not be queued again use the rest of its time.

    SLURM sends the signal to every process of the job, and one that doesn't know it (the one that records the run) would
    die of it: it is blocked, which children inherit, and a thread waits for it. submitit's handler raises an error in the
    midst of the training where hydra.launcher.max_num_timeout is used up. Here the training goes on, to its end or to the
    limit, where SIGTERM ends it as interrupted.
    """
    from submitit.core.utils import UncompletedJobError

    number = getattr(signal, f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}")
    handler = signal.getsignal(number)
    assert callable(handler), "submitit has set its handler"

    def queue_again(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except UncompletedJobError as error:
            log.warning("the time limit is near; the training goes on until then. %s", error)
        except SystemExit:
            log.warning("the job waits in the queue again; SLURM's SIGTERM ends it here, after the batch")

    def watch() -> None:
        while True:
            queue_again(signal.sigwait({number}), None)

    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    signal.signal(number, queue_again)  # for threads that are older than the mask
    threading.Thread(target=watch, daemon=True).start()
