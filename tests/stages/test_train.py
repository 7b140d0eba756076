"""`filterlab stage train` as a user and a scheduler treat it: ended by each signal and given again, and on two processes."""

import json
import os
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

from filterlab.config import compose
from filterlab.data.arrays import Card, LabelledImages, digest

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, "-m", "filterlab.cli", "stage", "train"]
ORDER = ["model=mlp", "model.hidden=[8]", "optimizer=adam", "trainer=cpu", "trainer.precision='32'", "trainer.batch_size=8"]
ORDER += ["trainer.max_epochs=9", "trainer.patience=9", "trainer.threads=1"]
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
        for part, arrays in parts.items():
            arrays.save(root / "data/processed/train", part)
        counts = {part: len(arrays) for part, arrays in parts.items()}
        classes = [str(label) for label in range(10)]
        Card("noise", classes, 1, 28, 28, counts, 0.45, 0.2, digest(parts)).save(root / "data/processed/train/card.json")
        shutil.copytree(ROOT / "conf", root / "conf")
        (root / "dvc.yaml").write_text("stages: {}\n")
        (root / "results").mkdir()
        (root / compose.RECEIPT).write_text(compose.dump(compose.compose(root / "conf", [*ORDER, *overrides])))
        return root

    return make


def start(root: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    environment.pop("DVC_ROOT", None)
    return subprocess.Popen(TRAIN, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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


def test_ended_by_each_signal_and_given_again_it_comes_to_the_same(make_root: Callable) -> None:
    whole, broken = make_root("whole", "tracking=off"), make_root("broken")
    train(whole)
    client, run_ids = None, set()
    for epoch, how, code in [(2, signal.SIGINT, 130), (4, signal.SIGTERM, 143), (6, signal.SIGKILL, -signal.SIGKILL)]:
        found, errors = end_in_epoch(broken, epoch, how)
        assert found == code, errors
        if how == signal.SIGINT:
            assert errors == (
                "filterlab: interrupted\n"
                "filterlab: the finished epochs are kept: the same command goes on from there, under the same MLflow run\n"
            )
        else:
            assert errors == ""
        (folder,) = (broken / "checkpoints").iterdir()
        run_ids.add((folder / "run_id").read_text())
        client = client or mlflow.MlflowClient(f"sqlite:///{broken / 'mlflow.db'}")
        assert status(client, (folder / "run_id").read_text()) == "KILLED"
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
    assert len(client.search_runs([client.get_run(run_id).info.experiment_id])) == 1


def test_a_training_that_diverges_ends_as_failed(make_root: Callable) -> None:
    root = make_root("diverges", "optimizer=sgd", "optimizer.lr=1e30")
    process = start(root)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.startswith("filterlab: train/loss of epoch 1 is nan: the training diverged. Lower optimizer.lr (now 1e+30)")
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("filterlab").experiment_id])
    assert run.info.status == "FAILED"


def test_two_processes_come_to_what_one_comes_to(make_root: Callable) -> None:
    """Same batches, same starting weights: only the order of sums differs."""
    few = ["augment=none", "trainer.max_epochs=2", "trainer.patience=2"]
    one = make_root("one", "tracking=off", *few)
    two = make_root("two", "trainer.strategy=ddp", "trainer.devices=2", *few)
    train(one)
    train(two)
    curves = [np.genfromtxt(root / "results/curves.csv", delimiter=",", names=True) for root in (one, two)]
    for name in curves[0].dtype.names:
        np.testing.assert_allclose(curves[1][name], curves[0][name], rtol=1e-3, atol=1e-9, err_msg=name)
    client = mlflow.MlflowClient(f"sqlite:///{two / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("filterlab").experiment_id])
    assert run.info.status == "FINISHED"
    assert json.loads((two / "results/run.json").read_text())["run_id"] == run.info.run_id
    assert list((two / "checkpoints").iterdir()) == []
