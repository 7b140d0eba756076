"""Each check, where all is well and where something is wrong; and what mends it."""

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from filterlab import tracking
from filterlab.config import resolved
from filterlab.doctor import environment, examination, leftovers, locks, machine, runs, versions
from filterlab.doctor.finding import Finding

GONE = 4_194_305  # no process can have that number
Break = Callable[[Path, pytest.MonkeyPatch], None]


def edited(name: str, old: str, new: str) -> Break:
    def edit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return edit


def written(name: str, content: str, *, hours: float = 2) -> Break:
    """hours: since when it is there."""

    def write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (time.time() - hours * 3600,) * 2)

    return write


def damaged(name: str) -> Break:
    def damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (path,) = root.glob(name)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return damage


def waiting(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was logged offline."""
    settings = dataclasses.replace(resolved.load(root).tracking, backend="offline", system_metrics=False)
    with tracking.start(settings, root=root, name="n", tags={}, identity="a" * 32) as run:
        run.log_metrics({"loss": 0.5})


def another(letter: str) -> Break:
    """A spool beside that of `waiting`."""
    return lambda root, patch: shutil.copytree(root / f"spool/{'a' * 32}", root / f"spool/{letter * 32}") and None


def aged(folder: str) -> Break:
    """As it was a day ago, with all that is in it."""

    def age(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for path in [root / folder, *(root / folder).rglob("*")]:
            os.utime(path, (time.time() - 86_400,) * 2)

    return age


def beside(name: str, copy: str) -> Break:
    return lambda root, monkeypatch: shutil.copytree(root / name, root / copy) and None


def variable(name: str, text: str) -> Break:
    return lambda root, monkeypatch: monkeypatch.setenv(name, text)


def cores(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that may use one and a half of this machine's cores."""
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


def gpu(driver: tuple[int, int] | None, says: str, code: int = 0) -> Break:
    """A driver and an nvidia-smi that are made up: no machine of these tests has one."""

    def pretend(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs = root / "programs"
        programs.mkdir()
        (programs / "nvidia-smi").write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
        (programs / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(machine, "cuda_of_driver", lambda: driver)

    return pretend


H200 = "NVIDIA H200, 143771 MiB, 580.95.05"


def full(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**6))


def query(*statements: str) -> Break:
    def ask(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as store, store:
            for statement in statements:
                store.execute(statement)

    return ask


def running(host: str, process: str, *, kind: str = "") -> Break:
    """A run of the store as a machine that lost power leaves it."""
    tags = (
        {"filterlab.host": host, "filterlab.process": process} if not kind else {"filterlab.kind": kind, "filterlab.sweep": "s"}
    )
    set_tags = [f"insert into tags select '{key}', '{text}', run_uuid from runs" for key, text in tags.items()]
    return query("update runs set status = 'RUNNING', end_time = null", *set_tags)


def git(*words: str) -> Break:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return lambda root, monkeypatch: subprocess.run(["git", *who, *words], cwd=root, capture_output=True) and None


def all_of(*breaks: Break) -> Break:
    def each(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for one in breaks:
            one(root, monkeypatch)

    return each


MERGE = all_of(
    git("checkout", "-q", "-b", "other"),
    written("params.yaml", "model: mlp\n"),
    git("commit", "-qam", "a"),
    git("checkout", "-q", "main"),
    written("params.yaml", "model: cnn\n"),
    git("commit", "-qam", "b"),
    git("merge", "other"),
)
TABLE = json.dumps({"read": {"/a": [{"pid": GONE, "cmd": "dvc repro"}]}, "write": {"/b": {"pid": GONE, "cmd": "dvc repro"}}})
# By check: what is done to the repository, what is said then, and whether it can be mended.
FAULTS: dict[str, list[tuple[Break, str, bool]]] = {
    "Python": [(edited("pyproject.toml", ">=3.11", ">=3.99"), "and pyproject.toml says >=3.99", False)],
    "packages": [
        (edited("requirements.lock", "pytorch-lightning==", "pytorch-lightning==9."), "pytorch-lightning is 2.", False),
        (lambda root, patch: patch.setitem(environment.MALICIOUS, ("numpy", version("numpy")), "x"), "is malicious: it x", False),
        (
            all_of(
                edited("pyproject.toml", '    "torch==', '    "absent==1",\n    "torch=='),
                edited("requirements.lock", "alembic==", "absent==1\nalembic=="),
            ),
            "not installed: absent",
            False,
        ),
        (written("requirements.lock", "\0"), "requirements.lock names no package", False),
    ],
    "code": [(written("src/filterlab/other.py", "1"), "differs from this repository's", False)],
    "threads": [
        (variable("OMP_NUM_THREADS", "512"), "512 (OMP_NUM_THREADS), but", False),
        (variable("MKL_NUM_THREADS", "two"), "MKL_NUM_THREADS=two is no number of threads", False),
        (edited("results/config.yaml", "threads: 0", "threads: 512"), "512 (trainer.threads), but", False),
        (cores, "8 (one a core), but 2 cores to use (a cgroup allows 1.5)", False),
    ],
    "GPU": [
        (
            edited("results/config.yaml", "accelerator: auto", "accelerator: gpu"),
            "none, and results/config.yaml asks for one",
            False,
        ),
        (gpu((12, 4), H200), "its driver knows CUDA 12.4, and PyTorch is built for 13.0", False),
        (gpu((13, 0), "Failed to initialize NVML", 9), "nvidia-smi says: Failed to initialize NVML", False),
    ],
    "disk": [(full, "0.001 GB free for the repository", False)],
    "config": [(edited("results/config.yaml", "seed: ", "sead: "), "Did you mean sead?", False)],
    "raw data": [
        (damaged("data/raw/Digits/raw/train-images*"), "train-images-idx3-ubyte is damaged", False),
        (lambda root, patch: next((root / "data/raw/Digits/raw").glob("*labels*")).unlink(), "is missing", False),
        (
            all_of(beside("data/raw/Digits", "data/sets/raw/Digits"), damaged("data/sets/raw/Digits/raw/train-images*")),
            "data/sets/raw/Digits is not as it was written",
            False,
        ),
    ],
    "data": [
        (damaged("data/processed/train/train_images.npy"), "the arrays are damaged", False),
        (damaged("data/processed/test/card.json"), "card.json is damaged", False),
        (
            all_of(beside("data/processed", "data/sets/digits-0123456789ab"), damaged("data/sets/*/train/train_labels.npy")),
            "data/sets/digits-0123456789ab/train: the arrays are damaged",
            False,
        ),
    ],
    "model": [
        (damaged("models/model.safetensors"), "model.safetensors is damaged", False),
        (damaged("models/model.json"), "model.json is damaged", False),
    ],
    "store": [
        (written("mlflow.db", "no database"), "no database", False),
        (query("update alembic_version set version_num = 'fedcba987654'"), "a newer, or another, MLflow", False),
        (query("update alembic_version set version_num = '451aebb31d03'"), "an older MLflow", False),
        (query("drop table runs"), "is no MLflow store", False),
        (lambda root, patch: shutil.rmtree(root / "mlartifacts"), "is missing", False),
        (
            edited("results/config.yaml", "backend: local\n  uri: ''", "backend: server\n  uri: http://127.0.0.1:9"),
            "http://127.0.0.1:9 does not answer (Connection refused)",
            False,
        ),
    ],
    "runs": [
        (running(socket.gethostname(), f"{GONE} 1.00"), "is RUNNING, and its process is gone", True),
        (running(socket.gethostname(), f"{os.getpid()} 1.00"), "is RUNNING, and its process is gone", True),
        (running("", "", kind="sweep"), "is RUNNING, and its process is gone", True),
    ],
    "spools": [
        (waiting, "1 spool waits, 4 records that no store has got: spool/ aaaa", False),
        (all_of(waiting, *map(another, "bcdef")), f"6 spools wait, 24 records that no store has got: spool/ {'a' * 32}, ", False),
        (all_of(waiting, damaged(f"spool/{'a' * 32}/records")), "records is damaged at byte", False),
    ],
    "trainings": [
        (
            all_of(
                written("checkpoints/0123456789abcdef/epoch_3.ckpt", "x" * 2000, hours=49),
                lambda root, patch: shutil.copy(root / "results/config.yaml", root / "checkpoints/0123456789abcdef"),
                lambda root, patch: os.utime(root / "checkpoints/0123456789abcdef/config.yaml", (time.time() - 49 * 3600,) * 2),
                lambda root, patch: os.utime(root / "checkpoints/0123456789abcdef", (time.time() - 49 * 3600,) * 2),
            ),
            "mlp on digits, seed 0, broke off 2 days ago: checkpoints/0123456789abcdef, 1 checkpoint, ",
            False,
        ),
        (written("checkpoints/0123456789abcdef/config.yaml", "\0"), "a training broke off", False),
        (
            all_of(
                lambda root, patch: shutil.copytree(root / "results", root / "checkpoints/0123456789abcdef") and None,
                edited("checkpoints/0123456789abcdef/config.yaml", "checkpoints: ''", "checkpoints: s3://team/a"),
            ),
            "checkpoints/0123456789abcdef, in s3://team/a",
            False,
        ),
    ],
    "downloads": [
        (written("data/partial/train-images.gz.0123", "x" * 5000), "broke off, 2 hours ago: train-images.gz (5.0 kB", False)
    ],
    "files": [
        (written("results/.metrics.json.0a1b2c3d", "x"), "half made: results/.metrics.json.0a1b2c3d (1 bytes)", True),
        (written("mlflow.db.unfinished", "x"), "half made: mlflow.db.unfinished", True),
        (written("runs/s/trials/a/models/.model.json.0a1b2c3d", "x"), "half made: runs/s/trials/a/models/.model", True),
        (
            written("checkpoints/0123456789abcdef.finished/epoch_1.ckpt", "x"),
            "half removed: checkpoints/0123456789abcdef.fin",
            True,
        ),
        (written("runs/s/frozen.partial/conf/a.yaml", "x"), "half removed: runs/s/frozen.partial", True),
        (written("runs/s/frozen/data/raw/MNIST.partial/a", "x"), "half removed: runs/s/frozen/data/raw/MNIST.partial", True),
        (
            all_of(
                written("runs/2026-01-01_00-00-00/results/config.yaml", "x"),
                written("runs/2026-01-01_00-00-00/train.log", ""),
                aged("runs/2026-01-01_00-00-00"),
                written("runs/2026-01-02_00-00-00/models/model.json", "x"),
                aged("runs/2026-01-02_00-00-00"),
            ),
            "of trainings that ended before their results: runs/ 2026-01-01_00-00-00",
            True,
        ),
        (written("data/sets/raw/MNIST.partial/raw/a", "x"), "half removed: data/sets/raw/MNIST.partial", True),
    ],
    "DVC's locks": [
        (written(".dvc/tmp/rwlock", TABLE), f".dvc/tmp/rwlock names processes that are gone: {GONE}", True),
        (
            written(".dvc/tmp/rwlock", TABLE.replace(str(GONE), "1")),
            "names processes that are gone: 1",
            True,
        ),  # its number, reused
        (written(".dvc/tmp/rwlock", TABLE[:-9]), ".dvc/tmp/rwlock is damaged", True),
        (written(".dvc/tmp/rwlock", '{"read": {"/a": 3}}'), ".dvc/tmp/rwlock is damaged", True),
    ],
    "Git": [
        (MERGE, "a merge is under way", False),
        (MERGE, "not merged: params.yaml", False),
        (written(".git/index.lock", ""), "index.lock was left by a git that is gone", True),
        (written(".git/HEAD", "nonsense"), "git does not read this repository", False),
    ],
    "DVC": [
        (written("dvc.lock", "stages: [}"), "dvc.lock can't be read", False),
        (written("dvc.lock", "stages: {gone: {cmd: x}}"), "dvc.lock has stages that dvc.yaml lacks: gone", False),
        (written(".dvc/config.local", "[cache]\n    dir = /nowhere/at/all\n"), "its cache, /nowhere/at/all, is not there", False),
    ],
}
NOTHING_TO_BE_WRONG = {"processor", "locks"}
EVERY = [
    pytest.param(name, *fault, id=f"{name} {number}") for name, faults in FAULTS.items() for number, fault in enumerate(faults)
]


def found(name: str, root: Path) -> list[Finding]:
    return list(examination.findings(examination.CHECKS[name], root))


def test_every_check_is_tried() -> None:
    assert {*FAULTS} | NOTHING_TO_BE_WRONG == {*examination.CHECKS}


@pytest.mark.parametrize("name", examination.CHECKS)
def test_fine(name: str, root: Path) -> None:
    findings = found(name, root)
    assert findings and not [finding for finding in findings if finding.remedy]


@pytest.mark.parametrize(("name", "make_wrong", "says", "mendable"), EVERY)
def test_wrong(name: str, make_wrong: Break, says: str, mendable: bool, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And, where it can be mended, fine again: nothing else is."""
    make_wrong(root, monkeypatch)
    findings = found(name, root)
    wrong = [finding for finding in findings if finding.remedy]
    assert says in "\n".join(finding.says for finding in wrong), findings
    assert all("Error" not in finding.says for finding in wrong), "a sentence, not what Python says"
    assert any(finding.mend for finding in wrong) == mendable
    for finding in wrong:
        if finding.mend:
            assert finding.mend()
    if mendable:
        assert not [finding for finding in found(name, root) if finding.remedy]


def test_a_gpu_that_is_seen(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a driver and an nvidia-smi that are made up."""
    gpu((13, 0), H200)(root, monkeypatch)
    (finding,) = found("GPU", root)
    assert (finding.says, finding.remedy) == (
        "NVIDIA H200, 143771 MiB, driver 580.95.05; CUDA 13.0, PyTorch is built for 13.0",
        "",
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (finding,) = found("GPU", root)
    assert finding.says.endswith("hidden by CUDA_VISIBLE_DEVICES=''") and not finding.remedy
    monkeypatch.setattr(machine, "cuda_of_torch", lambda: None)
    (finding,) = found("GPU", root)
    assert "this PyTorch is built without CUDA" in finding.says and finding.remedy == "make setup"


def test_limits_of_control_groups(tmp_path: Path) -> None:
    """Of either version; of several groups, one in another, the least counts."""
    own, groups = tmp_path / "cgroup", tmp_path / "groups"
    (groups / "a/b").mkdir(parents=True)
    own.write_text("0::/a/b\n")
    assert machine.cpu_quota(groups, own) == 0
    (groups / "a/cpu.max").write_text("max 100000\n")
    assert machine.cpu_quota(groups, own) == 0
    (groups / "cpu.max").write_text("250000 100000\n")
    (groups / "a/b/cpu.max").write_text("400000 100000\n")
    assert machine.cpu_quota(groups, own) == 2.5
    own.write_text("5:memory:/a\n4:cpu,cpuacct:/job\n")
    assert machine.cpu_quota(groups, own) == 0
    (groups / "cpu/job").mkdir(parents=True)
    for name, text in [("quota", "-1"), ("period", "100000")]:
        (groups / f"cpu/job/cpu.cfs_{name}_us").write_text(f"{text}\n")
    assert machine.cpu_quota(groups, own) == 0
    (groups / "cpu/job/cpu.cfs_quota_us").write_text("50000\n")
    assert machine.cpu_quota(groups, own) == 0.5


@pytest.fixture
def holds(root: Path) -> Iterator[Callable[[str], int]]:
    """Has another process lock a file, as training does, and gives its number."""
    started = []

    def hold(name: str) -> int:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", code, str(root / name)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout and process.stdout.readline() == b"held\n"
        return process.pid

    yield hold
    for process in started:
        process.communicate()


def test_locks_that_are_held(root: Path, holds: Callable[[str], int]) -> None:
    """By whom; what such a lock guards is left alone."""
    places = ["checkpoints/0123456789abcdef.lock", "runs/s/driver.lock", "runs/s/trials/a/results/.lock", "results/.lock"]
    numbers = [holds(place) for place in places]
    says = [finding.says for finding in found("locks", root)]
    for place, number in zip(places, numbers, strict=True):
        assert any(f"{place} is held by process {number} (" in said for said in says)
    assert len(says) == len(places)
    for name in ("checkpoints/0123456789abcdef", "checkpoints/0123456789abcdef.finished", "runs/s/frozen.partial"):
        (root / name).mkdir()
    for name in ("trainings", "files"):
        (finding,) = found(name, root)
        assert not finding.remedy
    with pytest.raises(ValueError, match="somebody is at work"):
        leftovers.remove_folder(root / "runs/s/frozen.partial", root / "runs/s/driver.lock")
    assert (root / "runs/s/frozen.partial").exists()


def test_a_lock_that_the_systems_table_lacks_is_held_all_the_same(
    root: Path, holds: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another machine on a shared disk."""
    holds("results/.lock")
    monkeypatch.setattr(locks, "TABLE", root / "no table")
    assert locks.holder(root / "results/.lock") == locks.NOBODY
    (root / "results/other.lock").touch()
    assert locks.holder(root / "results/other.lock") == "" == locks.holder(root / "results/none.lock")


def test_dvcs_lock_that_is_held(root: Path, holds: Callable[[str], int]) -> None:
    number = holds(".dvc/tmp/lock")
    (finding,) = found("DVC's locks", root)
    assert f".dvc/tmp/lock is held by process {number}" in finding.says and not finding.remedy
    written(".dvc/tmp/rwlock", TABLE)(root, pytest.MonkeyPatch())
    assert [finding.mend for finding in found("DVC's locks", root)] == [None, None], "not while another dvc is at work"


def test_what_is_being_written_is_no_half_made_file(root: Path) -> None:
    """It is young, or a process has it open."""
    write = written("results/.metrics.json.0a1b2c3d", "x", hours=0.1)
    write(root, pytest.MonkeyPatch())
    assert [finding.remedy for finding in found("files", root)] == [""]
    written("results/.metrics.json.0a1b2c3d", "x")(root, pytest.MonkeyPatch())
    with (root / "results/.metrics.json.0a1b2c3d").open():
        assert [finding.remedy for finding in found("files", root)] == [""]
    assert [finding.remedy for finding in found("files", root)] == ["remove them"]


def test_data_sets_that_lie_beside_the_pipelines(root: Path) -> None:
    """A user's own images too, which are read where they lie."""
    beside("data/raw/Digits", "data/sets/raw/Digits")(root, pytest.MonkeyPatch())
    beside("data/processed", "data/sets/digits-0123456789ab")(root, pytest.MonkeyPatch())
    assert [finding.says.replace(f"{root}/", "") for finding in found("raw data", root)] == [
        "data/raw/Digits, intact",
        "data/sets/raw/Digits, intact",
    ]
    says = [finding.says.replace(f"{root}/", "").partition(":")[0] for finding in found("data", root)]
    parts = [f"{place}/{part}" for place in ("data/processed", "data/sets/digits-0123456789ab") for part in ("test", "train")]
    assert says == parts and not [finding for finding in found("data", root) if finding.remedy]


def test_many_are_counted(root: Path) -> None:
    for number in range(9):
        (root / f"checkpoints/{number:016x}").mkdir()
        (root / f"checkpoints/{number:016x}/epoch_1.ckpt").write_bytes(bytes(1000))
    findings = found("trainings", root)
    assert len(findings) == leftovers.SHOWN + 1
    assert findings[-1].says.startswith("4 more broke off, the oldest ") and findings[-1].says.endswith("4.0 kB")


def test_runs_whose_process_lives_or_is_elsewhere_are_left_alone(root: Path) -> None:
    import psutil

    tags = f"{os.getpid()} {psutil.Process().create_time():.2f}"
    running(socket.gethostname(), tags)(root, pytest.MonkeyPatch())
    assert [finding.remedy for finding in found("runs", root)] == [""]
    query("update tags set value = 'another' where key = 'filterlab.host'")(root, pytest.MonkeyPatch())
    assert [finding.remedy for finding in found("runs", root)] == [""]
    query("delete from tags where key = 'filterlab.host'")(root, pytest.MonkeyPatch())
    assert [finding.remedy for finding in found("runs", root)] == [""], "nobody knows whose"


def test_a_run_whose_sender_lives_is_left_to_it(root: Path, holds: Callable[[str], int]) -> None:
    running(socket.gethostname(), f"{GONE} 1.00")(root, pytest.MonkeyPatch())
    assert [finding.mend is not None for finding in found("runs", root)] == [True]
    query(f"update tags set value = '{'a' * 32}' where key = 'filterlab.id'")(root, pytest.MonkeyPatch())
    waiting(root, pytest.MonkeyPatch())
    holds(f"spool/{'a' * 32}/sender.lock")
    assert [each.remedy for each in found("runs", root)] == [""]
    assert [each.says for each in found("spools", root)] == ["nothing waits to be sent"]


def test_a_sweep_that_is_driven_runs(root: Path, holds: Callable[[str], int]) -> None:
    running("", "", kind="sweep")(root, pytest.MonkeyPatch())
    holds("runs/s/driver.lock")
    assert [finding.remedy for finding in found("runs", root)] == [""]


def test_runs_of_a_server_are_left_to_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited("results/config.yaml", "backend: local\n  uri: ''", "backend: server\n  uri: http://127.0.0.1:9")(root, monkeypatch)
    assert [finding.says for finding in found("runs", root)] == ["the store can't be asked, as said above"]
    dead = runs.Running("0123", "a name", {"filterlab.host": socket.gethostname(), "filterlab.process": f"{GONE} 1.00"})
    monkeypatch.setattr(runs.checkup, "running_at", lambda address, experiment: [dead])
    (finding,) = found("runs", root)
    assert finding.says == "a name (0123) is RUNNING, and its process is gone" and finding.remedy and finding.mend is None


def test_the_run_that_was_mended_ended(root: Path) -> None:
    running(socket.gethostname(), f"{GONE} 1.00")(root, pytest.MonkeyPatch())
    (finding,) = found("runs", root)
    assert finding.mend and "first: KILLED in mlflow.db" in finding.mend()
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as store:
        ((status, ended),) = store.execute("select status, end_time from runs").fetchall()
    assert status == "KILLED" and abs(ended / 1000 - time.time()) < 60


def test_the_stages_that_dvc_would_look_at(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a real dvc.lock, and `dvc status`, which says the same."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name, text in {
        "dvc.yaml": "stages:\n  one: {cmd: mkdir -p b && cp a/? b, deps: [a], outs: [b], params: [p.yaml: [x.y, z]]}\n"
        "  two: {cmd: cp b/c d, deps: [b], outs: [d]}\n",
        "p.yaml": "x: {y: 1}\nz: [a, 0.50]\nw: 1\n",
        "a/c": "1",
        "a/e": "2",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def dvc(*words: str) -> str:
        done = subprocess.run([programs / "dvc", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def due() -> str:
        (finding,) = versions.check_dvc(tmp_path)
        assert not finding.remedy
        return finding.says

    dvc("init", "--no-scm", "--quiet")
    assert due() == "`dvc repro` has 2 of 2 stages to look at: one (never ran); two (never ran)"
    dvc("repro", "--quiet")
    (tmp_path / "a/__pycache__").mkdir()
    (tmp_path / "a/__pycache__/c.pyc").write_text("x")
    (tmp_path / ".dvcignore").write_text("__pycache__\n")
    assert due() == "all 2 stages as in dvc.lock" and "up to date" in dvc("status")
    (tmp_path / "p.yaml").write_text("x: {y: 1}\nz: [a, 0.50]\nw: 2\n")
    assert due() == "all 2 stages as in dvc.lock" and "up to date" in dvc("status")
    (tmp_path / "p.yaml").write_text("x: {y: 2}\nz: [a, 0.50]\nw: 2\n")
    assert due() == "`dvc repro` has 1 of 2 stages to look at: one (p.yaml: x.y)" and "x.y" in dvc("status")
    dvc("repro", "--quiet")
    (tmp_path / "a/c").write_text("3")
    assert due() == "`dvc repro` has 1 of 2 stages to look at: one (a)" and "modified" in dvc("status")
    (tmp_path / "a/c").write_text("1")
    (tmp_path / "d").unlink()
    assert due() == "`dvc repro` has 1 of 2 stages to look at: two (d is not here)" and "deleted" in dvc("status")
