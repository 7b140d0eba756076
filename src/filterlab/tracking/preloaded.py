"""Preloaded worker: `python -m filterlab.tracking.preloaded FD` imports mlflow, and forks a sender for each connection that
arrives by the socket FD.
"""

import gc
import importlib
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection

from filterlab import garbage
from filterlab.tracking import senders


def main() -> None:
    # The parent decides: a SIGTERM to the whole group (a scheduler's) must not end the sender before the run has ended.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a sender: none may stay as a zombie
    garbage.tune()
    session = importlib.import_module("filterlab.tracking.session")
    forked = 0
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while (asked := socket.recv_fds(control, 1, 1))[0]:
            kind, (descriptor,), *_ = asked
            if kind == senders.DATABASE:
                importlib.import_module("filterlab.tracking.database").schema()  # once, not in each sender
            if forked == 1:
                # Several runs are a sweep's. MLflow lists what is installed (.4 s) with a process's first model: here once, for
                # all that follow. Without, a sweep of tiny jobs takes a fifth longer.
                requirements = importlib.import_module("mlflow.utils.requirements_utils")
                requirements.warn_dependency_requirement_mismatches(["mlflow"])
            gc.freeze()  # a sender that looked through what is imported would copy it, page by page
            if os.fork() == 0:
                break
            forked += 1
            os.close(descriptor)
        else:
            return  # the process whose runs these were has ended
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    session.serve(Connection(descriptor))
    os._exit(0)  # likewise: to take apart what is imported costs more than most runs write


if __name__ == "__main__":
    main()
