"""The formats of data sets by name: each module here is one, and says in NAMES what it is called."""

from collections.abc import Iterable, Mapping

from filterlab.config import declared
from filterlab.data.format import PARTS, Format
from filterlab.errors import UserError


def gather(modules: Iterable[tuple[str, Mapping[str, Format]]]) -> dict[str, Format]:
    """The formats of all modules, of which the name and NAMES are given.

    Raises UserError: two have one name or the same files, or one lacks a part.
    """
    found: dict[str, Format] = {}
    module_of: dict[object, str] = {}
    for module, formats in modules:
        for name, format in formats.items():
            if {*format.files} != PARTS:
                parts = ", ".join(sorted(format.files)) or "none"
                raise UserError(f"{module}: the format {name} has files for the parts {parts}, expected train and test")
            for key, what in [(name, f"the name {name}"), (tuple(format.published), f"files {', '.join(format.published)}")]:
                if key in module_of:
                    raise UserError(f"{module_of[key]} and {module} both have a format of {what}: give one of them others")
                module_of[key] = module
            found[name] = format
    return found


FORMATS = gather(declared.modules(__name__, __path__, of=Format))


def nearest(names: Iterable[str]) -> Format:
    """The format that has just these files, or else most of them; IDX where none has any, as those that are made here."""
    asked = set(names)

    def fit(format: Format) -> tuple[bool, int, bool]:
        return (asked == {*format.published}, len(asked & {*format.published}), format is FORMATS["idx"])

    return max(FORMATS.values(), key=fit)
