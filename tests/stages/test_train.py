"""`filterlab stage train` as a user and a scheduler treat it: ended by each signal and given again, given twice at once, on two
processes, on a terminal, on a full disk.
"""

import itertools
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from filterlab import seal
from filterlab.config import compose, resolved
from filterlab.data import arrays, idx, published
from filterlab.data.arrays import Card, LabelledImages, digest
from filterlab.data.prepare import made_from
from filterlab.errors import DataError, UserError
from filterlab.models import registry
from filterlab.runs import folder as run_folder
from filterlab.runs.unfinished import Unfinished
from filterlab.stages import train as stages_train
from filterlab.stages.train import load, write
from filterlab.tracking import provenance
from filterlab.training.fit import Fitted
from filterlab.training.history import Epoch

ROOT = Path(__file__).parents[2]
TRAIN = ["-m", "filterlab.cli", "stage", "train"]
PARAMETERS = ["model=mlp", "model.hidden=[8]", "optimizer=adam", "trainer=cpu", "trainer.precision='32'", "trainer.batch_size=8"]
PARAMETERS += ["trainer.max_epochs=9", "trainer.patience=9", "trainer.threads=1"]
pytestmark = pytest.mark.usefixtures("python")
OUTPUTS = ["models/model.safetensors", "models/model.json", "models/filters.safetensors", "results/curves.csv"]


@pytest.fixture
def make_root(tmp_path: Path) -> Callable[..., Path]:
    """A repository whose preprocess stage is done: 300 images of noise, the brighter the higher the label."""

    def make(name: str, *overrides: str) -> Path:
        root = tmp_path / name
        draw = np.random.Generator(np.random.PCG64(0))
        labels = (np.arange(401) % 10).astype(np.uint8)
        images = (draw.integers(0, 100, (401, 1, 28, 28)) + 15 * labels[:, None, None, None]).astype(np.uint8)
        parts = {
            "train": LabelledImages(images=images[:300], labels=labels[:300]),
            "validation": LabelledImages(images=images[300:], labels=labels[300:]),
        }
        counts = {name: len(part) for name, part in parts.items()}
        classes = [str(label) for label in range(10)]
        shutil.copytree(ROOT / "conf", root / "conf")
        (root / "dvc.yaml").write_text("stages: {}\n")
        (root / "results").mkdir()
        config = compose.compose(root / "conf", [*PARAMETERS, *overrides])
        (root / resolved.RESOLVED).write_text(resolved.dump(config))
        card = Card("noise", classes, 1, 28, 28, counts, 0.45, 0.2, digest(parts), made_from(config.data))
        arrays.save(root / "data/processed/train", parts, card)
        return root

    return make


def test_old_arrays_are_not_taken_for_what_is_asked_now(make_root: Callable[..., Path]) -> None:
    """The resolved config has changed and preprocess has not run since: they are made from data/raw, in memory."""
    root = make_root("root")
    raw, data = root / "data/raw", resolved.load(root).data
    for part, count in [("train", 20), ("t10k", 10)]:
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.repeat(labels, 28 * 28).reshape(count, 28, 28)
        idx.write(published.place(raw, data) / f"{part}-images-idx3-ubyte", images)
        idx.write(published.place(raw, data) / f"{part}-labels-idx1-ubyte", labels)
    paths = published.place(raw, data).iterdir()
    published.write_digests(raw, data, {path.name: seal.sha256(path.read_bytes()) for path in paths})
    assert len(load(resolved.load(root), root)[1]) == 300
    changed = compose.compose(root / "conf", [*PARAMETERS, "data.validation=0.5"])
    (root / resolved.RESOLVED).write_text(resolved.dump(changed))
    card, train, validation = load(changed, root)
    assert (len(train), len(validation), card.made_from) == (10, 10, made_from(changed.data))
    assert set(train.images[train.labels == 7].flat) == {7}


