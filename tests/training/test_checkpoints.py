"""Checkpoints as files: what was written is read, and nothing else is."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from filterlab.errors import DataError
from filterlab.training import checkpoints


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "epoch_1.ckpt"
    weights = torch.arange(50, dtype=torch.float32)
    with closing(checkpoints.DigestedFiles()) as written:
        written.save_checkpoint({"epoch": 0, "state_dict": {"weight": weights}}, path)
        weights.zero_()  # what was saved is as it was
    return path


def test_what_was_written_is_read(written: Path) -> None:
    found = checkpoints.DigestedFiles().load_checkpoint(written, weights_only=True)
    assert found["epoch"] == 0 and torch.equal(found["state_dict"]["weight"], torch.arange(50, dtype=torch.float32))


def test_no_damage_goes_unseen(written: Path) -> None:
    """A changed bit anywhere, and every length but its own (some weights would load, and be others)."""
    whole, draw = written.read_bytes(), np.random.Generator(np.random.PCG64(0))
    damaged = [whole[:length] for length in draw.integers(0, len(whole), 100)] + [whole + b"\0", whole * 2, b""]
    for place in draw.integers(0, 8 * len(whole), 100):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    for content in damaged:
        written.write_bytes(content)
        with pytest.raises(DataError, match=rf"^{written} is damaged: "):
            checkpoints.read(written)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^cannot read {tmp_path}/epoch_1.ckpt: No such file"):
        checkpoints.read(tmp_path / "epoch_1.ckpt")
