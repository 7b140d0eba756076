"""Data sets side by side: nothing that is asked for by hand touches the pipeline's, and nothing of another hand is touched."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import herbs
from filterlab.config import resolved, schema
from filterlab.data import arrays, published, ready
from filterlab.errors import DataError
from filterlab.stages import download, preprocess


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Path:
    monkeypatch.setenv("FILTERLAB_MIRROR", str(tmp_path / "made"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path / "root"


@pytest.fixture
def pipeline(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[schema.Data], None]:
    """pipeline(data): what `dvc repro preprocess` runs."""

    def run(data: schema.Data) -> None:
        monkeypatch.setattr(resolved, "load", lambda root: type("Resolved", (), {"data": data}))
        download.run(root)
        preprocess.run(root)

    return run


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_asked_for_by_hand_is_fetched_and_prepared_once(root: Path, make_data, pipeline, monkeypatch) -> None:
    pipeline(make_data())
    before = tree(root / "data")
    assert ready.find(make_data(), root) == root / "data/processed"
    other = make_data(name="other", folder="Other")
    folder = ready.find(other, root)
    assert folder.parent == root / "data/sets" and (root / "data/sets/raw/Other/raw").is_dir()
    subset = ready.find(make_data(take="first", take_n=50), root)
    assert not (root / "data/sets/raw/Noise").exists(), "the files are in data/raw"
    assert {name: content for name, content in tree(root / "data").items() if not name.startswith("sets/")} == before
    card, train, _ = ready.load(other, root)
    assert card.name == "other" and len(train) == 180 and arrays.load(subset / "train")[0].counts["train"] == 45
    assert arrays.load(folder / "test")[0].counts == {"test": 50}
    monkeypatch.setattr(ready, "make", lambda *_: pytest.fail("it is there"))
    assert (ready.find(other, root), ready.find(make_data(take="first", take_n=50), root)) == (folder, subset)


def test_another_choice_deletes_nothing_and_comes_back_without_a_mirror(root: Path, make_data, pipeline, monkeypatch) -> None:
    """data/raw is always one data set's, the same bytes as if it had been the first."""
    pipeline(make_data())
    first = tree(root / "data/raw")
    other = make_data(name="other", folder="Other")
    pipeline(other)
    second = tree(root / "data/raw")
    assert {name.partition("/")[0] for name in second} == {"Other"}
    monkeypatch.setenv("FILTERLAB_MIRROR", "")
    pipeline(make_data())
    assert tree(root / "data/raw") == first
    pipeline(other)
    assert tree(root / "data/raw") == second
    assert sorted(path.name for path in (root / "data/sets/raw").iterdir() if path.is_dir()) == ["Noise", "Other"]


@pytest.mark.parametrize(
    "own", ["Mine/raw/train-images-idx3-ubyte", "notes.txt", "Noise/raw/added.txt", "Noise/raw/t10k-labels-idx1-ubyte"]
)
def test_a_file_of_another_hand_stops_it_untouched(root: Path, make_data, pipeline, own: str) -> None:
    pipeline(make_data())
    path = root / "data/raw" / own
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a user's own")
    before = tree(root / "data/raw")
    with pytest.raises(DataError, match=r"data/raw/\S+ was not written by filterlab, .*: move it elsewhere\. For"):
        pipeline(make_data(name="other", folder="Other"))
    assert tree(root / "data/raw") == before


def test_own_images_that_have_changed_are_prepared_anew(root: Path, pipeline) -> None:
    data = herbs.option(herbs.grow(root.parent / "herbs"))
    pipeline(data)
    assert ready.find(data, root) == root / "data/processed"
    herbs.save(herbs.noise(77), root.parent / "herbs/mint/new.png")
    folder = ready.find(data, root)
    assert folder.parent == root / "data/sets" and ready.find(data, root) == folder
    assert sum(arrays.load(folder / "train")[0].counts.values()) == 25, "31, of which six are for the test"
    (root.parent / "herbs/mint/new.png").unlink()
    assert ready.find(data, root) == root / "data/processed"
    picture = root.parent / "herbs/mint/000.png"
    herbs.save(herbs.noise(78), picture)
    os.utime(picture, ns=(1, 1))
    before = arrays.load(folder / "train")[0].digest
    assert ready.find(data, root) == folder and arrays.load(folder / "train")[0].digest != before


def test_a_temporary_copy_of_the_repository_reads_the_original_s_images(root: Path, pipeline, monkeypatch) -> None:
    """As in `dvc exp run --temp`; a relative path starts at the original, whose data/sets/ is shared."""
    herbs.grow(root.parent / "herbs")
    data = dataclasses.replace(herbs.option(root.parent / "herbs"), path="../herbs")
    copy = root / ".dvc/tmp/exps/tmp1"
    for place in (root, copy):
        (place / "conf").mkdir(parents=True)
        (place / "dvc.yaml").touch()
        (place / ".dvc").mkdir(exist_ok=True)
    monkeypatch.setenv("DVC_ROOT", str(root))
    folder = ready.find(data, copy)
    assert folder.parent == root / "data/sets"
    shutil.rmtree(copy)
    assert ready.find(data, root) == folder


def test_a_record_that_is_damaged_is_no_proof(root: Path, make_data, pipeline) -> None:
    pipeline(make_data())
    path = root / "data/raw/Noise" / published.DIGESTS
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"data/raw/Noise was not written by filterlab"):
        pipeline(make_data(name="other", folder="Other"))


def test_what_is_damaged_beside_the_pipeline_is_said_to_be_removed(root: Path, make_data, pipeline) -> None:
    """No stage of the pipeline makes it anew."""
    pipeline(make_data())
    other = make_data(take="first", take_n=20)
    folder = ready.find(other, root)
    (folder / "train/train_images.npy").write_bytes(b"damaged")
    with pytest.raises(DataError, match=rf"rm -r {folder}, and the next training that asks for it makes it anew"):
        ready.load(other, root)
    shutil.rmtree(folder)
    ready.load(other, root)
