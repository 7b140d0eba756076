"""Every shipped option of conf/model, found by itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from filterlab.config import schema
from filterlab.models.architectures.conv_net import ConvLayer

OPTIONS = sorted((Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))


def read_option(path: Path) -> schema.Model:
    """The option's values as its file has them; what a list's elements leave out comes from the schema."""
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    if "layers" in values:
        values["layers"] = [ConvLayer(**layer) for layer in values["layers"]]
    return schema.FAMILIES["model"][values["name"]](**values)


@pytest.fixture(params=OPTIONS, ids=lambda path: path.stem)
def option(request: pytest.FixtureRequest) -> schema.Model:
    return read_option(request.param)
