"""More GPUs than there are: said before anything is computed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from filterlab.errors import UserError
from filterlab.stages.train import train
from filterlab.training import devices

DDP = ["trainer=ddp", "trainer.devices=2"]


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
