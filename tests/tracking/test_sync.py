"""`filterlab sync`: from a copy, to a server, while runs go on; and what it says where it can't."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from tracking_settings import Settings

from filterlab import tracking
from filterlab.commands import sync as command
from filterlab.errors import DataError, UserError
from filterlab.tracking import sync
from filterlab.tracking.spool import Spool
from filterlab.tracking.writer import Writer

OFFLINE = Settings(backend="offline", experiment="synced")


def log(root: Path, name: str, *, identity: str = "", error: type[BaseException] | None = None) -> Spool:
    with tracking.start(OFFLINE, root=root, name=name, tags={}, identity=identity) as run:
        for step in range(3):
            run.log_metrics({"loss": float(step)}, step=step)
        if error:
            raise error
    return Spool(root / "spool" / run.id)


def found(uri: str, name: str) -> list[tuple[str, list[int]]]:
    """Status and steps of each run of that name."""
    client = mlflow.MlflowClient(uri)
    experiments = [each.experiment_id for each in client.search_experiments(filter_string="name = 'synced'")]
    runs = client.search_runs(experiments, f"attributes.run_name = '{name}'") if experiments else []
    return [(run.info.status, [each.step for each in client.get_metric_history(run.info.run_id, "loss")]) for run in runs]


def test_from_a_copy_and_outside_of_a_repository(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    kept = log(tmp_path / "node", "copied")
    shutil.copytree(tmp_path / "node/spool", tmp_path / "brought")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"this is no repository of .*: name a server, --to URL"):
        command.run([str(tmp_path / "brought")], to="", watch=False)
    with pytest.raises(UserError, match=r"holds no spool: expected a folder spool/, or one in it"):
        command.run([str(tmp_path / "elsewhere")], to=server.uri, watch=False)
    with pytest.raises(UserError, match=r"--to mlflow\.db: expected a server's address"):
        command.run([str(tmp_path / "brought")], to="mlflow.db", watch=False)
    command.run(["../brought"], to=server.uri, watch=False)
    assert f"{kept.run}: sent to {server.uri}, 6 records\n" in capsys.readouterr().out
    command.run([str(tmp_path / "node")], to=server.uri, watch=False)
    assert found(server.uri, "copied") == [("FINISHED", [0, 1, 2])]
    assert not list((tmp_path / "brought").iterdir()) and not (tmp_path / "node/spool").exists()


def test_what_was_interrupted_is_sent_and_goes_on(server, tmp_path: Path) -> None:
    kept = log(tmp_path, "first half", identity="d" * 32)
    assert kept.exists()
    writer = Writer(kept)  # a training that was killed, before it could say so
    writer.add("create", name="first half", tags={}, identity="d" * 32, parent="")
    writer.add_metrics({"loss": 3.0}, step=3, once=True)
    writer.close()
    sync.sync([], OFFLINE, home=tmp_path, to=server.uri, watch=False)
    assert found(server.uri, "first half") == [("KILLED", [0, 1, 2, 3])]
    log(tmp_path, "first half", identity="d" * 32)
    sync.sync([], OFFLINE, home=tmp_path, to=server.uri, watch=False)
    assert found(server.uri, "first half") == [("FINISHED", [0, 1, 2, 3])]


def test_of_several_the_sound_ones_are_sent(server, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    damaged, sound = log(tmp_path, "damaged"), log(tmp_path, "sound")
    content = bytearray(damaged.records.read_bytes())
    content[-20] ^= 1
    damaged.records.write_bytes(content)
    with pytest.raises(DataError, match=rf"{damaged.records} is damaged at byte \d+"):
        sync.sync([], OFFLINE, home=tmp_path, to=server.uri, watch=False)
    printed = capsys.readouterr().out
    assert "not sent" not in printed and f"{sound.run}: sent to {server.uri}, 6 records" in printed, "the error says it, once"
    assert found(server.uri, "sound") == [("FINISHED", [0, 1, 2])] and found(server.uri, "damaged") == []


def test_a_spool_that_lacks_a_file_is_named_and_the_rest_is_sent(server, tmp_path: Path) -> None:
    """Its run ends; with the file again, the whole is sent."""
    (tmp_path / "report.txt").write_text("all well")
    with tracking.start(OFFLINE, root=tmp_path, name="lacking", tags={}) as run:
        run.log_artifact(tmp_path / "report.txt")
        run.log_metrics({"loss": 0.0}, step=0)
    (kept,) = (tmp_path / "spool" / run.id / "files").iterdir()
    content = kept.read_bytes()
    kept.unlink()
    for _ in range(2):
        with pytest.raises(DataError, match=rf"{kept} is missing: bring it back from a copy of the spool"):
            sync.sync([], OFFLINE, home=tmp_path, to=server.uri, watch=False)
        assert found(server.uri, "lacking") == [("FINISHED", [0])]
    kept.write_bytes(content)
    sync.sync([], OFFLINE, home=tmp_path, to=server.uri, watch=False)
    assert found(server.uri, "lacking") == [("FINISHED", [0])] and not (tmp_path / "spool").exists()


def test_two_at_once(server, tmp_path: Path, programs: Path) -> None:
    """From two copies of the same spools."""
    for number in range(4):
        log(tmp_path, f"crowd {number}")
    shutil.copytree(tmp_path / "spool", tmp_path / "second")
    command = [programs / "python", "-m", "filterlab.cli", "sync", "--to", server.uri]
    both = [
        subprocess.Popen([*command, tmp_path / folder], cwd=tmp_path, stdout=subprocess.PIPE) for folder in ("spool", "second")
    ]
    both += [subprocess.Popen([*command, tmp_path / "spool"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)]
    for process in both[:2]:
        process.communicate(timeout=120)
        assert process.returncode == 0
    both[2].communicate(timeout=120)  # which may find nothing any longer
    assert [found(server.uri, f"crowd {number}") for number in range(4)] == [[("FINISHED", [0, 1, 2])]] * 4


def test_watched_runs_are_sent_while_they_go_on(server, tmp_path: Path, programs: Path) -> None:
    command = [programs / "python", "-m", "filterlab.cli", "sync", "--watch", tmp_path, "--to", server.uri]
    log(tmp_path, "before")
    watching = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with tracking.start(OFFLINE, root=tmp_path, name="watched", tags={}) as run:
            run.log_metrics({"loss": 0.0}, step=0)
            until(lambda: found(server.uri, "watched") == [("RUNNING", [0])])
            run.log_metrics({"loss": 1.0}, step=1)
            until(lambda: found(server.uri, "watched") == [("RUNNING", [0, 1])])
        until(lambda: found(server.uri, "watched") == [("FINISHED", [0, 1])])
        until(lambda: not (tmp_path / "spool").exists())
    finally:
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors) == (130, "filterlab: interrupted\n")
    assert found(server.uri, "before") == [("FINISHED", [0, 1, 2])]


def until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


SCRIPT = """
import sys
from pathlib import Path
sys.path.append(sys.argv[2])
from tracking_settings import Settings
from filterlab import tracking
uri = sys.argv[3]
settings = Settings("server" if uri else "offline", uri, "synced", patience=0.5)
with tracking.start(settings, root=Path(sys.argv[1]), name="no route " + uri, tags={}) as run:
    for step in range(3):
        run.log_metrics({"loss": float(step)}, step=step)
