"""A search's training stops where Optuna's pruner says so, by what the store knows of the others."""

from pathlib import Path

import pytest

from filterlab.sweeps.pruning import make_stopper, should_prune
from filterlab.sweeps.status import KEY
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import Found, NullRun

CURVES = {
    "a": [0.5, 0.7, 0.8],
    "b": [0.4, 0.6, 0.9],
    "c": [0.6, 0.7, 0.7],
    "d": [0.5, 0.6, 0.7],
    "e": [0.3, 0.8, 0.9],
    "f": [0.9],
}
STATES = dict.fromkeys("abcde", "FINISHED") | {"f": "RUNNING"}


class Store(NullRun):
    """A search's store as a training in it sees it; its own run is "me"."""

    id = "me"

    def search(self, where: str) -> list[Found]:
        assert "tags.`filterlab.sweep` = 'hunt'" in where and "'parent'" in where
        runs = [*STATES.items(), ("me", "RUNNING")]
        return [Found(run, run, status, 0, 1, {}, {}, {KEY: run, "swept.optimizer.lr": run}) for run, status in runs]

    def curves(self, run_ids: list[str], metric: str) -> dict[str, list[tuple[int, float]]]:
        assert metric == "validation/accuracy" and "me" not in run_ids
        return {run: [*enumerate(CURVES[run], start=1)] for run in run_ids}


class Epoch:
    def __init__(self, accuracy: float):
        self.metrics = {"validation/accuracy": accuracy}


@pytest.mark.parametrize("pruner", ["median", "halving"])
@pytest.mark.parametrize("mine", [[0.1], [0.5, 0.65], [0.55, 0.7], [0.6, 0.9], [0.2, 0.3, 0.4]], ids=str)
def test_as_the_pruner_says(tmp_path: Path, pruner: str, mine: list[float]) -> None:
    sweep = Sweep(tmp_path / "hunt", parent="parent", swept=["optimizer.lr"], pruner=pruner, warmup=0)
    stop = make_stopper(sweep)
    others = [CURVES[run] for run in CURVES if pruner == "halving" or STATES[run] == "FINISHED"]
    expected = should_prune(mine, others, direction="maximize", pruner=pruner, warmup=0)
    assert stop(Store(), [Epoch(0), *map(Epoch, mine)][1:]) == expected
    assert stop(Store(), [Epoch(accuracy) for accuracy in mine]) == expected, "asked again, with what it remembers"


def test_the_median_stops_the_worse_half(tmp_path: Path) -> None:
    stop = make_stopper(Sweep(tmp_path / "hunt", parent="parent", swept=["optimizer.lr"], pruner="median", warmup=0))
    assert stop(Store(), [Epoch(0.45)]) and not stop(Store(), [Epoch(0.55)])
