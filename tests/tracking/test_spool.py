"""Spools: whole records or none, whatever happened while they were written; damage is named."""

import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import DataError
from filterlab.tracking import spool
from filterlab.tracking.reader import read_spool
from filterlab.tracking.spool import Sent, Spool
from filterlab.tracking.steps import Steps
from filterlab.tracking.writer import Writer

OFFLINE = Settings(backend="offline")


@pytest.fixture
def kept(tmp_path: Path) -> Spool:
    """A finished run in a spool."""
    (tmp_path / "a.txt").write_text("all well")
    with tracking.start(OFFLINE, root=tmp_path, name="n", tags={"a": "b"}, identity="1" * 32) as run:
        run.log_params({"seed": 0})
        for step in range(3):
            run.log_metrics({"loss": 1 / (step + 1), "odd": float("nan")}, step=step)
        run.log_artifact(tmp_path / "a.txt", folder="texts")
    return Spool(tmp_path / "spool" / ("1" * 32))


def test_what_a_run_remembers_of_its_points_stays_small() -> None:
    """Whatever their order they are known, and a million of them take 8 MB."""
    draw, steps, known = random.Random(0), Steps(), set()
    for _ in range(2000):
        point = draw.choice("ab"), draw.randrange(500)
        assert (point in steps) == (point in known)
        steps.add([point])
        known.add(point)
    steps.add(("loss", step) for step in range(100_000))
    assert len(steps.of["loss"]) == 100_000 and sys.getsizeof(steps.of["loss"]) < 1_000_000


