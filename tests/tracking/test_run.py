"""What a run leaves in a store, read back with MLflow's own client: the same in a SQLite file and on a server."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.models import artifact, packed, pyfunc, registry
from filterlab.models.architectures.softmax import Softmax
from filterlab.tracking import senders
from filterlab.tracking.store import RESTORED, find, locate

SRC = Path(pyfunc.__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config = Softmax("softmax")
    card = {"name": "noise", "classes": list("abc"), "channels": 1, "height": 8, "width": 8, "mean": 0.2, "std": 0.4}
    network = registry.build(config, channels=1, height=8, width=8, classes=3, seed=0)
    artifact.save(tmp_path / "model", network, model=config, card=card)
    return tmp_path / "model"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def client_of(uri: str) -> mlflow.MlflowClient:
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


def steps(client: mlflow.MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def test_everything_that_is_logged_is_there(store, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture, children) -> None:
    settings, root, uri = store
    picture, report = tmp_path / "picture.png", tmp_path / "report.txt"
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(picture)
    report.write_text("all well")
    example = np.random.Generator(np.random.PCG64(1)).random((2, 1, 8, 8), np.float32)
    output = pyfunc._load_pyfunc(str(model)).predict(example)
    with tracking.start(settings, root=root, name="a name", tags={"made by": "a test"}) as run:
        run.log_params({"trainer.max_epochs": 3, "trainer.monitor": "validation/accuracy"})
        for step in range(1, 4):
            run.log_metrics({"validation/accuracy": step / 10, "lr": 1e-3}, step=step)
            run.log_image("filters/first", picture, step=step)
        run.log_artifact(report, folder="texts")
        run.log_artifact(model, folder="whole")
        digest = hashlib.sha256(b"data").hexdigest()
        run.log_dataset(name="noise", digest=digest, source="data/raw/Noise", context="training", profile={"train": 9})
        run.set_tags({"device": "cpu"})
        loader, code = packed.pack()
        given = {"loader": loader, "code": code, "example": example, "output": output}
        run.log_model(model, digests=digests(model), requirements=["numpy", "torch"], **given)
        run.wait()
    assert capfd.readouterr() == ("", "")
    assert children() == []

    client = client_of(uri)
    found = client.get_run(run.id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "a name")
    assert found.data.params == {"trainer.max_epochs": "3", "trainer.monitor": "validation/accuracy"}
    assert steps(client, run.id, "validation/accuracy") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert steps(client, run.id, "lr") == [(1, 1e-3), (2, 1e-3), (3, 1e-3)]
    assert found.data.tags["made by"] == "a test" and found.data.tags["device"] == "cpu"
    (given,) = found.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("noise", digest[:36])
    assert json.loads(given.dataset.profile) == {"train": 9} and given.tags[0].value == "training"
    whole = {entry.path for entry in client.list_artifacts(run.id, "whole")}
    assert whole == {"whole/model.json", "whole/model.safetensors"}
    assert Path(client.download_artifacts(run.id, "texts/report.txt", str(tmp_path))).read_text() == "all well"
    images = [entry.path for entry in client.list_artifacts(run.id, "images") if entry.path.endswith(".png")]
    assert sorted(Path(path).name.split("+")[:3] for path in images) == [
        ["filters~first", "step", str(step)] for step in (1, 2, 3)
    ]
    with Image.open(client.download_artifacts(run.id, images[0], str(tmp_path))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)

    (logged,) = client.search_logged_models([found.info.experiment_id], f"source_run_id = '{run.id}'")
    assert (logged.name, logged.status.value, found.outputs.model_outputs[0].model_id) == ("model", "READY", logged.model_id)
    info = mlflow.models.get_model_info(logged.model_uri)
    assert info.signature.inputs is None and info.signature.outputs.inputs[0].shape == (-1, 3)
    loaded = mlflow.pyfunc.load_model(logged.model_uri)
    np.testing.assert_array_equal(loaded.predict(example), output)
    np.testing.assert_allclose(loaded.input_example, example, rtol=1e-6)


def test_a_child_is_a_finished_run_of_its_own(store) -> None:
    settings, root, uri = store
    curve = [step / 3000 for step in range(1, 1502)]  # more points than one call takes
    with tracking.start(settings, root=root, name="parent", tags={}) as run:
        run.log_child(
            "n=3", params={"n": 3}, metrics={"test/accuracy": 0.75}, curves={"validation/loss": curve}, tags={"kind": "point"}
        )
        run.wait()
        parent = run.id
    client = client_of(uri)
    experiment = client.get_run(parent).info.experiment_id
    (child,) = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert (child.info.run_name, child.info.status, child.data.tags["kind"]) == ("n=3", "FINISHED", "point")
    assert child.data.params == {"n": "3"}
    assert steps(client, child.info.run_id, "test/accuracy") == [(0, 0.75)]
    assert steps(client, child.info.run_id, "validation/loss") == list(enumerate(curve, start=1))
    assert client.get_run(parent).data.metrics == {}


FRESH = """
import sys, numpy, mlflow, filterlab_gone
mlflow.set_tracking_uri(sys.argv[1])
example, answers = numpy.load(sys.argv[2]), []
for uri in sys.argv[4:]:
    answers.append(mlflow.pyfunc.load_model(uri).predict(example))
