"""One process at a time goes on with a training, and none is kept from it by a dead one."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlab.config import compose
from filterlab.errors import DataError, UserError
from filterlab.runs.unfinished import Unfinished

CONF = Path(__file__).parents[2] / "conf"
HOLD = """
import sys
from pathlib import Path
from filterlab.config import compose
from filterlab.runs.unfinished import Unfinished
unfinished = Unfinished(Path(sys.argv[1]), compose.compose(Path(sys.argv[2]), []), data="data", code="code")
with unfinished.alone():
    unfinished.begin("config")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Unfinished]:
    return lambda *overrides: Unfinished(tmp_path, compose.compose(CONF, list(overrides)), data="data", code="code")


def test_what_ends_well_leaves_nothing(make: Callable, tmp_path: Path) -> None:
    unfinished = make()
    with unfinished.alone():
        first = unfinished.begin("config")
        assert (unfinished.folder / "config.yaml").read_text() == "config"
    assert list((tmp_path / "checkpoints").iterdir()) == []
    with make().alone():
        assert make().begin("config") != first, "a training of its own"


def test_what_ends_badly_is_kept_to_go_on_with(make: Callable, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), make().alone():
        identity = make().begin("config")
        raise KeyboardInterrupt
    assert list((tmp_path / "checkpoints").iterdir()) == [make().folder]
    with make().alone():
        assert make().begin("config") == identity


def test_how_often_a_training_is_saved_makes_no_other_of_it(make: Callable) -> None:
    assert make("trainer.checkpoint_seconds=5").folder == make().folder != make("trainer.patience=4").folder


def test_a_copy_is_a_training_of_its_own(make: Callable, tmp_path: Path) -> None:
    """The original may go on too, and on a server both would write to one run."""
    with pytest.raises(KeyboardInterrupt), make().alone():
        identity = make().begin("config")
        raise KeyboardInterrupt
    shutil.copytree(tmp_path / "checkpoints", tmp_path / "copy/checkpoints")
    copy = Unfinished(tmp_path / "copy", compose.compose(CONF, []), data="data", code="code")
    another = copy.begin("config")
    assert another != identity
    assert (copy.begin("config"), make().begin("config")) == (another, identity)


def test_what_is_moved_goes_on(make: Callable, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), make().alone():
        identity = make().begin("config")
        raise KeyboardInterrupt
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "checkpoints").rename(moved / "checkpoints")
    assert Unfinished(moved, compose.compose(CONF, []), data="data", code="code").begin("config") == identity


def test_the_second_is_refused_and_others_are_not(make: Callable) -> None:
    with make().alone():
        identity, folder = make().begin("config"), make().folder
        with pytest.raises(UserError, match=rf"another process, which keeps its checkpoints in {folder} .*: wait .* the seed"):
            make().alone().__enter__()
        assert make().begin("config") == identity
        with make("seed=1").alone():
            make("seed=1").begin("other")


def test_a_killed_process_gives_it_free(make: Callable, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path), str(CONF)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process"), make().alone():
            pytest.fail("it is held")
        process.kill()
    with make().alone():
        assert json.loads((make().folder / "id.json").read_text())["id"] == make().begin("config")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"0" * 32], ids=["bytes", "empty", "text"])
def test_a_damaged_id_is_named(make: Callable, content: bytes) -> None:
    make().begin("config")
    (make().folder / "id.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"id\.json is damaged: .*; remove {make().folder} to train from the start"):
        make().begin("config")


def test_the_id_of_another_training_is_refused(make: Callable) -> None:
    """Else its run would be gone on with."""
    make().begin("config")
    make("seed=1").begin("config")
    (make().folder / "id.json").write_bytes((make("seed=1").folder / "id.json").read_bytes())
    with pytest.raises(DataError, match=rf"id\.json is another training's: remove {make().folder}"):
        make().begin("config")
