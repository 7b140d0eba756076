"""A conf/ of one's own: a copy that a test may edit, beside a params.yaml that it writes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlab.config import compose, schema

ROOT = Path(__file__).parents[2]


@pytest.fixture
def conf() -> Path:
    """The shipped conf/, to read."""
    return ROOT / "conf"


@pytest.fixture(scope="session")
def composed() -> compose.Composer:
    """What `compose` gives of the shipped conf/; Hydra composes each choice of options once for all tests."""
    return compose.Composer(ROOT / "conf")


@pytest.fixture
def own_conf(tmp_path: Path) -> Path:
    """A copy of conf/, to edit. Its experiment `small` chooses, sets a value, and seeds."""
    copy = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (copy / "experiment/small.yaml").write_text(
        "# @package _global_\n"
        "defaults: [override /model: mlp, override /data: digits]\n"
        "experiment: small\n"
        "model: {hidden: [7]}\n"
        "trainer: {max_epochs: 2}\n"
        "seed: 5\n"
    )
    return copy


@pytest.fixture
def resolve(tmp_path: Path, own_conf: Path) -> Callable[..., schema.Config]:
    """The configuration that a params.yaml of this text and a command line of these words give."""

    def write(text: str, *command_line: str) -> schema.Config:
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return compose.compose(own_conf, compose.to_overrides(compose.read_parameters(tmp_path / "params.yaml"), command_line))

    return write
