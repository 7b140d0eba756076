"""A search's training stops where Optuna's pruner says so, by the records of the others."""

from dataclasses import asdict
from pathlib import Path

import pytest

from filterlab import seal
from filterlab.study.trial import Trial
from filterlab.sweeps.pruning import make_stopper, should_prune
from filterlab.sweeps.record import RECORD
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import process

CURVES = {
    "a": [0.5, 0.7, 0.8],
    "b": [0.4, 0.6, 0.9],
    "c": [0.6, 0.7, 0.7],
    "d": [0.5, 0.6, 0.7],
    "e": [0.3, 0.8, 0.9],
    "f": [0.9],
}
STATUSES = dict.fromkeys("abcde", "done") | {"f": "running"}


class Epoch:
    def __init__(self, accuracy: float):
        self.metrics = {"validation/accuracy": accuracy}


def hunt(folder: Path, pruner: str) -> Sweep:
    """A search with those trials, and its own, "me"."""
    sweep = Sweep(folder, swept=["optimizer.lr"], pruner=pruner, warmup=0)
    for key, curve in (CURVES | {"me": [0.9, 0.9]}).items():
        trial = Trial(key, {"optimizer.lr": key}, STATUSES.get(key, "running"), curve=curve)
        seal.write(sweep.trial_folder(key) / RECORD, asdict(trial) | {"process": process.tags()})
    return sweep


@pytest.mark.parametrize("pruner", ["median", "halving"])
@pytest.mark.parametrize("mine", [[0.1], [0.5, 0.65], [0.55, 0.7], [0.6, 0.9], [0.2, 0.3, 0.4]], ids=str)
def test_as_the_pruner_says(tmp_path: Path, pruner: str, mine: list[float]) -> None:
    stop = make_stopper(hunt(tmp_path / "hunt", pruner), key="me")
    others = [CURVES[key] for key in CURVES if pruner == "halving" or STATUSES[key] == "done"]
    expected = should_prune(mine, others, direction="maximize", pruner=pruner, warmup=0)
    assert stop([Epoch(0), *map(Epoch, mine)][1:]) == expected
    assert stop([Epoch(accuracy) for accuracy in mine]) == expected, "asked again, with what it remembers"


def test_the_median_stops_the_worse_half(tmp_path: Path) -> None:
    stop = make_stopper(hunt(tmp_path / "hunt", "median"), key="me")
    assert stop([Epoch(0.45)]) and not stop([Epoch(0.55)])