def test_the_end_is_found_without_the_rest(kept: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a run has ended, and how much is left, is asked at moments that leave no time to read a million records."""
    monkeypatch.setattr(Spool, "read", lambda *given: pytest.fail("read"))
    assert kept.ended() == "FINISHED" and kept.lines_left("there") == 8
    kept.save_sent(Sent(to="there", offset=kept.records.stat().st_size))
    assert (kept.lines_left("there"), kept.lines_left("elsewhere")) == (0, 8)
    with kept.records.open("ab") as file:
        file.write(b"broken off")
    assert kept.ended() == "FINISHED"
    with kept.records.open("ab") as file:
        file.write(b"\n")
    assert kept.ended() == ""


def test_what_was_logged_is_read_back(kept: Spool) -> None:
    methods = ["open", "create", "log_params", "log_metrics", "log_metrics", "log_metrics", "log_artifact", "end"]
    assert [record.method for record in kept.read()] == methods
    assert kept.meant_for() == ("test", "offline", "") and kept.ended() == "FINISHED" and not kept.adds
    waiting = read_spool(kept)
    assert waiting is not None
    found = waiting.found
    assert (found.id, found.name, found.status, found.params) == ("1" * 32, "n", "FINISHED", {"seed": "0"})
    assert found.metrics["loss"] == 1 / 3 and np.isnan(found.metrics["odd"]) and found.tags["a"] == "b"
    assert found.started <= (found.ended or 0)
    assert waiting.artifacts["texts/a.txt"].read_text() == "all well"
    assert not [path for path in kept.folder.rglob("*") if path.suffix == ".lock"]


def test_a_record_that_broke_off_is_none_and_is_written_over(kept: Spool) -> None:
    whole = kept.records.read_bytes()
    records = list(kept.read())
    for size in range(len(whole)):
        kept.records.write_bytes(whole[:size])
        assert list(kept.read()) == [record for record in records if record.end <= size]
        if size % 7 == 0:
            writer = Writer(kept)
            writer.add("set_tags", tags={"c": "d"})
            writer.close()
            assert [record.method for record in kept.read()] == [
                *(record.method for record in records if record.end <= size),
                "set_tags",
            ]


def test_damage_is_named(kept: Spool) -> None:
    """A bit of any byte but the last line's end: what is read then would be something else than what was logged."""
    whole = kept.records.read_bytes()
    draw = random.Random(0)
    for place in draw.sample(range(len(whole) - 1), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        kept.records.write_bytes(damaged)
        with pytest.raises(DataError, match=r"records is damaged at byte \d+ \(.*\): bring it back from a copy, or take"):
            list(kept.read())
    kept.records.write_bytes(whole[whole.index(b"\n") + 1 :])
    lines = whole.splitlines(keepends=True)
    for other in (lines[1:], [lines[0], *lines], [*lines[:3], *lines[4:]], [*lines[:4], lines[3], *lines[4:]]):
        kept.records.write_bytes(b"".join(other))
        with pytest.raises(DataError, match="its checksum is another one"):
            list(kept.read())


def test_a_damaged_file_is_named(kept: Spool, tmp_path: Path) -> None:
    (path,) = (kept.folder / "files").iterdir()
    path.write_text("all is well")
    with pytest.raises(DataError, match=rf"{path} is damaged, or not the file that was written"):
        kept.copy(path.name, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    path.unlink()
    with pytest.raises(DataError, match=rf"{path} is missing: bring it back from a copy of the spool"):
        kept.copy(path.name, tmp_path / "copy")


def test_what_a_store_has_is_known_of_that_store_alone(kept: Spool) -> None:
    assert kept.sent() == Sent() and kept.left() == kept.left("here") == 8
    third = list(kept.read())[2].end
    kept.save_sent(Sent(to="here", run="r", experiment="1", offset=third))
    assert (kept.left(), kept.left("here"), kept.left("there")) == (5, 5, 8)
    (kept.folder / "sent").write_text("{")
    assert kept.sent() == Sent()


def test_a_training_that_goes_on_logs_nothing_twice(tmp_path: Path) -> None:
    for last in (3, 5):
        with tracking.start(OFFLINE, root=tmp_path, name="n", tags={}, identity="2" * 32) as run:
            for step in range(last):
                run.log_metrics({"loss": float(step), f"only/{last}": 1.0}, step=step)
    points = [
        (name, step)
        for record in Spool(tmp_path / "spool" / ("2" * 32)).read()
        for name, _, step in record.arguments.get("points", [])
    ]
    assert sorted(points) == sorted(
        [
            *(("loss", step) for step in range(5)),
            *(("only/3", step) for step in range(3)),
            *(("only/5", step) for step in range(5)),
        ]
    )


def test_a_spool_has_one_writer(tmp_path: Path) -> None:
    with tracking.start(OFFLINE, root=tmp_path, name="n", tags={}, identity="3" * 32):
        held = Spool(tmp_path / "spool" / ("3" * 32))
        with pytest.raises(spool.BusyError, match=r"writer\.lock: wait for its end"), held.held("writer"):
            pytest.fail("it is held")


def test_nothing_comes_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that takes its time the machine is sampled until the run has ended, and not beyond."""
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.001")
    flush = Writer.flush
    monkeypatch.setattr(Writer, "flush", lambda writer: (time.sleep(0.2), flush(writer)))
    settings = Settings(backend="offline", system_metrics=True)
    with tracking.start(settings, root=tmp_path, name="n", tags={}, identity="1" * 32):
        time.sleep(0.2)
    kept = Spool(tmp_path / "spool" / ("1" * 32))
    methods = [record.method for record in kept.read()]
    assert "log_metrics" in methods and methods[-1] == "end" and kept.ended() == "FINISHED"


def test_a_lock_makes_no_repository_anew(tmp_path: Path) -> None:
    """That of a sender which a run leaves behind where the repository has been moved."""
    kept = Spool(tmp_path / "gone/spool" / ("1" * 32))
    with (
        pytest.raises(spool.GoneError, match=r"gone/spool/1+ is not there any longer: the repository was moved"),
        kept.held("writer"),
    ):
        pass
    assert not (tmp_path / "gone").exists()


def test_no_absolute_path_is_in_it(kept: Spool, tmp_path: Path) -> None:
    assert str(tmp_path) not in kept.records.read_text()
    for line in kept.records.read_text().splitlines():
        json.loads(line.partition(" ")[2])


def test_what_is_equal_is_kept_once(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"the same")
    with tracking.start(OFFLINE, root=tmp_path, name="n", tags={}, identity="4" * 32) as run:
        for step in range(9):
            run.log_image("first", tmp_path / "picture.png", step=step)
    assert len(list((tmp_path / "spool" / ("4" * 32) / "files").iterdir())) == 1
