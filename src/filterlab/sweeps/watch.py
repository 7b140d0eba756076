"""`filterlab sweep status NAME --watch`: how far a sweep is, until it ends."""

import datetime
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filterlab.config import compose, resolved
from filterlab.errors import UserError
from filterlab.study.trial import Trial
from filterlab.sweeps import status
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.sweep import Sweep

ORDER = ("running", "failed", "interrupted", "queued", "not started", "done", "pruned")  # of the lines on a terminal
ACTIVE = ("running", "queued")
AHEAD = ("not started", "interrupted", "queued")  # to be trained by a process that runs the sweep
OVER = ("done", "pruned")
WINDOW = 300.0  # seconds over which a rate is measured
PAUSE = 2.0  # seconds between two looks, at least
SHARE = 10  # times as long as a look took
QUIET = 60.0  # seconds after which a line is printed though nothing has changed but epochs


@dataclass
class Pace:
    """How fast a sweep trains, from what was seen of it.

    Attributes:
        epochs: finished ones, by trial's key.
        longest: that a trial may have (trainer.max_epochs), by trial's key.
        seen: (time in seconds, finished epochs of all trials).
    """

    epochs: dict[str, int] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, trials: Sequence[Trial], *, now: float) -> None:
        for trial in trials:
            self.epochs[trial.key] = max(len(trial.curve), self.epochs.get(trial.key, 0))
        self.seen.append((now, sum(self.epochs.values())))
        while len(self.seen) > 2 and self.seen[0][0] < now - WINDOW:
            self.seen.popleft()

    def of_a_trial(self, trials: Sequence[Trial]) -> float:
        """Epochs that a trial takes: the mean of those that are over, or else what they may have; 0 where neither is known."""
        over = [trial.metrics["epochs"] for trial in trials if trial.status in OVER and "epochs" in trial.metrics]
        known = over or [*self.longest.values()]
        return sum(known) / len(known) if known else 0.0

    def rate(self, trials: Sequence[Trial]) -> float:
        """Epochs a second: those that were seen to end, or, before any was, by the times of the trials that are done; or 0."""
        (since, before), (now, after) = self.seen[0], self.seen[-1]
        if after > before and now - since > PAUSE:
            return (after - before) / (now - since)
        timed = [trial.metrics for trial in trials if {"epochs", "training/seconds"} <= trial.metrics.keys()]
        seconds = sum(metrics["training/seconds"] for metrics in timed)
        abreast = sum(trial.status == "running" for trial in trials)
        return abreast * sum(metrics["epochs"] for metrics in timed) / seconds if seconds else 0.0

    def left(self, trials: Sequence[Trial], *, ahead: int) -> float:
        """Epochs that are still to be trained, of those that run and of `ahead` more trials."""
        each = self.of_a_trial(trials)
        running = [trial for trial in trials if trial.status == "running"]
        started = sum(max(0.0, each - self.epochs.get(trial.key, 0)) for trial in running)
        return started + ahead * each

    def describe(self, trials: Sequence[Trial], *, ahead: int) -> str:
        """E.g. "37 epochs, 1.2 epochs/s, 41 trials/h, 0:22:10 to go"."""
        said = [f"{self.seen[-1][1]} epochs"]
        if not any(trial.status in ACTIVE for trial in trials) and not ahead:
            return said[0]
        if rate := self.rate(trials):
            said.append(f"{rate:.3g} epochs/s")
            if each := self.of_a_trial(trials):
                said.append(f"{3600 * rate / each:.3g} trials/h")
                said.append(f"about {datetime.timedelta(seconds=round(self.left(trials, ahead=ahead) / rate))} to go")
        return ", ".join(said)


def watch(root: Path, name: str, *, table: Callable[[Sequence[Trial]], list[str]]) -> None:
    """Show the sweep until it ends: on a terminal the same lines anew, elsewhere a line where something has changed.

    table: the lines that show trials. Ctrl-C ends this and leaves the sweep alone.
    """
    screen, pace = Screen(), Pace()
    try:
        while not sweeps.find(root, name).commands:
            if not sweeps.driver(sweeps.find(root, name)):
                screen.say(f"{name}: not started")
                return
            time.sleep(PAUSE)
        follow(root, name, pace, screen, table, searched=searched_trials(sweeps.find(root, name)))
    except KeyboardInterrupt:
        print(f"\n{name}: no longer watched; the sweep is left alone", flush=True)


def follow(
    root: Path, name: str, pace: Pace, screen: "Screen", table: Callable[[Sequence[Trial]], list[str]], *, searched: int
) -> None:
    """Show the sweep until it ends."""
    while True:
        begun = time.monotonic()
        sweep = sweeps.find(root, name)  # a later command of its name may have asked for more
        driven = bool(sweeps.driver(sweep))
        trials = status.find_trials(sweep)
        for trial in trials:
            if trial.status == "running" and trial.key not in pace.longest and (most := longest(sweep, trial)):
                pace.longest[trial.key] = most
        pace.note(trials, now=begun)
        ahead = sum(trial.status in (AHEAD if driven else ("queued",)) for trial in trials)
        ahead = max(ahead, searched - sum(trial.status not in AHEAD for trial in trials)) if driven else ahead
        said = f"{name}: {status.count_statuses(trials)}; {pace.describe(trials, ahead=ahead)}"
        screen.show(said, status.count_statuses(trials), table(trials))
        if not driven and not any(trial.status in ACTIVE for trial in trials):
            return
        time.sleep(max(PAUSE, SHARE * (time.monotonic() - begun)))


def searched_trials(sweep: Sweep) -> int:
    """How many trials a search makes in all, by its last command; 0 of a grid, whose trials are known."""
    if sweep.trials or not sweep.commands:
        return 0
    return int(compose.hydra_settings(sweep.conf, sweep.commands[-1]).sweeper.get("n_trials") or 0)


def longest(sweep: Sweep, trial: Trial) -> int:
    """trainer.max_epochs of a trial, by what it wrote down; 0 where that is on another machine, or can't be read."""
    try:
        return resolved.load(sweep.trial_folder(trial.key)).trainer.max_epochs
    except UserError:
        return 0


class Screen:
    """A terminal, whose lines are drawn anew, or something else, which gets a line now and then."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.lines = 0  # that stand on the terminal
        self.counts = self.said = ""  # of the line that was printed last elsewhere, and when that was
        self.at = 0.0

    def show(self, said: str, counts: str, table: list[str]) -> None:
        """counts: what has to change for a line elsewhere, where it's not yet a while since the last."""
        if self.terminal:
            columns, rows = shutil.get_terminal_size()
            shown = [said, *table]
            if len(shown) > rows - 2:
                shown = [*shown[: rows - 3], f"  and {len(shown) - (rows - 3)} more"]
            back = f"\x1b[{self.lines}F\x1b[J" if self.lines else ""
            print(back + "\n".join(line[: columns - 1] for line in shown), flush=True)
            self.lines = len(shown)
        elif counts != self.counts or (said != self.said and time.monotonic() - self.at >= QUIET):
            self.counts, self.at, self.said = counts, time.monotonic(), said
            print(f"{datetime.datetime.now():%H:%M:%S} {said}", flush=True)

    def say(self, line: str) -> None:
        """A line by itself, below all that was shown."""
        print(line, flush=True)
        self.lines = 0