assert "filterlab" not in sys.modules
numpy.save(sys.argv[3], answers)
"""
GONE = """
import sys
class Finder:  # hides the installed package: only the model's own copy may answer
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None
sys.path[:] = [entry for entry in sys.path if entry.rstrip("/") != {src!r}]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder)]
"""


def test_models_answer_from_their_own_code(database: Path, model: Path, tmp_path: Path) -> None:
    """Where no filterlab is, and of two models in one process each from its own: the second one's code doubles."""
    example = np.random.Generator(np.random.PCG64(1)).random((2, 1, 8, 8), np.float32)
    output = pyfunc._load_pyfunc(str(model)).predict(example)
    loader, code = packed.pack()
    changed = tmp_path / "changed"
    shutil.copytree(packed.SOURCE, changed, ignore=shutil.ignore_patterns("__pycache__"))
    text = (changed / "models/pyfunc.py").read_text()
    assert ".numpy()\n" in text
    (changed / "models/pyfunc.py").write_text(text.replace(".numpy()\n", ".numpy() * 2\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "SOURCE", changed)
        packed.pack.cache_clear()
        other, doubling = packed.pack()
    packed.pack.cache_clear()
    assert other != loader and packed.pack() == (loader, code), "the same code gives the same bytes"
    uri, uris = f"sqlite:///{database / 'mlflow.db'}", []
    client = client_of(uri)
    for name, files in [(loader, code), (other, doubling)]:
        with tracking.start(Settings(), root=database, name="m", tags={}) as run:
            given = {"loader": name, "code": files, "example": example, "output": output}
            run.log_model(model, digests=digests(model), requirements=["numpy", "torch"], **given)
        (logged,) = client.search_logged_models([client.get_run(run.id).info.experiment_id], f"source_run_id = '{run.id}'")
        uris.append(logged.model_uri)
    (tmp_path / "filterlab_gone.py").write_text(GONE.format(src=str(SRC)))
    np.save(tmp_path / "example.npy", example)
    arguments = [uri, str(tmp_path / "example.npy"), str(tmp_path / "found.npy"), *uris]
    done = subprocess.run([sys.executable, "-c", FRESH, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), [output, 2 * output])


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")])
def test_a_run_says_how_it_ended(database: Path, error: type[BaseException], status: str) -> None:
    settings, root, uri = Settings(), database, f"sqlite:///{database / 'mlflow.db'}"
    with pytest.raises(error), tracking.start(settings, root=root, name="n", tags={}) as run:
        run.wait()
        run.log_metrics({"loss": 1.0}, step=1)
        raise error
    client = client_of(uri)
    assert client.get_run(run.id).info.status == status
    assert steps(client, run.id, "loss") == [(1, 1.0)]


def test_a_run_that_goes_on_says_nothing_twice(store, tmp_path: Path) -> None:
    settings, root, uri = store
    picture = tmp_path / "picture.png"
    Image.new("RGB", (4, 4)).save(picture)
    run_id = ""
    for last in (2, 4):
        with tracking.start(settings, root=root, name="n", tags={"try": str(last)}, identity=run_id) as run:
            run.wait()
            run.log_params({"seed": 0})
            for step in range(1, last + 1):
                run.log_metrics({"train/loss": step / 2}, step=step)
                run.log_image("first/layer", picture, step=step)
        assert run_id in ("", run.id)
        run_id = run.id
    client = client_of(uri)
    found = client.get_run(run_id)
    assert (found.info.status, found.data.tags["try"]) == ("FINISHED", "4")
    assert steps(client, run_id, "train/loss") == [(step, step / 2) for step in (1, 2, 3, 4)]
    images = [entry.path for entry in client.list_artifacts(run_id, "images") if entry.path.endswith(".png")]
    assert sorted(path.split("+")[2] for path in images) == ["1", "2", "3", "4"]


def test_a_run_that_goes_on_after_a_failure_does_not_keep_it(store) -> None:
    settings, root, uri = store
    with pytest.raises(OSError, match="disk full"), tracking.start(settings, root=root, name="n", tags={}, identity="") as run:
        run.wait()
        raise OSError("disk full")
    client = client_of(uri)
    assert client.get_run(run.id).data.tags["filterlab.error"] == "OSError: disk full"
    with tracking.start(settings, root=root, name="n", tags={}, identity=run.id) as again:
        again.wait()
    found = client.get_run(run.id)
    assert (again.id, found.info.status) == (run.id, "FINISHED") and "filterlab.error" not in found.data.tags


def test_a_picture_replaces_an_earlier_one(store, tmp_path: Path) -> None:
    """Of the same key and step, in a run that goes on and in one that is added to; the small one that the pages show too."""
    settings, root, uri = store
    picture, run_id = tmp_path / "picture.png", ""

    def log(run: tracking.NullRun, color: str) -> None:
        Image.new("RGB", (4, 4), color).save(picture)
        run.log_image("sweep/curves", picture)
        run.wait()

    for color in ("red", "lime"):
        with tracking.start(settings, root=root, name="n", tags={}, identity=run_id) as run:
            log(run, color)
        run_id = run.id
    with tracking.resume(settings, root=root, run_id=run_id, restore=lambda run: None) as run:
        log(run, "blue")
    client = client_of(uri)
    found = [entry.path for entry in client.list_artifacts(run_id, "images")]
    assert sorted([*Path(path).name.split("+")[:3], Path(path).suffix] for path in found) == [
        ["sweep~curves", "step", "0", ".png"],
        ["sweep~curves", "step", "0", ".webp"],
    ]
    for path in found:
        with Image.open(client.download_artifacts(run_id, path, str(tmp_path))) as image:
            red, green, blue = image.convert("RGB").getpixel((0, 0))
            assert blue > 250 and max(red, green) < 5, path


def test_a_table_replaces_an_earlier_one(store) -> None:
    """As MLflow reads it back, and under the tag by which its pages know it; a number that is none is missing."""
    settings, root, uri = store
    run_id = ""
    for rows in (1, 3):
        with tracking.start(settings, root=root, name="n", tags={}, identity=run_id) as run:
            run.wait()
            run.log_table("points.json", {"seed": ["7"] * rows, "accuracy": [0.5, float("nan"), None][:rows]})
        run_id = run.id
    client = client_of(uri)
    found = client.get_run(run_id)
    table = client.load_table(found.info.experiment_id, "points.json", run_ids=[run_id])
    assert list(table.columns) == ["seed", "accuracy"] and table["accuracy"].isna().tolist() == [False, True, True]
    assert json.loads(found.data.tags["mlflow.loggedArtifacts"]) == [{"path": "points.json", "type": "table"}]


def test_a_run_the_store_does_not_know_starts_anew(database: Path) -> None:
    with tracking.start(Settings(), root=database, name="n", tags={}, identity="0" * 32) as run:
        run.wait()
    assert len(run.id) == 32 and run.id != "0" * 32


def test_resume_adds_to_the_run_and_leaves_its_status(database: Path) -> None:
    settings, root, uri = Settings(), database, f"sqlite:///{database / 'mlflow.db'}"
    with pytest.raises(ValueError), tracking.start(settings, root=root, name="n", tags={}) as run:
        run.wait()
        raise ValueError
    with tracking.resume(settings, root=root, run_id=run.id, restore=lambda run: pytest.fail("it is known")) as again:
        again.log_metrics({"test/accuracy": 0.5})
    found = client_of(uri).get_run(run.id)
    assert (found.data.metrics, found.info.status) == ({"test/accuracy": 0.5}, "FAILED")


def test_resume_restores_an_unknown_run_once(database: Path) -> None:
    settings, root, uri = Settings(), database, f"sqlite:///{database / 'mlflow.db'}"
    unknown = hashlib.md5(uri.encode(), usedforsecurity=False).hexdigest()
    for stage in ("evaluate", "visualize"):
        with tracking.resume(settings, root=root, run_id=unknown, restore=lambda run: run.log_params({"seed": 0})) as run:
            run.set_tags({stage: "here"})
    client = client_of(uri)
    experiment = client.get_experiment_by_name("test").experiment_id
    (found,) = client.search_runs([experiment], f"tags.`filterlab.restored_from` = '{unknown}'")
    assert found.data.params == {"seed": "0"} and found.info.status == "FINISHED"
    assert found.data.tags["evaluate"] == found.data.tags["visualize"] == "here"


def test_a_restoring_that_broke_off_is_done_anew(database: Path) -> None:
    settings, root, uri = Settings(), database, f"sqlite:///{database / 'mlflow.db'}"
    unknown = hashlib.md5(b"broken off", usedforsecurity=False).hexdigest()

    def interrupted(run: tracking.NullRun) -> None:
        run.log_metrics({"loss": 1.0}, step=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), tracking.resume(settings, root=root, run_id=unknown, restore=interrupted) as run:
        run.wait()
    assert client_of(uri).get_run(run.id).info.status == "KILLED"
    assert find(locate(settings, root=root), unknown) is None

    def whole(run: tracking.NullRun) -> None:
        for step in (1, 2):
            run.log_metrics({"loss": 1.0}, step=step)

    with tracking.resume(settings, root=root, run_id=unknown, restore=whole) as run:
        pass
    client = client_of(uri)
    (found,) = client.search_runs([client.get_experiment_by_name("test").experiment_id], f"tags.`{RESTORED}` = '{unknown}'")
    assert found.info.status == "FINISHED"
    assert steps(client, found.info.run_id, "loss") == [(1, 1.0), (2, 1.0)]
    assert find(locate(settings, root=root), unknown) == (found.info.experiment_id, found.info.run_id)


def test_off_writes_nothing(tmp_path: Path) -> None:
    settings = Settings(backend="off")
    with tracking.start(settings, root=tmp_path, name="n", tags={}) as run:
        run.log_metrics({"loss": 1.0})
        run.wait()
    with tracking.resume(settings, root=tmp_path, run_id="a", restore=lambda run: pytest.fail("tracking is off")) as again:
        again.set_tags({"a": "b"})
    assert (run.id, list(tmp_path.iterdir())) == ("", [])


def test_system_metrics_are_sampled_and_the_end_does_not_wait_for_the_next(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    run_id = ""
    for _ in range(2):
        with tracking.start(Settings(system_metrics=True), root=database, name="n", tags={}, identity=run_id) as run:
            run.wait()
            time.sleep(2.5)
            if run_id:
                monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "600")
        run_id = run.id
    client = client_of(f"sqlite:///{database / 'mlflow.db'}")
    found = [step for step, _ in steps(client, run_id, "system/cpu_utilization_percentage")]
    assert len(found) >= 2 and found == list(range(len(found))), "a run that goes on counts on"
    assert client.get_run(run_id).data.metrics["system/system_memory_usage_megabytes"] > 0


def test_the_end_of_a_run_is_quick(database: Path) -> None:
    with tracking.start(Settings(system_metrics=True), root=database, name="n", tags={}) as run:
        run.wait()
        before = time.monotonic()
    assert time.monotonic() - before < 3, "it must not wait for the next sample, 5 s after the last"


def test_a_server_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with (
        pytest.raises(TrackingError, match="no server is named: set MLFLOW_TRACKING_URI"),
        tracking.start(Settings(backend="server"), root=tmp_path, name="n", tags={}),
    ):
        pytest.fail("nothing may be computed")


def test_the_environment_names_the_server(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    with tracking.start(Settings(backend="server"), root=tmp_path, name="n", tags={}) as run:
        run.wait()
    assert client_of(server.uri).get_run(run.id).info.status == "FINISHED"
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_goes_away_for_a_while_loses_nothing(server, tmp_path: Path) -> None:
    with tracking.start(Settings(backend="server", uri=server.uri), root=tmp_path, name="n", tags={}) as run:
        run.wait()
        run.log_metrics({"loss": 1.0}, step=1)
        run.wait()
        server.stop()
        for step in range(2, 6):
            run.log_metrics({"loss": 1.0}, step=step)
        time.sleep(1)
        server.start()
    client = client_of(server.uri)
    assert [point.step for point in client.get_metric_history(run.id, "loss")] == [1, 2, 3, 4, 5]
    assert client.get_run(run.id).info.status == "FINISHED"


def test_a_password_in_the_servers_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    settings = Settings(backend="server", uri="http://someone:secret@127.0.0.1:5000")
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_PASSWORD") as raised, tracking.reading(settings, root=tmp_path):
        pytest.fail("nothing may be read")
    assert "secret" not in str(raised.value)


def test_no_module_of_the_working_directory_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    worker = senders.PreloadedWorker()
    worker.end()
    assert worker.process.returncode == 0 and not (tmp_path / "ran").exists()
