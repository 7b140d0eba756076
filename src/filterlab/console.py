"""The standard streams: open whatever the shell closed, and no reason for a computation to fail."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Lasting(io.FileIO):
    """File to which writing never fails: what can't be written (nobody reads any longer, the disk is full) is dropped."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Open the streams that are closed. Call it at the start of every command, before a file is opened."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file would get its number, and all that is printed
            nothing = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nothing, "w" if descriptor else "r"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = lasting(sys.stderr)


def keep_going() -> None:
    """Ignore errors of standard output, in commands that compute: results matter more than the lines about them."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:  # a test's is none of ours
        sys.stdout = lasting(sys.stdout)


def lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream, but that writing to it never fails."""
    with suppress(OSError):
        stream.flush()
    raw = Lasting(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors="backslashreplace", line_buffering=True, write_through=True
    )


def discard_output() -> None:
    """Discard what is still to be printed, at the end of a command that has failed to print: Python would report it again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def facts(lines: Mapping[str, str]) -> str:
    """Names and what they stand for, a line each, below an empty one."""
    return "\n" + "\n".join(f"  {name:<12}{text}" for name, text in lines.items())


def legend(drawn: Sequence[str], names: Sequence[str]) -> str:
    """What each sign in a picture stands for, where no font has the names' letters."""
    return ", ".join(f"{sign} {name}" for sign, name in zip(drawn, names, strict=True))