def start(root: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    environment.pop("DVC_ROOT", None)
    return subprocess.Popen(
        [sys.executable, *TRAIN], cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def train(root: Path) -> str:
    process = start(root)
    said, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, ""), said + errors
    return said


def end_in_epoch(root: Path, epoch: int, how: signal.Signals) -> tuple[int, str]:
    """Exit code and what stderr says, of a training that gets the signal when it has told of that epoch."""
    process = start(root)
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith(f"epoch {epoch}/"):
        assert line, process.communicate()
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def status(client: mlflow.MlflowClient, run_id: str) -> str:
    """Of the run, once it has ended: the recorder of a killed training needs a moment."""
    deadline = time.monotonic() + 20
    while (found := client.get_run(run_id).info.status) == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.1)
    return str(found)


def runs_of(client: mlflow.MlflowClient) -> list[mlflow.entities.Run]:
    return list(client.search_runs([client.get_experiment_by_name("filterlab").experiment_id]))


def test_ended_by_each_signal_and_given_again_it_comes_to_the_same(make_root: Callable) -> None:
    whole, broken = make_root("whole", "tracking=off"), make_root("broken")
    stages_train.run(whole)
    client, run_ids = None, set()
    for epoch, how, code in [(2, signal.SIGINT, 130), (4, signal.SIGTERM, 143), (6, signal.SIGKILL, -signal.SIGKILL)]:
        found, errors = end_in_epoch(broken, epoch, how)
        assert found == code, errors
        # What the store has not got in so short a time, it gets yet.
        errors = "".join(line for line in errors.splitlines(keepends=True) if "has not got" not in line)
        if how == signal.SIGINT:
            assert errors == (
                "filterlab: interrupted\n"
                "filterlab: its checkpoints are kept: the same command goes on from the last one, under the same MLflow run\n"
            )
        else:
            assert errors == ""
        client = client or mlflow.MlflowClient(f"sqlite:///{broken / 'mlflow.db'}")
        (run,) = runs_of(client)
        run_ids.add(run.info.run_id)
        assert status(client, run.info.run_id) == "KILLED"
    train(broken)
    (run_id,) = run_ids
    assert json.loads((broken / "results/run.json").read_text())["run_id"] == run_id
    for output in OUTPUTS:
        assert (broken / output).read_bytes() == (whole / output).read_bytes(), output
    assert list((broken / "checkpoints").iterdir()) == []

    assert client is not None and status(client, run_id) == "FINISHED"
    for name, expected in [("validation/loss", list(range(1, 10))), ("step/loss", list(range(10, 9 * 38 + 1, 10)))]:
        assert [point.step for point in client.get_metric_history(run_id, name)] == expected, name
    images = [entry.path for entry in client.list_artifacts(run_id, "images") if entry.path.endswith(".png")]
    assert sorted(int(path.split("+")[2]) for path in images) == list(range(10))
    assert len(runs_of(client)) == 1


def logged(root: Path) -> dict[str, list[tuple[int, float]]]:
    """The points of the one run in `root`, as they were logged, but for those of how long it took."""
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    (run,) = runs_of(client)
    assert status(client, run.info.run_id) == "FINISHED"
    names = [name for name in run.data.metrics if not name.startswith(("training/", "system/"))]
    return {name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)] for name in names}


KILLS = int(os.environ.get("FILTERLAB_KILLS", "2"))


