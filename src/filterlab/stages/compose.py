"""params.yaml and conf/ become the resolved config: results/config.yaml."""

from pathlib import Path

from filterlab import files
from filterlab.config import compose, resolved


def run(root: Path) -> None:
    """Read params.yaml and conf/, write results/config.yaml.

    Raises ConfigError with every fault found, DataError where results/config.yaml can't be written.
    """
    parameters = compose.read_parameters(root / "params.yaml")
    config = compose.compose(root / "conf", compose.to_overrides(parameters))
    files.write(root / resolved.RESOLVED, resolved.dump(config))
