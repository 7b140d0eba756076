"""More GPUs than there are, or other processes than a training has: said before anything is computed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from filterlab.errors import UserError
from filterlab.stages.train import train
from filterlab.training import devices

DDP = ["trainer=ddp", "trainer.devices=2"]
SHELL = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "sh"}  # of salloc -n 4
TASK = {**SHELL, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"}  # of srun -n 4


@pytest.mark.parametrize(("given", "found"), [(["trainer=gpu"], 0), (DDP, 1), ([*DDP, "trainer.accelerator=gpu"], 1)])
def test_too_few_are_named(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], found: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    training = make_training(*given)
    asked = training.config.trainer
    expected = rf"accelerator is {asked.accelerator} and trainer.devices is {asked.devices}, but PyTorch finds {found} GPUs? here"
    for starts in (training, lambda folder: train(training.config, root=folder, out=folder)):
        with pytest.raises(UserError, match=expected + ": trainer=auto .* trainer=cpu"):
            starts(tmp_path)
    assert list(tmp_path.iterdir()) == [], "no run is begun"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["trainer=auto"], 0),
        (["trainer=auto"], 1),
        (["trainer=gpu"], 1),
        (["trainer=gpu"], 4),
        (DDP, 0),  # processes on the CPU
        (DDP, 2),
        ([*DDP, "trainer.accelerator=cpu"], 1),
    ],
)
def test_enough(make_training: Callable, monkeypatch: pytest.MonkeyPatch, given: list[str], found: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    devices.check(make_training(*given).config.trainer)


@pytest.mark.parametrize("variables", [SHELL, TASK, {"LOCAL_RANK": "1"}], ids=["salloc", "srun", "rank"])
def test_on_one_device_the_processes_of_others_are_of_no_matter(
    make_training: Callable, bits_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Whatever an allocation is for, and whichever of srun's copies this is: it trains, to the same bits, and writes."""
    training = make_training("trainer.max_epochs=2")
    expected = bits_of(training(tmp_path / "alone"))
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert bits_of(training(tmp_path / "one of several")) == expected
    assert (tmp_path / "one of several/epoch_2.ckpt").exists()
    assert devices.is_main(training.config.trainer)


def test_copies_of_a_training_on_several_devices_are_refused(make_training: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would start the others. The tasks that our launcher starts have their ranks."""
    settings = make_training(*DDP, "trainer.accelerator=cpu").config.trainer
    for name, text in TASK.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(UserError, match=r"^srun started 4 copies of this command, .* \(trainer\.devices is 2\) starts its"):
        devices.check(settings)
    monkeypatch.setenv("LOCAL_RANK", "2")
    devices.check(settings)
    assert devices.started_by_slurm(settings) and not devices.is_main(settings)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")  # a process that Lightning started, in a shell of salloc's
    assert not devices.started_by_slurm(settings)


def test_arguments_of_lightnings_trainer_in_the_environment_are_refused(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would change the training, and nothing would show it."""
    monkeypatch.setenv("PL_TRAINER_LIMIT_TRAIN_BATCHES", "1")
    with pytest.raises(UserError, match="unset PL_TRAINER_LIMIT_TRAIN_BATCHES; what a training does is in the sections trainer"):
        devices.check(make_training().config.trainer)
