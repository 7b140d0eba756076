from pathlib import Path

import pytest

from filterlab.errors import DataError
from filterlab.stages import curves

HEADER = "epoch,lr,train/loss,train/accuracy,validation/loss,validation/accuracy,chosen\n"
SOUND = HEADER + "1,0.1,1.5,0.5,nan,0.625,0\n2,0.1,1.0,0.75,1.5,0.5,1\n"


def test_columns_by_name(tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text(SOUND)
    found = curves.read(tmp_path / "curves.csv")
    assert list(found) == curves.COLUMNS
    assert (found["epoch"], found["train/accuracy"], found["chosen"]) == ([1, 2], [0.5, 0.75], [0, 1])
    assert str(found["validation/loss"]) == "[nan, 1.5]", "a loss that diverged is no damage"


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
    path = tmp_path / "curves.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"curves\.csv is damaged: {said}.*; `dvc repro train` makes it anew"):
        curves.read(path)


def test_absence_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"curves\.csv is missing: `dvc repro train` makes it"):
        curves.read(tmp_path / "curves.csv")
