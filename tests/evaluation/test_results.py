"""What train and evaluate say of themselves, read back: as it was written, or an error."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem

from filterlab import files, seal
from filterlab.errors import DataError
from filterlab.evaluation import results
from filterlab.repository import folder_md5
from filterlab.runs import facts

MEASURED = dict.fromkeys(results.SHOWN, 0.5) | {"data": "nøise", "macro": {"f1": 0.25}}


def measure(root: Path, numbers: dict[str, Any] = MEASURED) -> None:
    results.write_measured(root, numbers, by_class=[["a", 0.5, 1.0, 0.75, 7]], mistakes={"places": np.arange(3)})


def test_read_back(tmp_path: Path) -> None:
    assert facts.run_id(tmp_path) == "", "nothing was trained"
    assert not results.has_metrics(tmp_path)
    measure(tmp_path)
    seal.write(tmp_path / facts.RUN, {"run_id": "abc", "seconds": 1.5, "models": ""})
    assert (results.metrics(tmp_path), facts.run_id(tmp_path)) == (MEASURED, "abc")
    assert results.per_class(tmp_path) == [{"class": "a", "precision": "0.5", "recall": "1.0", "f1": "0.75", "support": "7"}]
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
    files.write(tmp_path / facts.RUN, content)
    with pytest.raises(DataError, match=rf"results/run\.json is damaged: {said}.*; remove it, and the run is found"):
        facts.run_id(tmp_path)
    measure(tmp_path)
    for file, read in [
        (results.METRICS, results.metrics),
        (results.PER_CLASS, results.per_class),
        (results.MISTAKES, results.mistakes),
    ]:
        (tmp_path / file).write_bytes(content)
        with pytest.raises(DataError, match=rf"{file} is damaged, or .*; `dvc repro evaluate` makes it anew"):
            read(tmp_path)


@pytest.mark.parametrize("key", [*results.SHOWN, "f1"])
def test_metrics_without_a_key(tmp_path: Path, key: str) -> None:
    """Taken out by hand, or written so by another version."""
    measure(tmp_path)
    text = (tmp_path / results.METRICS).read_text()
    (tmp_path / results.METRICS).write_text(text.replace(f'"{key}"', '"other"'))
    with pytest.raises(DataError, match=r"metrics\.json is damaged, or not the file that was written: .*; `dvc repro evaluate`"):
        results.metrics(tmp_path)
    if key in MEASURED:
        measure(tmp_path, {name: given for name, given in MEASURED.items() if name != key})
        with pytest.raises(DataError, match=rf"metrics\.json lacks {key}: another version wrote it; `dvc repro evaluate`"):
            results.metrics(tmp_path)


def test_another_number_is_seen(tmp_path: Path) -> None:
    measure(tmp_path)
    seal.write(tmp_path / facts.RUN, {"run_id": "abc", "models": ""})
    for file, read, said, other in [
        (results.METRICS, results.metrics, "0.5", "0.6"),
        (results.PER_CLASS, results.per_class, "0.5", "0.6"),
        (results.DIGESTS, results.metrics, ": ", ":  0"),
        (facts.RUN, facts.run_id, "abc", "abd"),
    ]:
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(text.replace(said, other, 1))
        with pytest.raises(DataError, match="is damaged"):
            read(tmp_path)
        (tmp_path / file).write_text(text)
        read(tmp_path)


def test_absence_is_named(tmp_path: Path) -> None:
    measure(tmp_path)
    for file, read in [
        (results.METRICS, results.metrics),
        (results.PER_CLASS, results.per_class),
        (results.DIGESTS, results.metrics),
    ]:
        (tmp_path / file).unlink()
        with pytest.raises(DataError, match=rf"{file} is missing: `dvc repro evaluate` makes it"):
            read(tmp_path)


def test_a_record_is_of_the_model_that_it_names(tmp_path: Path) -> None:
    """DVC brings models from its cache, and leaves results/run.json as the last training wrote it."""
    files.write(tmp_path / "models/model.safetensors", b"weights")
    files.write(tmp_path / "models/below/ä.json", b"{}")
    models = folder_md5(tmp_path / "models")
    assert facts.run_id(tmp_path) == models, "without a record the model leads to its run"
    seal.write(tmp_path / facts.RUN, {"run_id": "abc", "models": models})
    assert facts.run_id(tmp_path) == "abc"
    files.write(tmp_path / "models/model.safetensors", b"other weights")
    assert facts.run_id(tmp_path) == folder_md5(tmp_path / "models") != models


def test_a_folder_is_named_as_dvc_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "b").mkdir(parents=True)
    for name in ("b/c", "a b.json", "ä", "b.json", "B"):
        (folder / name).write_bytes(name.encode())
    said = HashFileDB(LocalFileSystem(), str(tmp_path / "cache"))
    _, _, tree = build(said, str(folder), LocalFileSystem(), "md5")
    assert f"{folder_md5(folder)}.dir" == tree.hash_info.value
    assert folder_md5(tmp_path / "nothing") == ""
