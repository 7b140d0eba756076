"""Whether a run's process lives: asked of this machine, or of SLURM in one call for all."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlab import slurm
from filterlab.slurm import queued_jobs
from filterlab.tracking import process

HERE = {process.HOST: socket.gethostname()}


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a squeue of a line of shell; the file it gives has a line for each call."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{Path(shutil.which('sh') or '').parent}")
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")

    def make(script: str) -> Path:
        path = tmp_path / "bin/squeue"
        path.write_text(f'#!/bin/sh\necho "$SQUEUE_STATES" >> {tmp_path}/calls\n{script}\n')
        path.chmod(0o755)
        return tmp_path / "calls"

    return make


def test_this_process_and_one_that_is_over() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    reused = {**process.tags(), process.PROCESS: f"{os.getpid()} 1.00"}
    assert process.alive([process.tags(), {**HERE, process.PROCESS: f"{ended.pid} 1.00"}, reused, {}]) == [
        True,
        False,
        False,
        True,
    ]


def test_slurm_is_asked_once_for_all(squeue: Callable[[str], Path]) -> None:
    """A user's own filter hides nothing, and a job of this machine is looked up here."""
    calls = squeue("printf '7 7_0|RUNNING\\n9 8_1|PENDING\\n10 8_2|CANCELLED\\n10 8_3|COMPLETED\\n'")
    away = {process.HOST: "elsewhere", process.PROCESS: "1 1.00"}
    tags = [{**away, process.JOB: job} for job in ("7", "9", "10", "")] + [{**process.tags(), process.JOB: "10"}]
    assert process.alive(tags) == [True, True, False, True, True]
    assert calls.read_text() == "\n"
    assert queued_jobs(["8_1", "8_2"]) == {"8_1"}


def test_one_number_of_a_task_that_ended_and_of_others_that_wait(squeue: Callable[[str], Path]) -> None:
    """Tasks that wait have the array's number, and so has one that ran: the job is held as long as one of them is."""
    squeue("printf '7 7_0|CANCELLED\\n7 7_1|PENDING\\n7 7_2|FAILED\\n'")
    assert queued_jobs(["7", "7_0", "7_1", "7_2"]) == {"7", "7_1"}


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 60"])
def test_a_controller_that_does_not_answer(squeue: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Whatever may run or wait is taken to: nothing is started twice."""
    squeue(script)
    monkeypatch.setattr(slurm, "TIMEOUT", 0.5)
    assert queued_jobs(["7"]) == {"7"}
    assert process.alive([{process.HOST: "elsewhere", process.JOB: "7"}]) == [True]


def test_a_run_that_goes_on_outside_of_slurm_leaves_its_job_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert process.tags()[process.JOB] == "7"
    monkeypatch.delenv("SLURM_JOB_ID")
    assert process.tags()[process.JOB] == ""
