"""`filterlab sync`: send what trainings have logged without a store, from here or from where it was copied to."""

from collections.abc import Sequence
from pathlib import Path

from filterlab.config import compose
from filterlab.errors import UserError
from filterlab.repository import find_root, home
from filterlab.tracking import sync


def run(paths: Sequence[str], *, to: str, watch: bool) -> None:
    """See `sync.sync`. Spools that were begun offline go to the store that params.yaml names, or to the local one."""
    if to and not to.startswith(("http://", "https://")):
        raise UserError(
            f"--to {to}: expected a server's address, e.g. http://127.0.0.1:5000; without it, each goes to its own store"
        )
    try:
        root = find_root(Path.cwd())
    except UserError:
        if not paths:
            raise
        sync.sync([*map(Path, paths)], sync.Target("offline", "", ""), home=None, to=to, watch=watch)
        return
    settings = compose.compose(root / "conf", compose.to_overrides(compose.read_parameters(root / "params.yaml"))).tracking
    sync.sync([*map(Path, paths)], settings, home=home(root), to=to, watch=watch)
