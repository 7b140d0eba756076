"""The folder that a training's files go to: it belongs to one training alone."""

import datetime
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filterlab import files
from filterlab.config import compose, resolved, schema
from filterlab.errors import UserError
from filterlab.runs import facts


def make(parent: Path) -> Path:
    """A new folder named by the time; of several in the same second the later ones get a number. Raises DataError."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with files.blaming(parent, verb="write below"):
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = parent / (now if number == 1 else f"{now}_{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    raise AssertionError("unreachable: count() has no end")


def overrides_for(parent: Path, config: schema.Config, overrides: Sequence[str]) -> list[str]:
    """Overrides of Hydra's folders: it writes nothing but its log there, and the folder is a new one below `parent`.

    Raises UserError where the overrides name a folder that is another training's, as `check` does, or that is in the repository,
    but not below `parent`: stages and Git have what else is there, and DVC would delete it.
    """
    named = [word.value() for word in compose.parse(overrides) if word.get_key_element().lstrip("+") == "hydra.run.dir"]
    if named:
        _check_place(Path(str(named[-1])), parent)
        check(Path(str(named[-1])), resolved.dump(config))
        return ["hydra.output_subdir=null"]
    return ["hydra.output_subdir=null", f"hydra.run.dir={compose.quote(str(make(parent)))}"]


def _check_place(folder: Path, parent: Path) -> None:
    # By name: runs/ may be a link to a larger disk.
    place, runs = (Path(os.path.normpath(Path.cwd() / each)) for each in (folder, parent))
    if place.is_relative_to(runs.parent) and runs not in place.parents:
        raise UserError(
            f"hydra.run.dir is {folder}: in the repository the folder of a training lies below {runs.name}/, since stages, DVC "
            f"and Git have the others; e.g. hydra.run.dir={runs.name}/{place.name}, or a folder outside"
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """For the time of a training, no other training writes below `folder`. Raises UserError where another one does.

    Of a training in several processes, the one that writes holds it.
    """
    lock = folder / "results/.lock"
    busy = UserError(f"another training writes to {folder} (it holds {lock}): wait for its end, or choose another hydra.run.dir")
    with files.held(lock, otherwise=busy):
        yield


def check(folder: Path, text: str) -> None:
    """Raises UserError where it holds a training of another resolved config, or one that is finished; call it in `alone`.

    The very training that broke off there may go on.
    """
    path = folder / resolved.RESOLVED
    if not path.exists():
        return
    other = path.read_text(encoding="utf-8", errors="replace") != text
    if other or (folder / facts.RUN).exists():
        what = "another training's configuration" if other else "this very training, finished"
        raise UserError(f"{folder} holds {what}: a folder belongs to one run. Choose another hydra.run.dir, or leave it out")
