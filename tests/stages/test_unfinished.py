"""One process at a time goes on with a training, and none is kept from it by a dead one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlab.config import compose
from filterlab.errors import UserError
from filterlab.stages.unfinished import Unfinished

CONF = Path(__file__).parents[2] / "conf"
HOLD = """
import sys
from pathlib import Path
from filterlab.config import compose
from filterlab.stages.unfinished import Unfinished
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
        assert (make().folder / "id").read_text() == make().begin("config")
