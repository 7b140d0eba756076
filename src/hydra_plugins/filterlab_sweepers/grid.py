"""`hydra/sweeper=grid`, the default: every combination, but for those that are done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class GridSettings:
    """params: key -> values of a sweep that an experiment brings, in Hydra's syntax; the command line's come first."""

    _target_: str = "hydra_plugins.filterlab_sweepers.grid.GridSweeper"
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSettings, provider="filterlab")


class GridSweeper(Sweeper):
    """Launches what the sweep's store does not know as done, running, queued or failed."""

    def __init__(self, params: DictConfig):
        self.params = params  # already in the points that `driving` holds
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        from filterlab.sweeps.driver import driving

        assert self.launcher is not None
        todo = driving().todo()
        return self.launcher.launch(todo, initial_job_idx=0) if todo else []
