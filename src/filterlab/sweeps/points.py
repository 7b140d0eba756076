"""From a sweep's words to its points: every combination, composed and checked before anything is launched."""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, RangeSweep
from omegaconf import DictConfig

from filterlab.config import compose, resolved, schema
from filterlab.errors import ConfigError
from filterlab.sweeps import frozen

MOST = 10_000  # trainings that one sweep may ask for
GRID, SEARCH = "grid", "optuna"  # the sweepers; a search makes its points up as it goes


@dataclass(frozen=True)
class Plan:
    """What a command asks for.

    Attributes:
        keys: those with several values.
        searched: by a sweeper that draws its points; `points` then holds a few, with every choice and both ends of each interval.
        points: overrides and configuration of each point, by `sweeps.key`.
        tracking: the section that all points have.
        settings: of the sweeper.
        launcher: settings of the launcher.
    """

    keys: list[str]
    searched: bool
    points: dict[str, tuple[list[str], schema.Config]]
    tracking: schema.Tracking
    settings: DictConfig
    launcher: DictConfig

    @property
    def data(self) -> list[schema.Data]:
        """The data that the points ask for."""
        return frozen.sections(config for _, config in self.points.values())


def with_parameters(conf: Path, parameters: dict[str, Any], given: Sequence[str]) -> list[str]:
    """The parameters and then the words. An experiment's own sweep comes before params.yaml's seed, as all its choices do."""
    words = compose.to_overrides(parameters, given)
    brought = compose.hydra_settings(conf, words).sweeper.get("params") or {}
    return [word for word in words if word in given or word.partition("=")[0] not in brought]


def plan(conf: Path, overrides: Sequence[str]) -> Plan:
    """Raises ConfigError with the faults of all points together."""
    settings = compose.hydra_settings(conf, overrides)
    brought = {str(key): f"{key}={values}" for key, values in (settings.sweeper.get("params") or {}).items()}
    parsed = compose.parse(overrides)
    given = {override.get_key_element() for override in parsed}
    if hydras := [override.input_line for override in compose.parse(list(brought.values())) if compose.is_hydras(override)]:
        raise ConfigError([f"hydra.sweeper.params: {hydras[0]} is no value of a training; an experiment sweeps values"])
    words = [*(line for key, line in brought.items() if key not in given), *overrides]
    keys = [override.get_key_element() for override in compose.parse(words) if override.is_sweep_override()]
    if not keys:
        raise ConfigError(["--multirun, but no key has several values: say e.g. seed=0,1,2, or leave --multirun out"])
    sweeper = settings.runtime.choices["hydra/sweeper"]
    if sweeper not in (GRID, SEARCH):
        raise ConfigError([f"hydra/sweeper={sweeper}: expected {GRID} (the default) or {SEARCH}, which know what is done"])
    searched = sweeper == SEARCH
    faults: dict[str, None] = {
        f"{override.input_line}: Hydra's own settings are the same for the whole sweep; give one value": None
        for override in parsed
        if compose.is_hydras(override) and override.is_sweep_override()
    }
    found: dict[str, tuple[list[str], schema.Config]] = {}
    compose_point = compose.Composer(conf)
    for point in corners(conf, words, settings.sweeper) if searched else combinations(conf, words):
        try:
            config = compose_point(point)
        except ConfigError as error:
            faults |= dict.fromkeys(error.faults)
            continue
        found.setdefault(resolved.key(config), (point, config))
    tracking = {str(config.tracking): config.tracking for _, config in found.values()}
    if len(tracking) > 1:
        faults["tracking can't be swept: a sweep lives in one store"] = None
    if any(section.backend == "off" for section in tracking.values()):
        faults["tracking is off: a sweep is remembered by its store; choose tracking=local or tracking=server"] = None
    if faults:
        raise ConfigError(list(faults))
    return Plan(
        keys, searched, found, tracking=next(iter(tracking.values())), settings=settings.sweeper, launcher=settings.launcher
    )


def corners(conf: Path, overrides: Sequence[str], settings: DictConfig) -> list[list[str]]:
    """Overrides of a search that hold every choice and both ends of each interval. Raises ConfigError: it can't be searched."""
    from filterlab.sweeps import search
    from filterlab.sweeps.space import ends, space

    search.check(settings)
    parsed = [override for override in compose.parse(overrides) if not compose.is_hydras(override)]
    searched, fixed = space(parsed, options=lambda group: compose.options(conf, group))
    return [fixed + end for end in ends(searched)]


def combinations(conf: Path, overrides: Sequence[str]) -> Iterator[list[str]]:
    """The overrides of each point, but for Hydra's own.

    Raises ConfigError: a key has an empty range of values, or an interval, of which a grid knows no points.
    """
    axes: list[list[str]] = []
    faults: list[str] = []
    for override in compose.parse(overrides):
        key, given = override.get_key_element(), override.value()
        if compose.is_hydras(override):
            continue
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


def check_launcher(plan: Plan) -> None:
    """Raises UserError where the launcher can't start a job on this machine, by its module's own `check_machine`."""
    module = sys.modules[plan.launcher["_target_"].rpartition(".")[0]]  # Hydra has imported its plugins
    if check := getattr(module, "check_machine", None):
        check()
