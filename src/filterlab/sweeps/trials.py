"""The trials that a sweep's overrides ask for, composed and checked before anything is launched."""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Glob, Override, RangeSweep
from omegaconf import DictConfig

from filterlab.config import compose, resolved, schema
from filterlab.errors import ConfigError
from filterlab.sweeps import frozen

if TYPE_CHECKING:
    from filterlab.sweeps.space import Space

MOST = 10_000  # trainings that one sweep may ask for
GRID, SEARCH = "grid", "optuna"  # the sweepers


@dataclass(frozen=True)
class SweepConfig:
    """What the overrides of a sweep ask for.

    Attributes:
        keys: those with several values.
        trials: overrides and configuration of each trial, by `resolved.key`; of a search a few, which hold every choice and
            both ends of each interval.
        tracking: the section that all trials have.
        sweeper, launcher: settings of Hydra's sweeper and launcher.
        space: what a search draws from; None for a grid.
        fixed, metric: a search's other overrides, and its objective.
    """

    keys: list[str]
    trials: dict[str, tuple[list[str], schema.Config]]
    tracking: schema.Tracking
    sweeper: DictConfig
    launcher: DictConfig
    space: "Space | None" = None
    fixed: list[str] = field(default_factory=list)
    metric: str = ""

    @property
    def data(self) -> list[schema.Data]:
        """The data sections of the trials, each once."""
        return frozen.unique_data(config for _, config in self.trials.values())


def add_parameters(conf: Path, parameters: dict[str, Any], given: Sequence[str]) -> list[str]:
    """The parameters as overrides, then the given ones. An experiment's own sweep replaces params.yaml's seed."""
    overrides = compose.to_overrides(parameters, given)
    params = compose.hydra_settings(conf, overrides).sweeper.get("params") or {}
    return [override for override in overrides if override in given or override.partition("=")[0] not in params]


def compose_sweep(conf: Path, given: Sequence[str]) -> SweepConfig:
    """Raises ConfigError with the faults of all trials together."""
    settings = compose.hydra_settings(conf, given)
    sweeper = settings.runtime.choices["hydra/sweeper"]
    overrides = expand(settings, given)
    parsed = [override for override in compose.parse(overrides) if not compose.is_hydras(override)]
    keys = [override.get_key_element() for override in parsed if override.is_sweep_override()]
    faults = {
        f"{override.input_line}: Hydra's own settings are the same for the whole sweep; give one value": None
        for override in compose.parse(given)
        if compose.is_hydras(override) and override.is_sweep_override()
    }
    if not keys and not faults:
        raise ConfigError(["--multirun, but no key has several values: say e.g. seed=0,1,2, or leave --multirun out"])
    if sweeper not in (GRID, SEARCH):
        raise ConfigError([f"hydra/sweeper={sweeper}: expected {GRID} (the default) or {SEARCH}, which know what is done"])
    space, fixed, metric = None, list[str](), ""
    candidates: Iterator[list[str]] | list[list[str]]
    if sweeper == GRID:
        candidates = grid(conf, parsed)
    else:
        from filterlab.sweeps.search import check_settings
        from filterlab.sweeps.space import corners, read_space

        metric = check_settings(settings.sweeper)
        space, fixed = read_space(parsed, options=lambda group: compose.options(conf, group))
        candidates = [fixed + corner for corner in corners(space)]
    trials: dict[str, tuple[list[str], schema.Config]] = {}
    compose_trial = compose.Composer(conf)
    for candidate in candidates:
        try:
            config = compose_trial(candidate)
        except ConfigError as error:
            faults |= dict.fromkeys(error.faults)
        else:
            trials.setdefault(resolved.key(config), (candidate, config))
    tracking = {str(config.tracking): config.tracking for _, config in trials.values()}
    if len(tracking) > 1:
        faults["tracking can't be swept: a sweep lives in one store"] = None
    if faults:
        raise ConfigError(list(faults))
    return SweepConfig(keys, trials, next(iter(tracking.values())), settings.sweeper, settings.launcher, space, fixed, metric)


def expand(settings: DictConfig, given: Sequence[str]) -> list[str]:
    """The sweep that an experiment brings (hydra.sweeper.params) but for keys that are given, then the given overrides."""
    params = {str(key): f"{key}={values}" for key, values in (settings.sweeper.get("params") or {}).items()}
    if hydras := [override.input_line for override in compose.parse(list(params.values())) if compose.is_hydras(override)]:
        raise ConfigError([f"hydra.sweeper.params: {hydras[0]} is no value of a training; an experiment sweeps values"])
    keys = {override.get_key_element() for override in compose.parse(given)}
    return [*(line for key, line in params.items() if key not in keys), *given]


def grid(conf: Path, overrides: Sequence[Override]) -> Iterator[list[str]]:
    """The overrides of each combination of values.

    Raises ConfigError: a key has an empty range of values, or an interval, of which a grid takes no values.
    """
    axes: list[list[str]] = []
    faults: list[str] = []
    for override in overrides:
        key, given = override.get_key_element(), override.value()
        if isinstance(given, Glob):
            axes.append([f"{key}={option}" for option in given.filter(compose.options(conf, key))])
        elif isinstance(given, RangeSweep) and len(list(itertools.islice(given.range(), MOST + 1))) > MOST:
            faults.append(f"{override.input_line}: more than {MOST:,} values, expected at most {MOST:,} trainings in a sweep")
            continue
        elif override.is_discrete_sweep():
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            axes.append([str(override.input_line)])
        else:
            faults.append(
                f"{override.input_line}: a grid draws nothing from an interval; list values, e.g. {key}=a,b, "
                "or search it: add hydra/sweeper=optuna"
            )
            continue
        if not axes[-1]:
            faults.append(f"{override.input_line}: no value in it; expected at least one, e.g. {key}=range(0,3)")
    if (asked := math.prod(map(len, axes))) > MOST:
        faults.append(f"these are {asked:,} trainings, expected at most {MOST:,} in a sweep")
    if faults:
        raise ConfigError(faults)
    return map(list, itertools.product(*axes))


def check_launcher(config: SweepConfig) -> None:
    """Raises UserError where the launcher can't start a job on this machine, by its module's own `check_machine`."""
    module = sys.modules[config.launcher["_target_"].rpartition(".")[0]]  # Hydra has imported its plugins
    if check := getattr(module, "check_machine", None):
        check()
