"""The architectures by name: each module here is one, its settings and its plan, and says in NAMES what it is called."""

from filterlab.config import declared
from filterlab.models.plan import Model

ARCHITECTURES: dict[str, type[Model]] = declared.settings(declared.names(__name__, __path__, of=type), base=Model, method="plan")
