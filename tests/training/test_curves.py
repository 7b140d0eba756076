from pathlib import Path

import pytest
import torch

from filterlab import files
from filterlab.config import schema
from filterlab.errors import DataError
from filterlab.models import folder
from filterlab.training import curves
from filterlab.training.history import Epoch

HEADER = "epoch,lr,train/loss,train/accuracy,validation/loss,validation/accuracy,chosen\n"
SOUND = HEADER + "1,0.1,1.5,0.5,nan,0.625,0\n2,0.1,1.0,0.75,1.5,0.5,1\n"


def put(root: Path, content: bytes) -> None:
    """The table, as the model that it belongs to knows it."""
    sha256 = files.write(root / curves.CURVES, content)
    folder.write(root / "models", {}, {}, beside={curves.CURVES.name: sha256})


def test_columns_by_name(tmp_path: Path) -> None:
    put(tmp_path, SOUND.encode())
    found = curves.read(tmp_path)
    assert list(found) == curves.COLUMNS
    assert (found["epoch"], found["train/accuracy"], found["chosen"]) == ([1, 2], [0.5, 0.75], [0, 1])
    assert str(found["validation/loss"]) == "[nan, 1.5]", "a loss that diverged is no damage"


def test_the_metric_that_chose_has_a_column(tmp_path: Path) -> None:
    numbers = dict(zip([*curves.COLUMNS[1:-1], "validation/balanced_accuracy", "validation/macro_f1"], range(7), strict=True))
    epochs = [Epoch(number, {**numbers, "lr": number}, torch.zeros(1), []) for number in (1, 2)]
    for monitor in schema.MONITORS:
        curves.write(tmp_path, epochs, best_epoch=2, monitor=monitor)
        written = (tmp_path / curves.CURVES).read_text().splitlines()
        header, row = ("", "") if monitor in HEADER else (f",{monitor}", f",{numbers[monitor]}")
        assert written == [HEADER.strip().replace(",chosen", f"{header},chosen"), f"1,1,1,2,3,4{row},0", f"2,2,1,2,3,4{row},1"]


def test_another_number_is_seen(tmp_path: Path) -> None:
    put(tmp_path, SOUND.encode())
    (tmp_path / curves.CURVES).write_text(SOUND.replace("0.75", "0.85"))
    with pytest.raises(DataError, match=r"curves\.csv is damaged, or not the file that was written: .*; `dvc repro train`"):
        curves.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it lacks the columns epoch, .*, chosen; it has none"),
        (SOUND.replace("lr", "rate").encode(), "it lacks the columns lr; it has epoch, rate, "),
        (SOUND.replace("0.75", "x").encode(), "could not convert string to float: 'x'"),
        (SOUND[:-9].encode(), "line 3 has 5 values, expected 7"),
        (HEADER.encode(), "0 epochs are marked as chosen, expected one"),
        (SOUND.replace(",0\n", ",1\n").encode(), "2 epochs are marked as chosen, expected one"),
        (b"\xff\xfe" + SOUND.encode(), "'utf-8' codec can't decode"),
        (b'"' + b"0" * 200_000, "field larger than field limit"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    put(tmp_path, content)
    with pytest.raises(DataError, match=rf"curves\.csv is no table of curves: {said}.*; `dvc repro train` makes it anew"):
        curves.read(tmp_path)


def test_absence_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.json is missing: train a model first"):
        curves.read(tmp_path)
    put(tmp_path, SOUND.encode())
    (tmp_path / curves.CURVES).unlink()
    with pytest.raises(DataError, match=r"curves\.csv is missing: `dvc repro train` makes it"):
        curves.read(tmp_path)
