"""The formats of data sets by name: each module here is one, and says in NAMES what it is called."""

import importlib
import pkgutil
from collections.abc import Iterable

from filterlab.data.format import Format

FORMATS: dict[str, Format] = {
    name: format
    for module in pkgutil.iter_modules(__path__, f"{__name__}.")
    for name, format in importlib.import_module(module.name).NAMES.items()
}


def nearest(names: Iterable[str]) -> Format:
    """The format that has these files, or else most of them; IDX where none has any, as those that are made here."""
    asked = set(names)
    return max(FORMATS.values(), key=lambda format: (len(asked & {*format.published}), format is FORMATS["idx"]))
