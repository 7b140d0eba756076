"""`hydra/sweeper=grid`, the default, runs every combination of values; `hydra/sweeper=optuna` searches.

Hydra imports this at each start. What runs the trials is in `filterlab.sweeps.driver`.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

TARGET = "hydra_plugins.filterlab_sweepers.sweepers.TrialSweeper"


@dataclass
class GridConf:
    """hydra.sweeper, where it is `grid`.

    Attributes:
        params: key -> values in Hydra's syntax, as an experiment's file has them; the command line's overrides replace them.
    """

    _target_: str = TARGET
    params: dict[str, str] = field(default_factory=dict)


@dataclass
class OptunaConf(GridConf):
    """hydra.sweeper, where it is `optuna`.

    Attributes:
        n_trials: settings tried in all, those of earlier, interrupted starts included.
        n_jobs: trainings handed to the launcher at once; the search learns from them when all of them have ended.
        sampler: tpe or random.
        seed: of the sampler.
        pruner: which trainings are stopped early: median (worse than the median of those that are done, at the same
            epoch), halving (not among the best quarter), none.
        warmup: epochs in which no training is stopped.
        metric: what is sought: the highest best/validation/accuracy, /balanced_accuracy or /macro_f1, or the lowest /loss.
    """

    n_trials: int = 20
    n_jobs: int = 1
    sampler: str = "tpe"
    seed: int = 0
    pruner: str = "median"
    warmup: int = 1
    metric: str = "best/validation/accuracy"


for name, node in {"grid": GridConf, "optuna": OptunaConf}.items():
    ConfigStore.instance().store(group="hydra/sweeper", name=name, node=node, provider="filterlab")


class TrialSweeper(Sweeper):
    """Has the task function, a `filterlab.sweeps.driver.SweepTask`, run its trials by the launcher that is configured."""

    def __init__(self, **settings: Any):
        """The settings have been read by `filterlab.sweeps.trials.compose_sweep`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.task: Any = task_function
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        assert self.launcher is not None
        return self.task.run_trials(self.launcher.launch)
