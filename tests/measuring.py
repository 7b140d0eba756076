"""Coverage of the processes that tests start: of none, but where one is asked for. They import torch and mlflow anew, and
that takes half as long again when it is measured.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES: dict[str, str] = {}  # what makes a new process measure itself
if "PYTEST_XDIST_WORKER" in os.environ:
    VARIABLES = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("COVERAGE")}


@contextmanager
def measured() -> Iterator[None]:
    """Processes started here are."""
    os.environ.update(VARIABLES)
    try:
        yield
    finally:
        for name in VARIABLES:
            del os.environ[name]
