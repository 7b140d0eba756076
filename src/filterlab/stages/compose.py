"""The order and the menu become the receipt: results/config.yaml."""

from pathlib import Path

from filterlab import files
from filterlab.config import compose


def run(root: Path) -> None:
    """Read params.yaml and conf/, write results/config.yaml.

    Raises ConfigError with every fault found, DataError where the receipt can't be written.
    """
    order = compose.read_order(root / "params.yaml")
    config = compose.compose(root / "conf", compose.to_overrides(order))
    files.write(root / compose.RECEIPT, compose.dump(config))
