"""Progress of downloads, and of reading images: not shown, lines in a log, or bars on a terminal."""

from types import TracebackType
from typing import Any, Self, TextIO


class Progress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def started(self, name: str, *, done: int, total: int | None) -> None:
        """The transfer of a file starts with `done` bytes already there, of `total` (None: the mirror does not say)."""

    def advanced(self, count: int) -> None:
        """`count` more bytes have come."""

    def message(self, text: str) -> None:
        """Something worth a line: a file has come, a mirror has failed."""


class Lines(Progress):
    """For a log: the messages alone, a line each."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def message(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


class Bars(Progress):
    """For a terminal: a bar for the file under way, and the messages above it. counting: what is counted, bytes or images."""

    def __init__(self, stream: TextIO, *, counting: str = "bytes"):
        from rich import progress
        from rich.console import Console

        self.bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            *(
                [progress.DownloadColumn(), progress.TransferSpeedColumn()]
                if counting == "bytes"
                else [progress.MofNCompleteColumn()]
            ),
            progress.TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self.task: Any = None

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bars.stop()

    def started(self, name: str, *, done: int, total: int | None) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
        self.task = self.bars.add_task(name, completed=done, total=total)

    def advanced(self, count: int) -> None:
        self.bars.advance(self.task, count)

    def message(self, text: str) -> None:
        self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


def on(stream: TextIO, *, counting: str = "bytes") -> Progress:
    """Bars where somebody watches, lines where the stream is a file or a pipe."""
    return Bars(stream, counting=counting) if stream.isatty() else Lines(stream)
