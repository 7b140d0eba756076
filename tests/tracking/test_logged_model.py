"""The model in a run is that run's own, and there is one, whatever happened in between."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from sqlalchemy import URL
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.tracking.sender import Sender
from filterlab.tracking.spool import Spool
from filterlab.tracking.stored import StoredRun

LOADER = "import numpy\ndef _load_pyfunc(path): raise AssertionError('not loaded here')\n"
EXAMPLE = np.zeros((2, 1, 8, 8), np.float32)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """What log_model takes, of weights `own`."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/model.safetensors").write_bytes(b"own")
    common = {
        "loader": "loader",
        "code": {"loader.py": LOADER.encode()},
        "example": EXAMPLE,
        "output": EXAMPLE,
        "requirements": ["numpy"],
    }
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
    assert f"but {given['folder']} has one with {digest(b'another' + bytes([39]) + b's')}" in said
    found = client_of(root).get_run(run.id)
    assert (found.info.status, models(root, run.id), found.outputs.model_outputs) == ("FAILED", [], [])


def spooled(root: Path, given: dict[str, Any], identity: str = "") -> Spool:
    """A finished run that has trained a model, which no store has got yet."""
    with tracking.start(Settings(backend="offline"), root=root, name="n", tags={}, identity=identity) as run:
        run.log_model(**given)
    return Spool(root / "spool" / run.id)


@pytest.fixture
def sender_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Spool], Sender]:
    """The sender of a spool, here in this very process."""
    monkeypatch.chdir(root)
    uri = URL.create("sqlite", database=str(root / "mlflow.db")).render_as_string()
    opened = {"place": str(root / "mlflow.db"), "uri": uri, "folder": str(root), "experiment": "test", "writing": True}
    return lambda spool: Sender(spool.folder, opened)


