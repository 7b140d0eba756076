"""Damaged parameters, config groups and resolved configs: what the text really says, or a ConfigError; nothing else, and soon.

FILTERLAB_MUTATIONS=200 is the full count of each kind of file; the suite makes a few.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from filterlab.config import compose, document, resolved, schema
from filterlab.errors import ConfigError
from mutations import mutations

COUNT = int(os.environ.get("FILTERLAB_MUTATIONS", "16"))
SECONDS = 30  # one takes some .2 s
PARAMETERS = """data: digits            # mnist, fashion_mnist, digits
model: conv_net
optimizer: adam
tracking: off
experiment: none
seed: 3
override:
  optimizer: {lr: 3.0e-3, eps: 1.0e-7}
  model: {layers: [{filters: 8, kernel: 3, batch_norm: true}], hidden: [32, 16]}
  trainer: {max_epochs: 3, precision: "32", patience: "${trainer.max_epochs}"}
  tracking.experiment: "it's a, b"
"""
CONF = sorted(path.relative_to(Path(__file__).parents[2]) for path in (Path(__file__).parents[2] / "conf").rglob("*.yaml"))


@contextmanager
def soon() -> Iterator[None]:
    """A block that takes longer fails. The loops that a text can start are Python's, which the signal interrupts."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(make: Callable[[], schema.Config]) -> schema.Config | None:
    """The configuration; None where it was refused, each fault in one line."""
    with soon():
        try:
            return make()
        except ConfigError as error:
            assert error.faults and all(fault and "\n" not in fault and len(fault) < 2000 for fault in error.faults)
            return None


@pytest.mark.parametrize("seed", range(4))
def test_params(own_conf: Path, tmp_path: Path, seed: int) -> None:
    """One that composes says what the text says: put into it again, value by value, nothing changes."""
    path = tmp_path / "params.yaml"
    composer = compose.Composer(own_conf)
    for damaged in mutations(PARAMETERS.encode(), seed=seed, count=COUNT // 4):
        path.write_bytes(damaged)
        if config := outcome(lambda: composer(compose.to_overrides(compose.read_parameters(path)))):
            said = document.values(damaged.decode()) or {}
            assert set(said) <= {*compose.GROUPS, "seed", "override"}
            for key, value in compose.leaves(said.get("override") or {}):
                assert_says(value, at(config, key), damaged)
            if "seed" in said and "seed" not in (said.get("override") or {}):
                assert config.seed == said["seed"]


@pytest.mark.parametrize("seed", range(4))
def test_resolved_config(composed: compose.Composer, tmp_path: Path, seed: int) -> None:
    """One that is read is written again to the same values."""
    (tmp_path / "results").mkdir()
    text = resolved.dump(composed(["model=conv_net", "trainer.max_epochs=3"]))
    for damaged in mutations(text.encode(), seed=seed, count=COUNT // 4):
        (tmp_path / resolved.RESOLVED).write_bytes(damaged)
        if config := outcome(lambda: resolved.load(tmp_path)):
            assert document.values(resolved.dump(config)) == document.values(damaged.decode())


@pytest.mark.parametrize("file", CONF, ids=str)
def test_file_of_conf(own_conf: Path, file: Path) -> None:
    """An option that composes says what its file says."""
    path = own_conf.parent / file
    group, option = path.parent.relative_to(own_conf).as_posix(), path.stem
    words = [f"{group}={option}"] if group != "." else []
    for damaged in mutations(path.read_bytes(), seed=len(str(file)), count=max(1, COUNT // 16)):
        path.write_bytes(damaged)
        if group.startswith("hydra/"):
            with soon():
                try:
                    compose.hydra_settings(own_conf, words)
                except ConfigError as error:
                    assert all("\n" not in fault for fault in error.faults)
        elif config := outcome(lambda: compose.compose(own_conf, words)):
            said = document.values(damaged.decode()) or {}
            where = config if group in (".", "experiment") else getattr(config, group)
            for key, value in compose.leaves({key: value for key, value in said.items() if key not in ("defaults", "hydra")}):
                assert_says(value, at(where, key), damaged)


def at(config: object, key: str) -> object:
    if isinstance(config, dict):
        return config[key]  # a file's name has points of its own
    part, _, rest = key.partition(".")
    found = config[int(part)] if isinstance(config, list) else getattr(config, part)
    return at(found, rest) if rest else found


def assert_says(said: object, resolved: object, damaged: bytes) -> None:
    """Equal, but for what the schema's type makes of it: 3 as text, 3 as 3.0; and ${...} is another value."""
    if isinstance(said, str) and said.startswith("${"):
        return
    if isinstance(said, list):
        assert isinstance(resolved, list) and len(said) == len(resolved), damaged
        for one, other in zip(said, resolved, strict=True):
            assert_says(one, other, damaged)
    elif isinstance(said, dict):
        for key, value in said.items():
            assert_says(value, at(resolved, key), damaged)
    elif isinstance(resolved, str):
        assert str(said) == resolved, damaged
    else:
        assert type(resolved)(said) == resolved, damaged
