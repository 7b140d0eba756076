"""`filterlab train`: one training by Hydra's own command line, over the same composition as the pipeline's."""

import contextlib
import io
import itertools
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from filterlab.config import bounds, compose
from filterlab.errors import ConfigError, UserError, explain
from filterlab.repository import find_root
from filterlab.stages.train import train

HELP = """usage: filterlab train [menu=option ...] [key=value ...] [flags]

One training: what params.yaml orders, but for what is said here. Results go to a folder below runs/, and to MLflow.

  filterlab train model=mlp optimizer.lr=3e-3       another option of a menu, another value
  filterlab train experiment=none                   without params.yaml: conf/ alone (but for the seed)
  filterlab train -m model=mlp,cnn seed=0,1,2       one training for each of the six combinations

Menus
{menus}

Flags
  --cfg job           print the configuration, with every key there is, and train nothing
  -m, --multirun      a training for each combination of values
  --hydra-help        Hydra's other flags
  -sc install=bash    tab completion: eval "$(filterlab train -sc install=bash)"
"""


def main(arguments: Sequence[str]) -> None:
    """Train what the order and then `arguments` say; results go to a folder below runs/, and to MLflow."""
    root = find_root(Path.cwd())
    conf = root / "conf"
    given = get_args_parser().parse_intermixed_args(list(arguments))
    if given.help:
        print(HELP.format(menus="\n".join(f"  {menu:<12}{', '.join(compose.options(conf, menu))}" for menu in compose.MENUS)))
        return
    program = str(Path(sys.argv[0]).absolute())
    os.chdir(root)
    compose.register()
    started = given.shell_completion or given.hydra_help
    sys.argv = [program, *(arguments if started else order(conf, arguments, given))]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach the command line, which explains them
    run = hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(job)
    try:
        with completion() if given.shell_completion else contextlib.nullcontext():
            run()
    except HydraException as error:
        raise ConfigError([compose.explanation(error)]) from error


@contextlib.contextmanager
def completion() -> Iterator[None]:
    """Hydra completes what follows the program's name, so the verb goes; and the schema's groups are not for users."""
    os.environ["COMP_LINE"] = os.environ.get("COMP_LINE", "").replace(" train ", " ", 1)
    with contextlib.redirect_stdout(io.StringIO()) as answer:
        yield
    print(re.sub(r"\bschema\S* ?", "", answer.getvalue()), end="")


def order(conf: Path, arguments: Sequence[str], given: Namespace) -> list[str]:
    """Hydra's command line: what params.yaml and then `arguments` say. Raises ConfigError with the faults of all runs."""
    overrides = compose.to_overrides(compose.read_order(conf.parent / "params.yaml"), given.overrides)
    faults: dict[str, None] = {}
    for point in points(conf, overrides) if given.multirun else [overrides]:
        try:
            compose.compose(conf, point)
        except ConfigError as error:
            faults |= dict.fromkeys(error.faults)
    if faults:
        raise ConfigError(list(faults))
    return [*overrides, *(argument for argument in arguments if argument not in given.overrides)]


def points(conf: Path, overrides: Sequence[str]) -> Iterator[list[str]]:
    """The overrides of each run of a sweep; a key that a sweeper draws from an interval is left out."""
    axes: list[list[str]] = []
    for override in compose.parse(overrides):
        key, swept = override.get_key_element(), override.value()
        if isinstance(swept, Glob):
            axes.append([f"{key}={option}" for option in swept.filter(compose.options(conf, key))])
        elif override.is_discrete_sweep():
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            axes.append([str(override.input_line)])
    return map(list, itertools.product(*axes))


def job(composed: DictConfig) -> None:
    """What Hydra runs: once, or once for each point of a sweep."""
    config = compose.to_config(composed)
    if faults := bounds.check(config):
        raise ConfigError(faults)
    job = HydraConfig.get()
    sys.argv[1:] = job.overrides.task  # Lightning gives it to the other processes of ddp: this run alone, not the sweep
    out = Path(job.runtime.output_dir)
    receipt = out / compose.RECEIPT
    receipt.parent.mkdir(parents=True, exist_ok=True)
    receipt.write_text(compose.dump(config), encoding="utf-8")
    try:
        train(config, root=Path.cwd(), out=out)
    except (UserError, OSError, KeyboardInterrupt) as error:
        if job.mode == RunMode.MULTIRUN:
            raise
        sys.exit(explain(error))  # past Hydra, which would add a line of its own
