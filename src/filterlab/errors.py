"""Errors that a user can put right: one message each, and an exit code of their own."""

import os
import sys
import traceback
from pathlib import Path

INTERRUPTED = 130  # 128 + SIGINT, as shells count
SYSTEM = 5  # an OSError: no space, no permission, ...


class UserError(ValueError):
    """A mistake or a circumstance the user can change: what was given, what was expected, what to do.

    The command line prints the message alone and ends with `exit_code`; FILTERLAB_DEBUG=1 adds the traceback.
    """

    exit_code = 2


class ConfigError(UserError):
    """One or more faults in params.yaml, conf/ or the command line; `faults` holds one sentence each."""

    def __init__(self, faults: list[str]):
        self.faults = faults
        what = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{what} in the configuration:\n" + "\n".join(f"  - {fault}" for fault in faults))


class DataError(UserError):
    """Data, a model or results that are missing, damaged, not what they should be, or can't be written (a full disk)."""

    exit_code = 3


class UnreachableError(DataError):
    """No mirror answered. 69 is EX_UNAVAILABLE of sysexits.h."""

    exit_code = 69


class TrackingError(UserError):
    """The MLflow store cannot be reached, or has refused something."""

    exit_code = 4


def explain(error: BaseException) -> int:
    """Print an error's message on stderr, with a traceback only if FILTERLAB_DEBUG is 1, and give the exit code.

    DVC ends with 255 whatever a stage's exit code was; FILTERLAB_EXIT_CODE names a file that gets the stage's own.
    """
    if os.environ.get("FILTERLAB_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, UserError):
        message, code = str(error), error.exit_code
    elif isinstance(error, SyntaxError):  # in a module that somebody has added, e.g. a model's
        message, code = f"{error.filename}, line {error.lineno}: {error.msg}, so that Python can't read it", UserError.exit_code
    elif isinstance(error, KeyboardInterrupt):
        message, code = "interrupted", INTERRUPTED
    else:
        message, code = str(error), SYSTEM
    for text in [message, *getattr(error, "__notes__", [])]:
        print(f"filterlab: {text}", file=sys.stderr)
    if record := os.environ.get("FILTERLAB_EXIT_CODE"):
        try:
            Path(record).write_text(str(code))
        except OSError as failed:
            print(f"filterlab: FILTERLAB_EXIT_CODE names a file that can't be written: {failed}", file=sys.stderr)
    return code
