"""The order and the menu become the receipt: results/config.yaml."""

from pathlib import Path

from filterlab.config import compose


def run(root: Path) -> None:
    """Read params.yaml and conf/, write results/config.yaml. Raises ConfigError with every fault found."""
    order = compose.read_order(root / "params.yaml")
    config = compose.compose(root / "conf", compose.to_overrides(order))
    receipt = root / compose.RECEIPT
    receipt.parent.mkdir(exist_ok=True)
    receipt.write_text(compose.dump(config), encoding="utf-8")
