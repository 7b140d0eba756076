"""The data of a sweep stay with it: what `dvc repro` does to data/raw and data/processed is no matter to its jobs."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from filterlab.config import compose, schema
from filterlab.data import arrays, idx, published
from filterlab.data.formats import idx as idx_format
from filterlab.data.prepare import prepare
from filterlab.errors import DataError, UnreachableError
from filterlab.seal import sha256
from filterlab.sweeps import frozen
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.sweep import Sweep
from filterlab.sweeps.trials import compose_sweep

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def data() -> schema.Data:
    return dataclasses.replace(compose.compose(CONF, []).data, height=8, width=8)


@pytest.fixture
def root(tmp_path: Path, data: schema.Data) -> Path:
    """A repository with noise in data/raw, as download leaves it."""
    root, draw = tmp_path / "root", np.random.Generator(np.random.PCG64(0))
    contents = {}
    for part, count in [("train", 200), ("test", 20)]:
        contents[idx_format.FILES[part].images] = idx.encode(draw.integers(0, 256, (count, 8, 8), np.uint8))
        contents[idx_format.FILES[part].labels] = idx.encode(np.arange(count, dtype=np.uint8) % 10)
    folder = published.place(root / "data/raw", data)
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        (folder / f"{name}.gz").write_bytes(b"as published")
    published.write_digests(root / "data/raw", data, {name: sha256(content) for name, content in contents.items()})
    return root


@pytest.fixture
def sweep(root: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """This process works for it."""
    sweep = Sweep(root / "runs/s")
    sweep.save()
    monkeypatch.setenv(sweeps.VARIABLE, str(sweep.folder))
    return sweep


def digest_of(data: schema.Data, sweep: Sweep) -> str:
    """Of the training's data, as a job of the sweep has them."""
    card, train, validation = frozen.load_data(sweep, data)
    assert card.digest == arrays.digest({"train": train, "validation": validation})
    return card.digest


def test_jobs_read_the_sweeps_own_copy(root: Path, data: schema.Data, sweep: Sweep) -> None:
    """Also a subset that a search draws later, and which nobody asked for before."""
    later = dataclasses.replace(data, take="first", take_n=100, seed=3)
    expected = [prepare(each, raw=root / "data/raw").train_card.digest for each in (data, later)]
    frozen.freeze_data(sweep, [data], root=root)
    shutil.rmtree(root / "data")
    assert [digest_of(each, sweep) for each in (data, later)] == expected
    frozen.freeze_data(sweep, [data, later], root=root)  # there is nothing more to keep
    kept = sorted(path.name for path in (sweep.folder / "frozen/data/raw/MNIST").rglob("*") if path.is_file())
    assert kept == ["digests.json", *sorted(name for pair in idx_format.FILES.values() for name in (pair.images, pair.labels))]


def test_links_take_no_room_and_copies_come_where_there_are_none(
    root: Path, data: schema.Data, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = root / "data/raw/MNIST/raw/train-images-idx3-ubyte"
    copy = sweep.folder / "frozen/data/raw/MNIST/raw/train-images-idx3-ubyte"
    kept_elsewhere = root / "cache"  # as DVC may have it
    source.rename(kept_elsewhere)
    source.symlink_to(kept_elsewhere)
    frozen.freeze_data(sweep, [data], root=root)
    assert copy.samefile(kept_elsewhere) and not copy.is_symlink()
    shutil.rmtree(sweep.folder / "frozen")

    def no_links(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    frozen.freeze_data(sweep, [data], root=root)
    assert not copy.samefile(source) and copy.read_bytes() == source.read_bytes()


def test_what_preprocess_made_is_kept_where_the_files_are_not_here(root: Path, data: schema.Data, sweep: Sweep) -> None:
    made = prepare(data, raw=root / "data/raw")
    arrays.save(root / "data/processed/train", {"train": made.train, "validation": made.validation}, made.train_card)
    shutil.rmtree(root / "data/raw")
    frozen.freeze_data(sweep, [data], root=root)
    shutil.rmtree(root / "data")
    assert digest_of(data, sweep) == made.train_card.digest


def test_what_is_not_here_or_damaged_is_named_and_nothing_kept(
    root: Path, data: schema.Data, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILTERLAB_MIRROR", raising=False)
    path = root / "data/raw/MNIST/raw/train-labels-idx1-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\0")
    for act in (lambda: frozen.check_data([data], root=root), lambda: frozen.freeze_data(sweep, [data], root=root)):
        with pytest.raises(DataError, match=r"train-labels-idx1-ubyte is damaged, .*; `dvc repro download` brings it anew"):
            act()
    other = dataclasses.replace(data, name="other", folder="Other", mirrors=[])
    with pytest.raises(UnreachableError, match=r"train-images-idx3-ubyte\.gz of other: no mirror has delivered it"):
        frozen.freeze_data(sweep, [other], root=root)
    assert not (sweep.folder / "frozen").exists()


def test_a_link_that_is_edited_in_place_is_seen(root: Path, data: schema.Data, sweep: Sweep) -> None:
    frozen.freeze_data(sweep, [data], root=root)
    with (root / "data/raw/MNIST/raw/train-labels-idx1-ubyte").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    with pytest.raises(DataError, match=r"frozen/data/raw/MNIST/raw/train-labels-idx1-ubyte is damaged") as raised:
        digest_of(data, sweep)
    (note,) = raised.value.__notes__
    assert note.startswith(f"sweep s reads its own copy of the data: remove {sweep.folder}/frozen/data ")


def test_a_copy_that_breaks_off_leaves_nothing_that_is_taken_for_whole(
    root: Path, data: schema.Data, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = []

    def link(source: Path, target: Path) -> None:
        links.append(source)
        if len(links) == 3:
            raise KeyboardInterrupt
        shutil.copyfile(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "link", link)
        frozen.freeze_data(sweep, [data], root=root)
    with pytest.raises(DataError, match=r"digests\.json is missing"):
        digest_of(data, sweep)
    frozen.freeze_data(sweep, [data], root=root)
    shutil.rmtree(root / "data")
    digest_of(data, sweep)


def test_a_plan_names_each_section_once() -> None:
    plan = compose_sweep(CONF, ["seed=0,1", "data.seed=0,1", "data=mnist,fashion_mnist"])
    assert sorted((data.name, data.seed) for data in plan.data) == [
        (name, seed) for name in ("fashion_mnist", "mnist") for seed in (0, 1)
    ]
