"""Whether a search's training should stop early, by what the store knows of the others."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from filterlab.sweeps import survey
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import NullRun

if TYPE_CHECKING:
    from filterlab.training.history import Epoch

ASKED = {"median": ("done",), "halving": ("done", "pruned", "running", "interrupted", "failed")}  # whose curves count


def stopper(sweep: Sweep) -> "Callable[[NullRun, Sequence[Epoch]], bool] | None":
    """Given a training's run and its finished epochs, whether it stops here; None where the sweep prunes nothing."""
    if sweep.pruner == "none":
        return None
    metric, finished = sweep.metric.removeprefix("best/"), dict[str, list[float]]()

    def stop(record: NullRun, epochs: "Sequence[Epoch]") -> bool:
        from filterlab.sweeps.search import prune

        others = [
            point for point in survey.begun(sweep, record) if point.run_id != record.id and point.status in ASKED[sweep.pruner]
        ]
        fresh = record.curves([point.run_id for point in others if point.run_id not in finished], metric)
        curves = {run_id: [number for _, number in curve] for run_id, curve in fresh.items()}
        finished.update(
            {point.run_id: curves[point.run_id] for point in others if point.status == "done" and point.run_id in curves}
        )
        return prune(
            [epoch.metrics[metric] for epoch in epochs if epoch.metrics],
            [finished.get(point.run_id) or curves[point.run_id] for point in others],
            direction=f"{sweep.direction}imize",
            pruner=sweep.pruner,
            warmup=sweep.warmup,
        )

    return stop
