"""The pipeline, trainings by hand and sweeps on a GPU, by their commands; `make gpu` runs them."""

import json
import signal
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.gpu
QUICK = ["trainer=gpu", "tracking=offline", "trainer.max_epochs=2", "trainer.patience=2"]


@pytest.fixture(scope="module")
def project(make_project: Any) -> Any:
    project = make_project()
    project.edit("params.yaml", "trainer: cpu", "trainer: gpu")
    return project


def test_the_pipeline(project: Any) -> None:
    """From params.yaml to the pages: a model of the card's is measured, drawn and shown as any other."""
    project.run("dvc", "repro")
    assert json.loads((project.root / "results/run.json").read_text())["device"] == "cuda"
    assert json.loads((project.root / "results/metrics.json").read_text())["accuracy"] > 0.8
    assert all((project.root / f"results/{page}.html").stat().st_size > 100_000 for page in ("report", "play"))
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")


def models(project: Any, sweep: str) -> dict[str, str]:
    """Trial's key -> SHA-256 of its weights."""
    found = (project.root / "runs" / sweep / "trials").glob("*/models/model.json")
    return {path.parts[-3]: json.loads(path.read_text())["files"]["model.safetensors"] for path in found}


@pytest.mark.parametrize(
    "launcher", [["joblib", "hydra.launcher.n_jobs=4"], pytest.param(["slurm", "hydra.launcher.gpus_per_node=1"], id="slurm")]
)
def test_several_at_once_come_to_the_bits_of_one_after_another(project: Any, launcher: list[str]) -> None:
    """(SLURM: where it is installed, and knows of the card.)"""
    name, *settings = launcher
    if name == "slurm" and "gpu" not in subprocess.run(["sh", "-c", "sinfo -h -o %G"], capture_output=True, text=True).stdout:
        pytest.skip("no SLURM with a GPU")
    sweep = ["filterlab", "train", "-m", *QUICK, "seed=0,1,2,3"]
    project.run(*sweep, "--sweep", f"alone_{name}")
    project.run(*sweep, "--sweep", name, f"hydra/launcher={name}", *settings)
    assert len(models(project, name)) == 4 and models(project, name) == models(project, f"alone_{name}")


@pytest.mark.parametrize("devices", [1, 2])
def test_processes_of_ddp_come_to_what_one_process_does(project: Any, devices: int) -> None:
    """(Within what rounding makes of two epochs; two processes have two batches' statistics for one.)"""
    import torch

    if torch.cuda.device_count() < devices:
        pytest.skip("one card")
    losses = []
    for name, words in [("auto", []), ("ddp", ["trainer.strategy=ddp", f"trainer.devices={devices}"])]:
        place = f"runs/{name}{devices}"
        project.run("filterlab", "train", *QUICK, "trainer.precision=32", *words, f"hydra.run.dir={place}")
        head, *rows = (line.split(",") for line in (project.root / place / "results/curves.csv").read_text().splitlines())
        losses.append([float(row[head.index("validation/loss")]) for row in rows])
    assert losses[0] == pytest.approx(losses[1], rel=0.02 if devices == 1 else 0.2)


def test_what_a_scheduler_ends_goes_on(project: Any) -> None:
    words = ["filterlab", "train", *QUICK[:2], "trainer.max_epochs=60", "trainer.patience=60", "hydra.run.dir=runs/ended"]
    process = subprocess.Popen(words, cwd=project.root, env=project.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch"):
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert "goes on" in project.run(*words)


def test_a_card_that_is_hidden_is_one_sentence(project: Any) -> None:
    hidden = project.environment | {"CUDA_VISIBLE_DEVICES": ""}
    words = ["filterlab", "train", *QUICK]
    ran = subprocess.run(words, cwd=project.root, env=hidden, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "PyTorch finds 0 GPUs here" in ran.stderr and "Traceback" not in ran.stderr