def test_what_arrives_is_compared_too(
    root: Path, given: dict[str, Any], sender_of: Callable[[Spool], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sender_of(spooled(root, given))
    upload = MlflowClient.log_model_artifacts

    def damaged(client: MlflowClient, model_id: str, local: str) -> None:
        upload(client, model_id, local)
        for path in root.glob(f"mlartifacts/*/models/{model_id}/artifacts/data/models/*"):
            path.write_bytes(b"bits fell over")

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", damaged)
    with pytest.raises(TrackingError, match=f"what arrived in .* has one with {digest(b'bits fell over')}"):
        sender.deliver()
    assert models(root, sender.sent.run) == []
    monkeypatch.undo()
    sender.deliver()
    check(root, sender.sent.run, b"own")


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_is_never_written_to_again_takes_up_room_once(
    root: Path, given: dict[str, Any], sender_of: Callable[[Spool], Sender], linked: bool
) -> None:
    """Linked, the run's own file and the store's are one; otherwise the run's own can be edited."""
    sender = sender_of(spooled(root, given | {"linked": linked}))
    sender.deliver()
    sender.remove_if_done()
    (stored,) = root.glob("mlartifacts/*/models/*/artifacts/data/models/model.safetensors")
    assert stored.samefile(given["folder"] / "model.safetensors") == linked
    check(root, sender.sent.run, b"own")


def test_logged_again_the_runs_own_file_is_not_written_to(
    root: Path, given: dict[str, Any], sender_of: Callable[[Spool], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender was killed when the store had the file as a link already; the next one copies anew, and is killed within."""
    spool = spooled(root, given | {"linked": True})
    monkeypatch.setattr(MlflowClient, "finalize_logged_model", killed := Mock(side_effect=Killed))
    with pytest.raises(Killed):
        sender_of(spool).deliver()
    upload = MlflowClient.log_model_artifacts

    def half(client: MlflowClient, model_id: str, local: str) -> None:
        for path in Path(local).rglob("model.safetensors"):
            path.write_bytes(b"half")
        upload(client, model_id, local)
        raise Killed

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", half)
    with pytest.raises(Killed):
        sender_of(spool).deliver()
    assert killed.called and (given["folder"] / "model.safetensors").read_bytes() == b"own"


def test_code_that_models_have_in_common_is_stored_once(
    root: Path, given: dict[str, Any], sender_of: Callable[[Spool], Sender]
) -> None:
    other = given | {"code": {"loader.py": f"{LOADER}# another".encode()}}
    for each, identity in [(given, "a" * 32), (given, "b" * 32), (other, "c" * 32), (other, "d" * 32), (given, "e" * 32)]:
        if identity == "d" * 32:  # a damaged one is nobody's
            (_, damaged) = sorted(root.glob("mlartifacts/*/code/*"), key=lambda path: path.stat().st_size)
            damaged.unlink()
            damaged.write_bytes(b"bits fell over")
        sender_of(spooled(root, each, identity)).deliver()
    stored = [path.stat().st_ino for path in root.glob("mlartifacts/*/models/*/artifacts/code/loader.py")]
    assert len(stored) == 5 and len(set(stored)) == 3
    assert {path.read_text() for path in root.glob("mlartifacts/*/models/*/artifacts/code/loader.py")} == {
        LOADER,
        f"{LOADER}# another",
    }


class Killed(BaseException):
    """As SIGKILL leaves things."""


@pytest.mark.parametrize(
    "moment", ["create_logged_model", "log_model_artifacts", "finalize_logged_model", "log_outputs", "set_terminated"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_sender_that_was_killed_at_any_moment_leaves_one_model_to_the_next(
    root: Path,
    given: dict[str, Any],
    sender_of: Callable[[Spool], Sender],
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    after: bool,
) -> None:
    spool = spooled(root, given)
    broken = sender_of(spool)
    method = getattr(MlflowClient, moment)

    def killed(*args: Any, **kwargs: Any) -> None:
        if after:
            method(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MlflowClient, moment, killed)
        broken.deliver()
    made = models(root, broken.sent.run)
    again = sender_of(spool)
    again.deliver()
    model = check(root, again.sent.run, b"own")
    assert again.sent.run == broken.sent.run and {found.model_id for found in made} <= {model}, "what was begun is gone on with"


def test_a_run_that_goes_on_to_other_weights_has_those(
    root: Path, given: dict[str, Any], sender_of: Callable[[Spool], Sender]
) -> None:
    before = sender_of(spooled(root, given))
    before.deliver()
    (given["folder"] / "model.safetensors").write_bytes(b"trained on")
    again = sender_of(spooled(root, given | {"digests": {"model.safetensors": digest(b"trained on")}}, before.spool.folder.name))
    again.deliver()
    assert again.sent.run == before.sent.run
    (model,) = models(root, again.sent.run)
    assert model.status.value == "READY" and model.tags["filterlab.sha256.model.safetensors"] == digest(b"trained on")


@pytest.mark.parametrize("spoil", ["gone", "second"])
def test_a_run_does_not_finish_without_its_model(
    root: Path, given: dict[str, Any], sender_of: Callable[[Spool], Sender], monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    sender = sender_of(spooled(root, given))
    log = StoredRun.log_model

    def spoiled(run: StoredRun, **arguments: Any) -> None:
        log(run, **arguments)
        (made,) = models(root, run.id)
        if spoil == "gone":
            run.mlflow.delete_logged_model(made.model_id)
        else:
            run.mlflow.create_logged_model(run.experiment, source_run_id=run.id)

    monkeypatch.setattr(StoredRun, "log_model", spoiled)
    with pytest.raises(TrackingError, match="should have one model, READY and with its own weights' digests; it has "):
        sender.deliver()
    assert client_of(root).get_run(sender.sent.run).info.status == "RUNNING"


@pytest.mark.parametrize("store", ["local", "server", "offline"], indirect=True)
def test_a_runs_model_and_its_curves_come_back(store: tuple[Settings, Path, str], given: dict[str, Any], tmp_path: Path) -> None:
    """From the store, or from the spool where that is all there is; infinity, too, which MLflow's databases don't hold."""
    settings, root, _ = store
    with tracking.start(settings, root=root, name="trained", tags={"test": settings.backend}) as run:
        for epoch, loss in enumerate([np.inf, 0.1 + 0.2, np.nan], start=1):
            run.log_metrics({"validation/loss": loss}, step=epoch)
        run.log_model(**given)
    with tracking.start(settings, root=root, name="none", tags={"test": f"{settings.backend} none"}):
        pass
    (tmp_path / "brought").mkdir()
    with tracking.reading(settings, root=root) as reader:
        (found,) = reader.search({"test": settings.backend})
        assert reader.bring_model(found, tmp_path / "brought")
        assert [(path.name, path.read_bytes()) for path in (tmp_path / "brought").iterdir()] == [("model.safetensors", b"own")]
        first, second, third = reader.history(found)["validation/loss"].items()
        assert (first, second) == ((1, np.inf), (2, 0.1 + 0.2)) and third[0] == 3 and np.isnan(third[1])
        (without,) = reader.search({"test": f"{settings.backend} none"})
        assert not reader.bring_model(without, tmp_path / "brought")
