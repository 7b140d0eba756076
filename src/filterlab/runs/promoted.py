"""results/promoted.json: the run whose configuration was promoted last, so that the training of it leads back to that run."""

from pathlib import Path

from filterlab import seal
from filterlab.config import resolved, schema

MARK = Path("results/promoted.json")
PROMOTED = "filterlab.promoted_from"  # the tag of the run that was promoted


def mark(root: Path, run_id: str, config: schema.Config) -> None:
    """Record that the run, which had this configuration, was promoted. Raises DataError where it can't be written."""
    seal.write(root / MARK, {"run": run_id, "trial": resolved.key(config)})


def tags(root: Path, config: schema.Config) -> dict[str, str]:
    """The tag of the promoted run, for a training of its very configuration; {} for any other. Raises DataError: damaged."""
    if not (root / MARK).exists():
        return {}
    remedy = "`filterlab promote` writes it anew, or remove it: a training is then marked with no other"
    found = seal.read(root / MARK, remedy=remedy)
    return {PROMOTED: found["run"]} if found["trial"] == resolved.key(config) else {}
