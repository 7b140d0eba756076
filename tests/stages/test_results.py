import json
from pathlib import Path

import pytest

from filterlab import files, seal
from filterlab.errors import DataError
from filterlab.stages import results

MEASURED = dict.fromkeys(results.SHOWN, 0.5) | {"data": "nøise", "macro": {"f1": 0.25}}


def test_read_back(tmp_path: Path) -> None:
    assert results.run_id(tmp_path) == "", "nothing was trained"
    assert not results.has_metrics(tmp_path)
    results.write_metrics(tmp_path, MEASURED)
    seal.write(tmp_path / results.RUN, {"run_id": "abc", "seconds": 1.5, "curves": "00"})
    assert (results.metrics(tmp_path), results.run_id(tmp_path)) == (MEASURED, "abc")
    assert results.has_metrics(tmp_path)
    assert json.loads((tmp_path / results.METRICS).read_text()) == MEASURED, "for `dvc metrics`: nothing but metrics"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b'{"run_id": "ab', "Unterminated string"),
        (b"\xff", "'utf-8' codec can't decode"),
        (b"[]", "it holds a list, expected an object"),
        (b"{}", "it lacks sha256, the digest of its content"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    files.write(tmp_path / results.RUN, content)
    with pytest.raises(DataError, match=rf"results/run\.json is damaged: {said}.*; `dvc repro train` makes it anew"):
        results.run_id(tmp_path)
    results.write_metrics(tmp_path, MEASURED)
    (tmp_path / results.METRICS).write_bytes(content)
    with pytest.raises(DataError, match=r"results/metrics\.json is damaged, or .*; `dvc repro evaluate` makes it anew"):
        results.metrics(tmp_path)


@pytest.mark.parametrize("key", [*results.SHOWN, "f1"])
def test_metrics_without_a_key(tmp_path: Path, key: str) -> None:
    """Taken out by hand, or written so by another version."""
    results.write_metrics(tmp_path, MEASURED)
    text = (tmp_path / results.METRICS).read_text()
    (tmp_path / results.METRICS).write_text(text.replace(f'"{key}"', '"other"'))
    with pytest.raises(DataError, match=r"metrics\.json is damaged, or not the file that was written: .*; `dvc repro evaluate`"):
        results.metrics(tmp_path)
    if key in MEASURED:
        results.write_metrics(tmp_path, {name: given for name, given in MEASURED.items() if name != key})
        with pytest.raises(DataError, match=rf"metrics\.json lacks {key}: another version wrote it; `dvc repro evaluate`"):
            results.metrics(tmp_path)


def test_another_number_is_seen(tmp_path: Path) -> None:
    results.write_metrics(tmp_path, MEASURED)
    seal.write(tmp_path / results.RUN, {"run_id": "abc", "curves": "00"})
    for file, read, said, other in [
        (results.METRICS, results.metrics, "0.5", "0.6"),
        (results.METRICS_DIGEST, results.metrics, "", "0"),
        (results.RUN, results.run_id, "abc", "abd"),
    ]:
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(text.replace(said, other, 1))
        with pytest.raises(DataError, match="is damaged"):
            read(tmp_path)
        (tmp_path / file).write_text(text)
        read(tmp_path)


def test_absence_is_named(tmp_path: Path) -> None:
    results.write_metrics(tmp_path, MEASURED)
    for file in (results.METRICS, results.METRICS_DIGEST):
        (tmp_path / file).unlink()
        with pytest.raises(DataError, match=rf"{file} is missing: `dvc repro evaluate` makes it"):
            results.metrics(tmp_path)
