"""The model in a run is that run's own, and there is one, whatever happened in between."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path
from sqlalchemy import URL
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.tracking.recorder import Recorder

LOADER = "import numpy\ndef _load_pyfunc(path): raise AssertionError('not loaded here')\n"
EXAMPLE = np.zeros((2, 1, 8, 8), np.float32)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """What log_model takes, of weights `own`."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/model.safetensors").write_bytes(b"own")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/loader.py").write_text(LOADER)
    common = {"loader": "loader", "code": tmp_path / "code", "example": EXAMPLE, "output": EXAMPLE, "requirements": ["numpy"]}
    return {"folder": tmp_path / "models", "digests": {"model.safetensors": digest(b"own")}, **common}


@pytest.fixture
def root(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "root").mkdir()
    shutil.copyfile(database / "mlflow.db", tmp_path / "root/mlflow.db")
    return tmp_path / "root"


def client_of(root: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(URL.create("sqlite", database=str(root / "mlflow.db")).render_as_string())


def models(root: Path, run_id: str) -> list[Any]:
    client = client_of(root)
    return list(client.search_logged_models([client.get_run(run_id).info.experiment_id], f"source_run_id = '{run_id}'"))


def check(root: Path, run_id: str, content: bytes) -> str:
    """The run is finished and has one model, with these weights; gives its id."""
    (model,) = models(root, run_id)
    run = client_of(root).get_run(run_id)
    assert (run.info.status, model.status.value) == ("FINISHED", "READY")
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert run.data.tags["filterlab.sha256.model.safetensors"] == digest(content)
    assert model.tags["filterlab.sha256.model.safetensors"] == digest(content)
    (kept,) = Path(local_file_uri_to_path(model.artifact_location)).glob("data/models/*")
    assert kept.read_bytes() == content
    return str(model.model_id)


def test_other_weights_than_the_runs_own_are_not_logged(root: Path, given: dict[str, Any]) -> None:
    """As where two trainings wrote into one folder."""
    (given["folder"] / "model.safetensors").write_bytes(b"another's")
    with pytest.raises(TrackingError) as raised, tracking.start(Settings(), root=root, name="n", tags={}) as run:
        run.wait()
        run.log_model(**given)
        run.wait()
    said = str(raised.value)
    assert f"the model.safetensors with the SHA-256 {digest(b'own')}" in said
    assert f"the copy of {given['folder']} has one with {digest(b'another' + bytes([39]) + b's')}" in said
    found = client_of(root).get_run(run.id)
    assert (found.info.status, models(root, run.id), found.outputs.model_outputs) == ("FAILED", [], [])


def recorder_in(root: Path, run_id: str = "") -> Recorder:
    recorder = Recorder()
    place = {"place": str(root / "mlflow.db"), "uri": URL.create("sqlite", database=str(root / "mlflow.db")).render_as_string()}
    recorder.open(**place, folder=str(root), experiment="test", writing=True, environment=dict(os.environ))
    recorder.create(name="n", tags={}, identity=run_id, system_metrics=False)
    return recorder


@pytest.fixture
def as_sent(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, root: Path) -> dict[str, Any]:
    """What reaches the recorder, here in this very process."""
    monkeypatch.chdir(root)
    return given | {"folder": str(given["folder"]), "code": str(given["code"])}


def test_what_arrives_is_compared_too(root: Path, as_sent: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = recorder_in(root)
    upload = recorder.client.log_model_artifacts

    def damaged(model_id: str, local: str) -> None:
        upload(model_id, local)
        for path in root.glob(f"mlartifacts/*/models/{model_id}/artifacts/data/models/*"):
            path.write_bytes(b"bits fell over")

    monkeypatch.setattr(recorder.client, "log_model_artifacts", damaged)
    with pytest.raises(TrackingError, match=f"what arrived in .* has one with {digest(b'bits fell over')}"):
        recorder.log_model(**as_sent)
    assert models(root, recorder.run_id) == []


class Killed(BaseException):
    """As SIGKILL leaves things."""


@pytest.mark.parametrize(
    "moment", ["create_logged_model", "log_model_artifacts", "finalize_logged_model", "log_outputs", "set_terminated"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_was_killed_at_any_moment_has_one_model_when_it_has_gone_on(
    root: Path, as_sent: dict[str, Any], monkeypatch: pytest.MonkeyPatch, moment: str, after: bool
) -> None:
    broken = recorder_in(root)
    method = getattr(broken.client, moment)

    def killed(*args: Any, **kwargs: Any) -> None:
        if after:
            method(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(broken.client, moment, killed)
    with pytest.raises(Killed):
        broken.log_model(**as_sent)
        broken.end(status="FINISHED")
    first = {model.model_id for model in models(root, broken.run_id) if model.status.value == "READY"}
    again = recorder_in(root, broken.run_id)
    again.log_model(**as_sent)
    again.end(status="FINISHED")
    model = check(root, broken.run_id, b"own")
    assert not first or first == {model}, "what is whole is kept"


def test_a_run_that_goes_on_to_other_weights_has_those(root: Path, as_sent: dict[str, Any]) -> None:
    before = recorder_in(root)
    before.log_model(**as_sent)
    Path(as_sent["folder"], "model.safetensors").write_bytes(b"trained on")
    again = recorder_in(root, before.run_id)
    again.log_model(**as_sent | {"digests": {"model.safetensors": digest(b"trained on")}})
    assert [model.status.value for model in models(root, before.run_id)] == ["READY"]
    again.end(status="FINISHED")


@pytest.mark.parametrize("spoil", ["gone", "second"])
def test_a_run_does_not_finish_without_its_model(root: Path, as_sent: dict[str, Any], spoil: str) -> None:
    recorder = recorder_in(root)
    recorder.log_model(**as_sent)
    (made,) = models(root, recorder.run_id)
    if spoil == "gone":
        recorder.client.delete_logged_model(made.model_id)
    else:
        recorder.client.create_logged_model(recorder.experiment, source_run_id=recorder.run_id)
    with pytest.raises(TrackingError, match="should have one model, READY and with its own weights' digests; it has "):
        recorder.end(status="FINISHED")
    recorder.end(status="FAILED")
    assert client_of(root).get_run(recorder.run_id).info.status == "FAILED"


@pytest.fixture
def sweep(root: Path) -> Callable[..., str]:
    """A parent run, begun or gone on with."""

    def opened(run_id: str = "") -> str:
        with tracking.start(Settings(), root=root, name="sweep", tags={}, identity=run_id) as run:
            run.wait()
        return run.id

    return opened


def test_a_deleted_run_is_begun_anew_but_not_one_that_others_are_below(root: Path, sweep: Callable[..., str]) -> None:
    """Else the points that a sweep has done would be trained again."""
    client, parent = client_of(root), sweep()
    client.delete_run(parent)
    assert sweep(parent) != parent
    client.restore_run(parent)
    with tracking.start(Settings(), root=root, name="point", tags={"mlflow.parentRunId": parent}):
        pass
    client.delete_run(parent)
    mlflow_command = Path(sys.executable).with_name("mlflow")
    command = f"cd {root} && MLFLOW_TRACKING_URI=sqlite:///mlflow.db {mlflow_command} runs restore --run-id {parent}"
    with pytest.raises(TrackingError, match="was deleted, but not the runs below it: bring it back with") as raised:
        sweep(parent)
    assert f"`{command}`" in str(raised.value)
    client.restore_run(parent)
    assert sweep(parent) == parent
