"""Schedules against PyTorch's OneCycleLR and against closed forms."""

import math

import pytest
import torch

from filterlab.config import schema
from filterlab.training.schedules import Constant, Cosine, OneCycle, Step


@pytest.mark.parametrize("steps", [20, 137, 1000])
@pytest.mark.parametrize(("warmup", "start", "end"), [(0.3, 25.0, 1e4), (0.1, 5.0, 100.0)])
def test_one_cycle_is_torchs(steps: int, warmup: float, start: float, end: float) -> None:
    peak = 0.7
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        sgd, peak, total_steps=steps, pct_start=warmup, div_factor=start, final_div_factor=end, cycle_momentum=False
    )
    ours = OneCycle("one_cycle", warmup, start, end).build(steps=steps, steps_per_epoch=steps)
    for step in range(steps):
        assert peak * ours(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12, rel=0), step
        if step < steps - 1:
            sgd.step()
            theirs.step()
    assert ours(0) == pytest.approx(1 / start, abs=1e-12)
    assert ours(steps - 1) == pytest.approx(1 / (start * end), abs=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_cosine_rises_in_a_line_and_falls_along_a_cosine(warmup: float) -> None:
    steps, floor = 101, 0.1
    ours = [Cosine("cosine", warmup, floor).build(steps=steps, steps_per_epoch=10)(step) for step in range(steps)]
    rise = warmup * steps
    for step, found in enumerate(ours):
        if step < rise:
            assert found == pytest.approx((step + 1) / (rise + 1), abs=1e-12)
        else:
            share = (step - rise) / (steps - 1 - rise)
            assert found == pytest.approx(floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2, abs=1e-12)
    assert ours[-1] == pytest.approx(floor, abs=1e-12)
    assert max(ours) == pytest.approx(1, abs=0.01)


def test_step_drops_at_every_so_many_epochs() -> None:
    ours = Step("step", 2, 0.1).build(steps=70, steps_per_epoch=10)
    assert [round(ours(step), 12) for step in (0, 19, 20, 39, 40, 60, 69)] == [1, 1, 0.1, 0.1, 0.01, 0.001, 0.001]


def test_constant_is_one() -> None:
    ours = Constant("constant").build(steps=5, steps_per_epoch=1)
    assert [ours(step) for step in range(6)] == [1.0] * 6


@pytest.mark.parametrize(
    "schedule",
    [
        Constant("constant"),
        OneCycle("one_cycle", 0.3, 25.0, 1e4),
        Cosine("cosine", 0.5, 0.0),
        Step("step", 1, 0.5),
    ],
    ids=lambda schedule: schedule.name,
)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_stay_within_bounds(schedule: schema.Schedule, steps: int) -> None:
    ours = schedule.build(steps=steps, steps_per_epoch=1)
    # one step past the last, where Lightning asks once more
    assert all(0 <= ours(step) <= 1 for step in range(steps + 1))
    assert ours(0) > 0
