"""Optional dependencies: the extras of pyproject.toml, and the sentence where one is missing."""

from importlib.util import find_spec

from filterlab.errors import UserError

EXTRAS = {  # the modules that an extra brings, as they are imported; s3 brings DVC's own too
    "team": ["psycopg", "flask_wtf"],
    "cluster": ["submitit", "hydra_plugins.hydra_submitit_launcher"],
    "s3": ["boto3", "botocore"],
    "lecture": ["latex2mathml", "skimage", "torchvision", "grimp"],
}


def check(extra: str, *, needed_by: str) -> None:
    """Raises UserError where one of the extra's modules is not installed."""
    for module in EXTRAS[extra]:
        if find_spec(module) is None:
            raise UserError(sentence(module, extra, needed_by=needed_by))


def missing(error: ModuleNotFoundError) -> UserError | None:
    """What to install where an import failed; None for a module that no extra brings."""
    for extra, modules in EXTRAS.items():
        if any(f"{error.name}.".startswith(f"{module}.") for module in modules):
            return UserError(sentence(str(error.name), extra, needed_by="this"))
    return None


def sentence(module: str, extra: str, *, needed_by: str) -> str:
    return f"{needed_by} needs {module}, which is not installed: pip install -e '.[{extra}]' (or `make setup`, for everything)"
