"""A sweep that runs is watched, is cancelled, and goes on: one trial after another, and side by side."""

import dataclasses
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from filterlab import seal
from filterlab.sweeps import cancel
from filterlab.sweeps import sweep as sweeps

LONG = ["trainer.max_epochs=100000", "trainer.patience=100000"]
EPOCHS = (
    "select max(step) from metrics m join tags t on t.run_uuid = m.run_uuid and t.key = 'filterlab.trial' "
    "where m.key = 'validation/loss' group by m.run_uuid"
)


@pytest.fixture
def project(make_project: Callable[[], Any]) -> Iterator[Any]:
    """With an interpreter of its own: one that was forked from another has other processes around it."""
    made = make_project()
    environment = made.environment | {"PATH": os.environ["PATH"]}
    made = dataclasses.replace(made, python=Path(sys.executable), environment=environment)
    yield made
    for process in of_sweeps(made):
        process.kill()


def of_sweeps(project: Any) -> list[psutil.Process]:
    """All processes of the project's sweeps, those that record among them."""
    found = []
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get(sweeps.VARIABLE, "").startswith(str(project.root)):
            found.append(process)
    return found


def until(condition: Callable[[], Any], *, what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def trained(project: Any, trials: int) -> bool:
    """Whether so many trials have logged three epochs."""
    try:
        return sum(epochs >= 3 for (epochs,) in project.ask(EPOCHS)) >= trials
    except sqlite3.OperationalError:  # no store yet
        return False


def test_watched_cancelled_and_gone_on_with(project: Any) -> None:
    words = ["train", "-m", "--sweep", "long", "--detach", "seed=0,1", *LONG]
    project.run(*words)
    until(lambda: trained(project, 1), what="epochs of the first trial")
    watching = project.start("sweep", "status", "long", "--watch", PYTHONUNBUFFERED="1")
    first = watching.stdout.readline()
    assert "long: 1 running, 1 not started; " in first and " epochs" in first, first
    watching.send_signal(signal.SIGINT)
    rest, errors = watching.communicate(timeout=60)
    assert watching.returncode == 0 and rest.endswith("long: no longer watched; the sweep is left alone\n"), errors
    (number,) = [process.pid for process in of_sweeps(project) if "--drive" in process.cmdline()]
    assert f"sweep long: process {number} ended; the same command goes on with it\n" == project.here("sweep", "cancel", "long")
    assert of_sweeps(project) == []
    assert [*project.children().values()] == ["KILLED"]
    assert "long: 1 interrupted, 1 not started" in project.here("sweep", "status", "long")
    assert project.here("sweep", "cancel", "long") == "sweep long: nothing runs\n"
    assert not (project.root / "runs/long" / sweeps.DRIVER).exists()
    (before,) = project.ask(EPOCHS)
    project.run(*words)
    until(lambda: project.ask(EPOCHS) > [before], what="more epochs of the same run")
    assert "\ngoes on " in (project.root / "runs/long/driver.log").read_text()
    assert project.here("sweep", "cancel", "long").endswith(" ended; the same command goes on with it\n")
    assert [*project.children().values()] == ["KILLED"], "one run, still"


def test_trials_that_run_side_by_side(project: Any) -> None:
    """Each writes a checkpoint and is known as interrupted, and nothing else is begun on the way."""
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    project.run("train", "-m", "--sweep", "wide", "--detach", *launcher, "seed=range(6)", *LONG)
    until(lambda: trained(project, 2), what="epochs of two trials")
    said = project.here("sweep", "cancel", "wide")
    assert said.startswith("sweep wide: process ") and " below it ended" in said
    assert of_sweeps(project) == []
    assert [*project.children().values()] == ["KILLED", "KILLED"]
    assert "wide: 2 interrupted, 4 not started" in project.here("sweep", "status", "wide")
    assert len([*project.root.glob("checkpoints/*/epoch_*.ckpt")]) >= 2
    assert project.here("sweep", "cancel", "wide") == "sweep wide: nothing runs\n"


@pytest.fixture
def sweep(tmp_path: Path) -> sweeps.Sweep:
    made = sweeps.Sweep(tmp_path / "runs/s")
    made.save()
    return made


def test_a_record_of_a_process_that_is_gone_is_none(sweep: sweeps.Sweep) -> None:
    """Nor is one of another process of its number."""
    with sweeps.driven(sweep):
        tags = sweeps.driver(sweep)
        assert tags["filterlab.process"].startswith(f"{os.getpid()} ")
    assert sweeps.driver(sweep) == {}
    seal.write(sweep.folder / sweeps.DRIVER, tags | {"filterlab.process": f"{os.getpid()} 1.00"})
    assert sweeps.driver(sweep) == {}


def test_what_another_machine_runs_is_ended_there(sweep: sweeps.Sweep) -> None:
    elsewhere = {"filterlab.host": "elsewhere", "filterlab.process": "7 1.00", "filterlab.slurm_job": ""}
    seal.write(sweep.folder / sweeps.DRIVER, elsewhere)
    with pytest.raises(ValueError, match="sweep s is run by process 7 on elsewhere: give this command there"):
        cancel.end_processes(sweep)


def test_a_process_that_has_left_no_record_is_not_taken_for_none(sweep: sweeps.Sweep) -> None:
    assert cancel.end_processes(sweep) == []
    with (
        sweeps.locked(sweep),
        pytest.raises(ValueError, match="sweep s is run by a process that has not written down which it is"),
    ):
        cancel.end_processes(sweep)


def test_what_does_not_end_is_said(sweep: sweeps.Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "PATIENCE", 0.5)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); input()"
    deaf = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert deaf.stdout and deaf.stdout.readline()
    started = psutil.Process(deaf.pid).create_time()
    here = {"filterlab.host": socket.gethostname(), "filterlab.slurm_job": ""}
    seal.write(sweep.folder / sweeps.DRIVER, here | {"filterlab.process": f"{deaf.pid} {started:.2f}"})
    with pytest.raises(ValueError, match=f"has not ended 0 s after SIGTERM: process {deaf.pid}; kill -9 {deaf.pid}"):
        cancel.end_processes(sweep)
    deaf.kill()
    deaf.communicate()
