"""The architectures by name: each module here is one, its settings and its plan, and says in NAMES what it is called."""

import importlib
import pkgutil

from filterlab.models.plan import Model

ARCHITECTURES: dict[str, type[Model]] = {
    name: settings
    for module in pkgutil.iter_modules(__path__, f"{__name__}.")
    for name, settings in importlib.import_module(module.name).NAMES.items()
}
