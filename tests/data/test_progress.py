import io

from rich.console import Console

from filterlab.data import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drive(watched: progress.Progress) -> None:
    with watched:
        watched.started("file.gz", done=0, total=100)
        watched.advanced(40)
        watched.message("file.gz: broke off [Errno 104]")
        watched.started("file.gz", done=40, total=100)
        watched.advanced(60)
        watched.message("file.gz: 100 bytes from http://127.0.0.1/ in 0.1 s")


def test_a_pipe_gets_the_messages_alone() -> None:
    stream = io.StringIO()
    watched = progress.on(stream)
    drive(watched)
    assert stream.getvalue() == "file.gz: broke off [Errno 104]\nfile.gz: 100 bytes from http://127.0.0.1/ in 0.1 s\n"


def test_a_terminal_gets_bars_and_messages(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    watched = progress.on(stream)
    assert isinstance(watched, progress.Bars) and isinstance(watched.bars.console, Console)
    drive(watched)
    shown = stream.getvalue()
    assert "file.gz: broke off [Errno 104]\n" in shown and "100/100 bytes" in shown
    assert [task.completed for task in watched.bars.tasks] == [100]


def test_images_are_counted_as_images(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress.on(stream, counting="images") as watched:
        watched.started("reading images", done=0, total=2_000)
        watched.advanced(2_000)
    assert "2000/2000" in stream.getvalue() and "bytes" not in stream.getvalue()


def test_silence(capsys) -> None:
    drive(progress.Progress())
    assert capsys.readouterr() == ("", "")
