"""Trainings that start in the same second, in real processes: each run holds its own training, and nothing of another.

Three of them on the local store; FILTERLAB_AT_ONCE=32 (as docs/reliability.md says) makes it 32, on a server too.
"""

import csv
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from filterlab.config import compose, resolved
from filterlab.stages import compose as stages_compose
from filterlab.stages import download, preprocess
from filterlab.stages.train import train

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("FILTERLAB_AT_ONCE", "3"))
STORES = ["local", "server"] if COUNT > 3 else ["local"]
PARAMETERS = """
data: digits
model: softmax
optimizer: adam
trainer: cpu
override: {trainer: {max_epochs: 2, threads: 1, precision: "32"}, tracking: {system_metrics: false}}
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose data are there."""
    root = tmp_path_factory.mktemp("repository")
    (root / "conf").symlink_to(ROOT / "conf")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(PARAMETERS)
    for stage in (stages_compose, download, preprocess):
        stage.run(root)
    return root


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """By seed, what the training leaves where it is the only one."""
    out = tmp_path_factory.mktemp("alone")
    overrides = compose.to_overrides(compose.read_parameters(prepared / "params.yaml"))
    for seed in range(COUNT):
        config = compose.compose(
            prepared / "conf", [word for word in overrides if word != "seed=0"] + [f"seed={seed}", "tracking=off"]
        )
        train(config, root=prepared, out=out / str(seed))
    return {seed: out / str(seed) for seed in range(COUNT)}


@pytest.fixture(params=STORES)
def uri(request: pytest.FixtureRequest, prepared: Path) -> Iterator[str]:
    yield f"sqlite:///{prepared / 'mlflow.db'}" if request.param == "local" else request.getfixturevalue("server").uri


def test_each_run_is_its_own(
    prepared: Path, alone: dict[int, Path], uri: str, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    words = ["tracking=server", f"tracking.uri={uri}"] if uri.startswith("http") else []
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_PROXY": "127.0.0.1"}
    environment.pop("DVC_ROOT", None)
    before = {*(prepared / "runs").glob("*")}
    processes = [
        subprocess.Popen(
            [python, "-m", "filterlab.cli", "train", f"seed={seed}", *words],
            cwd=prepared,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in alone
    ]
    for process in processes:
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
    subprocess.run([python, "-m", "filterlab.cli", "sync"], cwd=prepared, env=environment, check=True, capture_output=True)
    folders = {*(prepared / "runs").glob("*")} - before
    assert len(folders) == COUNT

    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("filterlab").experiment_id])
    assert sorted(int(run.data.params["seed"]) for run in runs) == list(alone), "one run a training"
    for run in runs:
        seed, run_id = int(run.data.params["seed"]), run.info.run_id
        expected = alone[seed]
        ids = [run_id, run.data.tags["filterlab.id"]]  # the second of a training whose store was busy at its end
        (folder,) = [folder for folder in folders if json.loads((folder / "results/run.json").read_text())["run_id"] in ids]
        for name in ("models/model.safetensors", "models/model.json", "models/filters.safetensors", "results/curves.csv"):
            assert (folder / name).read_bytes() == (expected / name).read_bytes(), (seed, name)
        assert yaml.safe_load((folder / resolved.RESOLVED).read_text())["seed"] == seed
        assert run.info.status == "FINISHED"
        check_history(client, run_id, expected / "results/curves.csv")
        scratch = tmp_path / run_id
        scratch.mkdir()
        artifacts = Path(client.download_artifacts(run_id, "", str(scratch)))
        assert yaml.safe_load((artifacts / "config.yaml").read_text())["seed"] == seed
        assert (artifacts / "curves.csv").read_bytes() == (expected / "results/curves.csv").read_bytes()
        pictures = [path.name for path in (artifacts / "images").glob("first_layer+step+*.png")]
        assert sorted(int(name.split("+")[2]) for name in pictures) == [0, 1, 2]
        assert weights(client, uri, run, scratch) == [digest(expected / "models/model.safetensors")]


def check_history(client: mlflow.MlflowClient, run_id: str, curves: Path) -> None:
    with curves.open() as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "validation/loss", "validation/accuracy"):
        logged = sorted((point.step, point.value) for point in client.get_metric_history(run_id, name))
        assert logged == [(int(row["epoch"]), float(row[name])) for row in rows], name


def weights(client: mlflow.MlflowClient, uri: str, run: Any, scratch: Path) -> list[str]:
    """Digests of the weights of the run's models in the store."""
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    found = []
    for model in models:
        folder = Path(mlflow.artifacts.download_artifacts(model.artifact_location, dst_path=str(scratch), tracking_uri=uri))
        found += [digest(path) for path in (folder / "data").rglob("model.safetensors")]
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
