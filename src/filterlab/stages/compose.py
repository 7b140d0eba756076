"""params.yaml and conf/ become the resolved config: results/config.yaml, and data/source/, which leads to the images it names."""

from pathlib import Path

from filterlab import files
from filterlab.config import compose, resolved
from filterlab.data import origin


def run(root: Path) -> None:
    """Read params.yaml and conf/, write results/config.yaml and data/source/.

    Raises ConfigError with every fault found, DataError where a file can't be written or the data's path leads nowhere.
    """
    parameters = compose.read_parameters(root / "params.yaml")
    config = compose.compose(root / "conf", compose.to_overrides(parameters))
    origin.lay_out(config.data, root)
    files.write(root / resolved.RESOLVED, resolved.dump(config))
