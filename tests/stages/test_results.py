import json
from pathlib import Path

import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem

from filterlab.errors import DataError
from filterlab.repository import folder_md5
from filterlab.stages import results


def write(root: Path, file: Path, content: bytes) -> None:
    (root / "results").mkdir(exist_ok=True)
    (root / file).write_bytes(content)


def test_read_back(tmp_path: Path) -> None:
    assert results.run_id(tmp_path) == "", "nothing was trained"
    measured = dict.fromkeys(results.SHOWN, 0.5) | {"data": "nøise"}
    write(tmp_path, results.METRICS, json.dumps(measured, ensure_ascii=False).encode())
    write(tmp_path, results.RUN, b'{"run_id": "abc", "models": "", "seconds": 1.5}')
    assert (results.metrics(tmp_path), results.run_id(tmp_path)) == (measured, "abc")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b'{"run_id": "ab', "Unterminated string"),
        (b"\xff", "'utf-8' codec can't decode"),
        (b"[]", "it holds a list, expected an object"),
        (b"{}", "it lacks (run_id, models|data, examples, errors, .*)"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    write(tmp_path, results.RUN, content)
    write(tmp_path, results.METRICS, content)
    with pytest.raises(DataError, match=rf"results/run\.json is damaged: {said}.*; remove it, and the run is found"):
        results.run_id(tmp_path)
    with pytest.raises(DataError, match=rf"results/metrics\.json is damaged: {said}.*; `dvc repro evaluate` makes it"):
        results.metrics(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its columns are none, expected class, precision"),
        (b"class,recall\n", "its columns are class, recall, expected class, precision"),
        (b"class,precision,recall,f1,support\n0,1.0,0.5\n", "class 0 has 2 values, expected 4"),
        (b"class,precision,recall,f1,support\n0,1.0,half,1,2\n", "could not convert string to float: 'half'"),
        (b"\xff", "'utf-8' codec can't decode"),
    ],
)
def test_damaged_scores_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "results/evaluation").mkdir(parents=True)
    write(tmp_path, results.PER_CLASS, content)
    with pytest.raises(DataError, match=rf"per_class\.csv is damaged: {said}.*; `dvc repro evaluate` makes it"):
        results.per_class(tmp_path)


def test_absence_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results/metrics\.json is missing: `dvc repro evaluate` makes it"):
        results.metrics(tmp_path)
    with pytest.raises(DataError, match=r"results/evaluation/per_class\.csv is missing: `dvc repro evaluate` makes it"):
        results.per_class(tmp_path)


def test_a_record_is_of_the_model_that_it_names(tmp_path: Path) -> None:
    """DVC brings models from its cache, and leaves results/run.json as the last training wrote it."""
    (tmp_path / "models/below").mkdir(parents=True)
    write(tmp_path, Path("models/model.safetensors"), b"weights")
    write(tmp_path, Path("models/below/ä.json"), b"{}")
    models = folder_md5(tmp_path / "models")
    assert results.run_id(tmp_path) == models, "without a record the model leads to its run"
    write(tmp_path, results.RUN, json.dumps({"run_id": "abc", "models": models}).encode())
    assert results.run_id(tmp_path) == "abc"
    write(tmp_path, Path("models/model.safetensors"), b"other weights")
    assert results.run_id(tmp_path) == folder_md5(tmp_path / "models") != models


def test_a_folder_is_named_as_dvc_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write(tmp_path, Path("results/unused"), b"")
    (folder / "b").mkdir(parents=True)
    for name in ("b/c", "a b.json", "ä", "b.json", "B"):
        (folder / name).write_bytes(name.encode())
    said = HashFileDB(LocalFileSystem(), str(tmp_path / "cache"))
    _, _, tree = build(said, str(folder), LocalFileSystem(), "md5")
    assert f"{folder_md5(folder)}.dir" == tree.hash_info.value
    assert folder_md5(tmp_path / "nothing") == ""
