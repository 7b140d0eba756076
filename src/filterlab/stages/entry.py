"""`filterlab train`: one training by Hydra's own command line, over the same composition as the pipeline's."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from filterlab.config import bounds, compose
from filterlab.errors import ConfigError, UserError, explain
from filterlab.repository import find_root
from filterlab.stages.train import train

COMPLETION = {"-sc", "--shell-completion"}


def main(arguments: Sequence[str]) -> None:
    """Train what the order and then `arguments` say; results go to a folder below runs/, and to MLflow."""
    root = find_root(Path.cwd())
    os.chdir(root)
    compose.register()
    if COMPLETION.isdisjoint(arguments):
        said = [argument for argument in arguments if not argument.startswith("-") and ("=" in argument or argument[0] == "~")]
        overrides = compose.to_overrides(compose.read_order(root / "params.yaml"), said)
        if "-m" not in arguments and "--multirun" not in arguments:
            compose.compose(root / "conf", [line for line in overrides if not line.startswith("hydra")])
        flags = [argument for argument in arguments if argument not in said]
        sys.argv = ["filterlab", *overrides, *flags]
    else:
        # Hydra completes what follows the program's name.
        os.environ["COMP_LINE"] = os.environ.get("COMP_LINE", "").replace("filterlab train ", "filterlab ", 1)
        sys.argv = ["filterlab", *arguments]
    hydra.main(version_base="1.3", config_path=str(root / "conf"), config_name="config")(job)()


def job(composed: DictConfig) -> None:
    """What Hydra runs: once, or once for each point of a sweep."""
    config = compose.to_config(composed)
    if faults := bounds.check(config):
        raise ConfigError(faults)
    job = HydraConfig.get()
    out = Path(job.runtime.output_dir)
    receipt = out / compose.RECEIPT
    receipt.parent.mkdir(parents=True, exist_ok=True)
    receipt.write_text(compose.dump(config), encoding="utf-8")
    try:
        train(config, root=Path.cwd(), out=out)
    except (UserError, OSError, KeyboardInterrupt) as error:
        if job.mode == RunMode.MULTIRUN:
            raise
        sys.exit(explain(error))  # past Hydra, which would print a traceback of its own