"""


@pytest.mark.parametrize("uri", ["", "http://192.0.2.1:5000"], ids=["offline", "a server without a route"])
def test_without_any_network(server, tmp_path: Path, uri: str) -> None:
    """In a namespace that has no route, not even to itself; the spool is copied, and sent from there."""
    alone = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
    here = str(Path(__file__).parent)
    command = [*alone, sys.executable, "-c", SCRIPT, str(tmp_path / "node"), here, uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert ("Network is unreachable" in done.stderr or "has not got" in done.stderr) == bool(uri), done.stderr
    shutil.copytree(tmp_path / "node/spool", tmp_path / "copy")
    sync.sync([tmp_path / "copy"], OFFLINE, home=None, to=server.uri, watch=False)
    assert found(server.uri, f"no route {uri}") == [("FINISHED", [0, 1, 2])]


def test_one_process_brings_the_spools_of_several_repositories_each_to_its_own_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URIs of their stores are the same, by which MLflow keeps its connections."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with tracking.start(Settings(backend="offline"), root=tmp_path / name, name=name, tags={}) as run:
            run.log_metrics({"loss": 0.5}, step=0)
    for name in ("first", "second"):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow's set_tracking_uri sets it
        sync.sync([], Settings(), home=tmp_path / name, to="", watch=False)
    for name in ("first", "second"):
        with closing(sqlite3.connect(tmp_path / name / "mlflow.db")) as store:
            assert store.execute("SELECT name FROM runs").fetchall() == [(name,)]


def test_an_older_copy_takes_nothing_from_a_run_that_has_finished_since(server, tmp_path: Path) -> None:
    """Of a training under way, as a login node may have it: it seems killed."""
    with tracking.start(OFFLINE, root=tmp_path, name="copied", tags={}) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        shutil.copytree(tmp_path / "spool" / run.id, tmp_path / "older/spool" / run.id)
        shutil.copytree(tmp_path / "spool" / run.id, tmp_path / "oldest/spool" / run.id)
        run.log_metrics({"loss": 0.5}, step=1)
        identity = run.id
    found = []
    for root in ("oldest", "", "older"):
        home = tmp_path / root
        sync.sync([home / "spool"], OFFLINE, home=None, to=server.uri, watch=False)
        client = mlflow.MlflowClient(server.uri)
        experiment = client.get_experiment_by_name("synced").experiment_id
        (stored,) = client.search_runs([experiment], f"tags.`filterlab.id` = '{identity}'")
        found.append((stored.info.status, len(client.get_metric_history(stored.info.run_id, "loss"))))
    assert found == [("KILLED", 1), ("FINISHED", 2), ("FINISHED", 2)]


def test_a_finished_run_stays_so_when_what_adds_to_it_is_killed(server, tmp_path: Path) -> None:
    """As a visualize is that a scheduler ends."""
    settings = Settings(backend="offline", experiment="synced")
    with tracking.start(settings, root=tmp_path, name="added to", tags={}) as run:
        run.log_metrics({"loss": 0.0}, step=0)
    sync.sync([], settings, home=tmp_path, to=server.uri, watch=False)
    if (child := os.fork()) == 0:
        with tracking.resume(settings, root=tmp_path, run_id=run.id, restore=lambda _: None) as added:
            added.log_metrics({"loss": 1.0}, step=1)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [each.adds for each in spools(tmp_path)] == [True]
    sync.sync([], settings, home=tmp_path, to=server.uri, watch=False)
    assert found(server.uri, "added to") == [("FINISHED", [0, 1])] and not spools(tmp_path)


def spools(root: Path) -> list[Spool]:
    return [Spool(folder) for folder in (root / "spool").glob("[!.]*")]