def test_killed_at_random_moments_and_given_again_until_it_is_done(make_root: Callable) -> None:
    """Whenever that is, an epoch and its validation included: the same files bit for bit, each point once. With a checkpoint
    as often as the disk takes one. As many trainings as it takes to kill FILTERLAB_KILLS processes. (Killed on its way out, it is
    finished; given again, it would be another training, of a run of its own.)
    """
    few = ["trainer.checkpoint_seconds=0", "trainer.max_epochs=3", "trainer.patience=3"]
    whole = make_root("whole", *few)
    begun = time.monotonic()
    train(whole)
    seconds, expected = time.monotonic() - begun, logged(whole)
    draw, kills, within = np.random.Generator(np.random.PCG64(0)), 0, 0
    for number in itertools.count():
        root = make_root(f"killed {number}", *few)
        while True:
            process = start(root)
            try:
                said, errors = process.communicate(timeout=draw.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                within += any((root / "checkpoints").glob("*/epoch_*_batch_*.ckpt"))
                left = {path.suffix for path in (root / "checkpoints").glob("*")}
                if (root / "results/run.json").exists() and "" not in left:
                    break
            else:
                assert (process.returncode, errors) == (0, ""), said + errors
                assert list((root / "checkpoints").iterdir()) == []
                break
        for output in OUTPUTS:
            assert (root / output).read_bytes() == (whole / output).read_bytes(), output
        assert logged(root) == expected
        shutil.rmtree(root)
        if kills >= KILLS:
            break
    print(f"{kills} kills, {within} of them with a checkpoint within an epoch, in {number + 1} trainings")


# Trains, and dies at the call of that number of those that move, remove or force files; without one it says how many there are.
DIES = """
import os, signal, sys
from pathlib import Path
from filterlab.stages import train
at, after, calls = int(sys.argv[1]), sys.argv[2] == "after", 0
def counted(method):
    def call(*given, **named):
        global calls
        calls += 1
        if calls == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*given, **named)
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call
for name in ("replace", "rename", "unlink", "rmdir", "fsync"):
    setattr(os, name, counted(getattr(os, name)))
train.run(Path.cwd())
print("calls", calls)
"""


def dies(root: Path, at: int, when: str) -> tuple[int, str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    environment.pop("DVC_ROOT", None)
    command = [sys.executable, "-c", DIES, str(at), when]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_killed_at_each_call_that_moves_or_removes_files_and_given_again(make_root: Callable) -> None:
    """FILTERLAB_KILLS of them, drawn: one run, FINISHED, each point once, the same files bit for bit."""
    few = ["trainer.max_epochs=2", "trainer.patience=2"]
    whole = make_root("whole", *few)
    code, said = dies(whole, 0, "before")
    assert code == 0, said
    calls, expected = int(said.splitlines()[-1].partition(" ")[2]), logged(whole)
    assert calls > 20
    draw = np.random.Generator(np.random.PCG64(1))
    for number in range(KILLS):
        at, when = int(draw.integers(1, calls + 1)), ("before", "after")[number % 2]
        root = make_root(f"dies {number}", *few)
        code, said = dies(root, at, when)
        assert code in (0, -signal.SIGKILL), said  # a call less than before, as of a clock
        if not ((root / "results/run.json").exists() and not any((root / "checkpoints").glob("*/"))):
            train(root)  # else it was killed on its way out: it is finished
        for output in OUTPUTS:
            assert (root / output).read_bytes() == (whole / output).read_bytes(), (at, when, output)
        assert logged(root) == expected, (at, when)
        shutil.rmtree(root)


@pytest.fixture
def few(make_root: Callable) -> Path:
    return make_root("few", "trainer.max_epochs=2", "trainer.patience=2")


def test_a_training_killed_before_its_first_step_goes_on_as_the_same_run(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run may be there before the training has heard MLflow's id of it."""

    def killed(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(registry, "predictor", killed)
            stages_train.run(few)
    stages_train.run(few)
    client = mlflow.MlflowClient(f"sqlite:///{few / 'mlflow.db'}")
    (run,) = runs_of(client)
    facts = json.loads((few / "results/run.json").read_text())
    assert (run.info.status, run.info.run_id, run.info.experiment_id) == ("FINISHED", facts["run_id"], facts["experiment_id"])


def test_a_kill_while_a_finished_training_removes_its_checkpoints(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command given again begins anew, since all of the finished training is there; its run stays as it ended."""
    real = shutil.rmtree

    def dies(folder: Path, **named: object) -> None:
        if any(Path(folder).glob("epoch_*.ckpt")):
            next(Path(folder).glob("epoch_*.ckpt")).unlink()
            raise KeyboardInterrupt
        real(folder, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", dies)
        stages_train.run(few)
    weights = (few / "models/model.safetensors").read_bytes()
    first = json.loads((few / "results/run.json").read_text())["run_id"]
    stages_train.run(few)
    assert (few / "models/model.safetensors").read_bytes() == weights
    assert list((few / "checkpoints").iterdir()) == []
    client = mlflow.MlflowClient(f"sqlite:///{few / 'mlflow.db'}")
    assert [run.info.status for run in runs_of(client)] == ["FINISHED"] * 2
    assert first in [run.info.run_id for run in runs_of(client)]


def test_code_that_was_edited_meanwhile_is_told(
    few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """What is imported late, or logged with the model, may be the edited code: such a run can't be promoted."""
    digests = iter(["a" * 64, "b" * 64])
    monkeypatch.setattr(provenance, "code_digest", lambda package: next(digests))
    stages_train.run(few)
    client = mlflow.MlflowClient(f"sqlite:///{few / 'mlflow.db'}")
    (run,) = runs_of(client)
    assert (run.data.tags["filterlab.code"], run.data.tags["filterlab.dirty"]) == ("a" * 64, "true")
    assert "NOTE: the code was edited while this training ran" in capsys.readouterr().out


def test_two_trainings_never_write_to_one_folder(make_root: Callable) -> None:
    root = make_root("one folder")
    with run_folder.alone(root):
        process = start(root)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, said) == (2, "")
    assert errors == (
        f"filterlab: another training writes to {root} (it holds {root}/results/.lock): wait for its end, "
        "or choose another hydra.run.dir\n"
    )
    assert not (root / "mlflow.db").exists(), "no run is begun"


def test_it_ends_well_where_nobody_reads_on(make_root: Callable) -> None:
    """As under `| head -1`."""
    root = make_root("unread", "trainer.max_epochs=3", "trainer.patience=3")
    with start(root) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("epoch 1/3")
        process.stdout.close()
        assert (process.wait(120), process.stderr.read()) == (0, "")
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    assert status(client, json.loads((root / "results/run.json").read_text())["run_id"]) == "FINISHED"


def test_a_training_that_diverges_ends_as_failed(make_root: Callable) -> None:
    root = make_root("diverges", "optimizer=sgd", "optimizer.lr=1e6")
    with pytest.raises(UserError, match=r"^train/loss of epoch 1 is nan: the training diverged. Lower optimizer.lr \(now 1e\+06"):
        stages_train.run(root)
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("filterlab").experiment_id])
    assert run.info.status == "FAILED"


def test_two_processes_come_to_what_one_comes_to(make_root: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same batches, same starting weights: only the order of sums differs. In a shell of `salloc -n 2` too."""
    monkeypatch.setenv("SLURM_NTASKS", "2")
    few = ["augment=none", "trainer.max_epochs=2", "trainer.patience=2"]
    one = make_root("one", "tracking=off", *few)
    two = make_root("two", "trainer.strategy=ddp", "trainer.devices=2", *few)
    stages_train.run(one)
    train(two)
    curves = [np.genfromtxt(root / "results/curves.csv", delimiter=",", names=True) for root in (one, two)]
    for name in curves[0].dtype.names:
        np.testing.assert_allclose(curves[1][name], curves[0][name], rtol=1e-3, atol=1e-9, err_msg=name)
    client = mlflow.MlflowClient(f"sqlite:///{two / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("filterlab").experiment_id])
    assert run.info.status == "FINISHED"
    assert json.loads((two / "results/run.json").read_text())["run_id"] == run.info.run_id
    assert list((two / "checkpoints").iterdir()) == []


def test_two_processes_that_are_ended_within_an_epoch_come_to_the_same(make_root: Callable) -> None:
    """By SIGKILL of one of them, then by SIGTERM: dropout, augmentation and sums are each process's own."""
    ddp = [
        "model=conv_net",
        "model.layers=[{filters:2,kernel:5,pool:4,batch_norm:true}]",
        "trainer.strategy=ddp",
        "trainer.devices=2",
        "trainer.max_epochs=3",
        "trainer.patience=3",
    ]
    ddp += ["augment=shift", "tracking=off", "trainer.checkpoint_seconds=0"]
    whole, broken = make_root("whole", *ddp), make_root("broken", *ddp)
    train(whole)
    for epoch, how, code in [(2, signal.SIGKILL, -signal.SIGKILL), (3, signal.SIGTERM, 128 + signal.SIGTERM)]:
        process = start(broken)
        while process.poll() is None and not list((broken / "checkpoints").glob(f"*/epoch_{epoch}_batch_*.ckpt")):
            time.sleep(0.01)
        process.send_signal(how)
        said, errors = process.communicate(timeout=60)
        assert process.returncode == code, said + errors
    assert "goes on within epoch 3, after batch " in train(broken)
    for output in OUTPUTS:
        assert (broken / output).read_bytes() == (whole / output).read_bytes(), output


def test_while_another_process_runs_the_same_training_it_is_refused(make_root: Callable) -> None:
    root = make_root("twice")
    card, code = Card.load(root / "data/processed/train/card.json"), provenance.tags(root)["filterlab.code"]
    unfinished = Unfinished(root, resolved.load(root), data=card.digest, code=code)
    with unfinished.alone():
        mine = unfinished.begin("the other's")
        process = start(root)
        said, errors = process.communicate(timeout=60)
        assert (process.returncode, said) == (2, "")
        assert (
            errors.startswith("filterlab: this very training is being run by another process")
            and str(unfinished.folder) in errors
        )
        assert errors.count("\n") == 1
        assert unfinished.begin("the other's") == mine
    assert not (root / "mlflow.db").exists(), "no run is begun"


def test_a_terminal_shows_a_bar(make_root: Callable) -> None:
    root = make_root("terminal", "tracking=off", "trainer.max_epochs=2", "trainer.patience=2")
    ours, theirs = pty.openpty()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        "LINES": "40",
    }
    process = subprocess.Popen([sys.executable, *TRAIN], cwd=root, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # EIO: the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    for text in (b"Epoch 1/2", b"Epoch 2/2", b"38/38", b"epoch 2/2"):
        assert text in shown, shown.decode()
    assert b"Traceback" not in shown


def test_a_full_disk_leaves_whole_files(tmp_path: Path, file_size_limit: Callable) -> None:
    """Wherever the room ends, the file that has none is named, and those before it are whole."""
    config = compose.compose(ROOT / "conf", ["model=softmax"])
    card = {"name": "noise", "classes": list("ab"), "channels": 1, "height": 4, "width": 4, "mean": 0.5, "std": 0.25}
    metrics = dict.fromkeys(["lr", "train/loss", "train/accuracy", "validation/loss", "validation/accuracy"], 0.1)
    epochs = [Epoch(number, metrics if number else {}, torch.zeros(2, 16), []) for number in range(100)]
    predictor = registry.predictor(config, mean=0.5, std=0.25)
    fitted = Fitted(predictor, epochs, 7, "32", "cpu", threads=1, seconds=2.0, images=600, pruned=False)

    def contents(out: Path) -> dict[str, bytes]:
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    write(tmp_path / "whole", fitted, config=config, card=card, trial=False)
    whole = contents(tmp_path / "whole")
    assert set(whole) == {*OUTPUTS}
    for number, content in enumerate(whole.values()):
        out = tmp_path / str(number)
        with file_size_limit(len(content) - 1), pytest.raises(DataError, match=rf"^cannot write {out}/\S+: File too large$"):
            write(out, fitted, config=config, card=card, trial=False)
        assert contents(out).items() <= whole.items()
