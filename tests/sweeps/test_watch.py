"""How far a sweep is: epochs, rate, what is left; on a terminal and elsewhere; until it ends."""

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlab.study.trial import Trial
from filterlab.sweeps import watch
from filterlab.sweeps.watch import Pace, Screen


def trial(key: str, status: str, epochs: int | None = None, seconds: float | None = None) -> Trial:
    given = {"epochs": epochs if status != "running" else None, "training/seconds": seconds}
    metrics = {name: float(value) for name, value in given.items() if value is not None}
    return Trial(key, {}, status, metrics=metrics, curve=[0.5] * (epochs or 0))


def running(**epochs: int) -> list[Trial]:
    """Trials that have so many."""
    return [trial(key, "running", number) for key, number in epochs.items()]


def test_a_pace_is_what_was_seen() -> None:
    """One of ten epochs is done, two run, three wait: 16 epochs were seen in 40 s; 14 and 3 times 10 are left."""
    done, pace = trial("a", "done", 10, 100), Pace()
    pace.note([done, *running(b=1, c=1)], now=1000)
    trials = [done, *running(b=5, c=1)]
    pace.note(trials, now=1040)
    assert pace.describe(trials, ahead=3) == "16 epochs, 0.1 epochs/s, 36 trials/h, about 0:07:20 to go"


def test_before_anything_was_seen_the_times_of_what_is_done_count() -> None:
    """Two that run side by side train twice as many epochs a second as one."""
    trials = [trial("a", "done", 10, 50), trial("b", "running"), trial("c", "running")]
    pace = Pace()
    pace.note(trials, now=0)
    assert pace.describe(trials, ahead=0) == "10 epochs, 0.4 epochs/s, 144 trials/h, about 0:00:50 to go"


def test_what_cannot_be_known_is_not_said() -> None:
    trials = [trial("a", "running")]
    pace = Pace()
    pace.note(running(a=2), now=0)
    assert pace.describe(trials, ahead=5) == "2 epochs"
    pace.note(running(a=4), now=10)
    assert pace.describe(trials, ahead=5) == "4 epochs, 0.2 epochs/s", "how long a trial is is in no file here"
    pace.longest["a"] = 8
    assert pace.describe(trials, ahead=1) == "4 epochs, 0.2 epochs/s, 90 trials/h, about 0:01:00 to go"
    assert pace.describe([trial("a", "done", 8, 1)], ahead=0) == "4 epochs", "it has ended"


def test_only_the_last_minutes_count_and_no_epoch_is_lost() -> None:
    """A trial that fails takes none of its epochs back."""
    pace = Pace()
    for minute in range(20):
        pace.note(running(a=minute if minute < 10 else 10 + 10 * (minute - 10)), now=60.0 * minute)
    assert pace.rate([]) == pytest.approx(10 / 60)
    pace.note([trial("a", "failed")], now=1200)
    assert pace.seen[-1][1] == 100


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """follow(...) over looks at a sweep that a process drives as long as there is another look."""

    def follow(*given: list[Trial]) -> None:
        left = list(given)
        sweep = watch.Sweep(tmp_path / "runs/s", commands=[["seed=0,1"]])
        monkeypatch.setattr(watch.sweeps, "find", lambda root, name: sweep)
        monkeypatch.setattr(watch.sweeps, "driver", lambda sweep: {"a": "b"} if len(left) > 1 else {})
        monkeypatch.setattr(watch.status, "find_trials", lambda sweep: left.pop(0))
        monkeypatch.setattr(watch.time, "sleep", lambda seconds: None)
        watch.follow(tmp_path, "s", Pace(), Screen(), lambda trials: ["  table"], searched=0)

    return follow


def test_elsewhere_a_line_where_something_has_changed(looks: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = trial("a", "running"), trial("b", "not started")
    looks([a, b], [a, b], [a, b], [trial("a", "done", 2, 1), trial("b", "running")], [trial("a", "done", 2, 1)])
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert [line.partition(";")[0] for line in lines] == ["s: 1 running, 1 not started", "s: 1 done, 1 running", "s: 1 done"]


def test_jobs_of_a_scheduler_are_watched_without_the_command_that_gave_them(
    looks: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The last look that has a driver is the first here: what runs and waits keeps the sweep going."""
    with pytest.raises(IndexError):  # there are no more looks
        looks([trial("a", "running")], [trial("a", "queued")])
    assert "1 queued" in capsys.readouterr().out


def on_terminal(code: str, *, rows: int, columns: int) -> str:
    """What the code writes to a terminal of that size."""
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (rows, columns))
    environment = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen([sys.executable, "-c", code], stdout=terminal, stdin=terminal, env=environment) as process:
        os.close(terminal)
        written = b""
        try:
            while said := os.read(control, 1 << 16):
                written += said
        except OSError:  # the other end is closed
            pass
    assert process.returncode == 0
    os.close(control)
    return written.decode()


def displayed(written: str) -> list[str]:
    """What stands on the terminal in the end, by the two sequences that are used: up by lines, and clear to the end."""
    lines = [""]
    for part in re.split(r"(\x1b\[\d*[FJ]|\r\n)", written):
        if part == "\r\n":
            lines.append("")
        elif part.endswith("F") and part.startswith("\x1b"):
            lines = [*lines[: len(lines) - int(part[2:-1]) - 1], ""]
        elif part != "\x1b[J":
            lines[-1] += part
    return lines


def test_on_a_terminal_the_same_lines_are_drawn_anew() -> None:
    code = (
        "from filterlab.sweeps.watch import Screen\nscreen = Screen()\n"
        "screen.show('head 1', '', ['a' * 99, 'b', 'c'])\n"
        "screen.show('head 2', '', [f'row {number}' for number in range(50)])\n"
        "screen.show('head 3', '', ['d'])\n"
    )
    written = on_terminal(code, rows=12, columns=40)
    assert displayed(written) == ["head 3", "d", ""]
    first, second, _ = re.split(r"\x1b\[\d+F\x1b\[J", written)
    assert first == f"head 1\r\n{'a' * 39}\r\nb\r\nc\r\n"
    assert second.splitlines() == ["head 2", *(f"row {number}" for number in range(8)), "  and 42 more"]


def test_a_sweep_is_watched_to_its_end(make_project: Callable[[], Any]) -> None:
    project = make_project()
    project.run("train", "-m", "--sweep", "short", "--detach", "seed=0,1", "trainer.max_epochs=3")
    lines = project.run("sweep", "status", "short", "--watch").splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d short: 2 done; 6 epochs", lines[-1]), lines
    assert project.run("sweep", "status", "short", "--watch").count("\n") == 1, "nothing more to come"
