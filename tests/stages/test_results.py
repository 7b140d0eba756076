import json
from pathlib import Path

import pytest

from filterlab.errors import DataError
from filterlab.stages import results


def write(root: Path, file: Path, content: bytes) -> None:
    (root / "results").mkdir(exist_ok=True)
    (root / file).write_bytes(content)


def test_read_back(tmp_path: Path) -> None:
    assert results.run_id(tmp_path) == "", "nothing was trained"
    measured = dict.fromkeys(results.SHOWN, 0.5) | {"data": "nøise"}
    write(tmp_path, results.METRICS, json.dumps(measured, ensure_ascii=False).encode())
    write(tmp_path, results.RUN, b'{"run_id": "abc", "seconds": 1.5}')
    assert (results.metrics(tmp_path), results.run_id(tmp_path)) == (measured, "abc")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b'{"run_id": "ab', "Unterminated string"),
        (b"\xff", "'utf-8' codec can't decode"),
        (b"[]", "it holds a list, expected an object"),
        (b"{}", "it lacks (run_id|data, examples, errors, .*)"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    write(tmp_path, results.RUN, content)
    write(tmp_path, results.METRICS, content)
    with pytest.raises(DataError, match=rf"results/run\.json is damaged: {said}.*; `dvc repro train` makes it anew"):
        results.run_id(tmp_path)
    with pytest.raises(DataError, match=rf"results/metrics\.json is damaged: {said}.*; `dvc repro evaluate` makes it anew"):
        results.metrics(tmp_path)


def test_absence_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results/metrics\.json is missing: `dvc repro evaluate` makes it"):
        results.metrics(tmp_path)
