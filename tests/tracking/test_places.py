"""Where a store's files lie: in folders with any name, and after the repository has been moved or copied."""

import hashlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import append_to_uri_path
from PIL import Image
from sqlalchemy import URL
from tracking_settings import Settings

from filterlab import tracking
from filterlab.errors import TrackingError
from filterlab.models import artifact, packed, pyfunc, registry
from filterlab.models.architectures.softmax import Softmax
from filterlab.repository import home
from filterlab.tracking.database import local, relocate
from filterlab.tracking.store import locate

HOSTILE = ["feature%2Fx", "a?b=c#d", " a b;c@d:e,f&$(y)", '-Zürich "it\'s"\\', "100 %\n"]
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1).filter(
    lambda s: s not in (".", "..")
)
EXAMPLE = np.random.Generator(np.random.PCG64(1)).random((2, 1, 8, 8), np.float32)


@pytest.fixture(autouse=True)
def _no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network") / "models"
    config = Softmax("softmax")
    card = {"name": "noise", "classes": list("abc"), "channels": 1, "height": 8, "width": 8, "mean": 0.2, "std": 0.4}
    artifact.save(folder, registry.build(config, channels=1, height=8, width=8, classes=3, seed=0), model=config, card=card)
    return folder


@pytest.fixture
def record(network: Path, tmp_path: Path) -> Callable[[Path], str]:
    """A run in the store of a root, with a picture, a text and a model; gives its id."""

    def recorded(root: Path) -> str:
        picture = tmp_path / "picture.png"
        Image.fromarray(np.full((5, 7, 3), 9, np.uint8)).save(picture)
        loader, code = packed.pack()
        with tracking.start(Settings(), root=root, name="n", tags={}) as run:
            run.log_image("filters", picture, step=1)
            run.log_artifact(network / "model.json")
            run.log_model(
                network,
                digests={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in network.iterdir()},
                loader=loader,
                code=code,
                example=EXAMPLE,
                output=pyfunc._load_pyfunc(str(network)).predict(EXAMPLE),
                requirements=["numpy", "torch"],
            )
            run.wait()
        return run.id

    return recorded


def client_of(root: Path) -> mlflow.MlflowClient:
    uri = URL.create("sqlite", database=str(root / "mlflow.db")).render_as_string()
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


def check(root: Path, run_id: str, network: Path) -> None:
    """The run's files can be read, and all lie in this repository."""
    client = client_of(root)
    info = client.get_run(run_id).info
    artifacts = Path(local_file_uri_to_path(info.artifact_uri))
    assert artifacts.is_relative_to(root / "mlartifacts") and (artifacts / "model.json").exists()
    assert Path(client.download_artifacts(run_id, "model.json")).read_bytes() == (network / "model.json").read_bytes()
    (picture,) = [entry.path for entry in client.list_artifacts(run_id, "images") if entry.path.endswith(".png")]
    with Image.open(client.download_artifacts(run_id, picture)) as image:
        assert (image.size, image.getpixel((0, 0))) == ((7, 5), (9, 9, 9))
    (model,) = client.search_logged_models([info.experiment_id], f"source_run_id = '{run_id}'")
    assert Path(local_file_uri_to_path(model.artifact_location)).is_relative_to(root / "mlartifacts")
    # MLflow reads the path of what it has found as a URL once more: in a folder named e.g. %2F it loads nothing but copies.
    copy = root.parent / "loaded" if "%2F" in str(root) else None
    if copy:
        copy.mkdir()
    loaded = mlflow.pyfunc.load_model(model.model_uri, dst_path=copy and str(copy))
    np.testing.assert_array_equal(loaded.predict(EXAMPLE), pyfunc._load_pyfunc(str(network)).predict(EXAMPLE))


@given(st.lists(NAMES, min_size=1, max_size=3), NAMES)
def test_mlflow_reads_back_the_folder_that_a_location_was_made_of(folders: list[str], experiment: str) -> None:
    place = Path("/", *folders, "mlartifacts", experiment)
    location = append_to_uri_path(place.as_uri(), "0123abcd", "artifacts")  # as MLflow makes a run's of its experiment's
    assert Path(local_file_uri_to_path(location)) == local(location) == place / "0123abcd/artifacts"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_store_works_in_a_folder_of_any_name(
    name: str, database: Path, tmp_path: Path, record: Callable, network: Path
) -> None:
    root = tmp_path / "around" / name
    root.mkdir(parents=True)
    if name != HOSTILE[0]:  # the first makes its own: making it takes seconds
        shutil.copyfile(database / "mlflow.db", root / "mlflow.db")
    run_id = record(root)
    assert [entry.name for entry in root.parent.iterdir()] == [name], "nothing is written beside it"
    check(root, run_id, network)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "caf\udce9"  # latin-1
    with pytest.raises(TrackingError, match=r"caf\\xe9' has a name that is not UTF-8, which MLflow can't keep: rename it"):
        locate(Settings(), root=root)


def tree(root: Path) -> dict[str, str]:
    """What is in a folder: digest by path."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def places(root: Path) -> list[str]:
    """Every word in the database that names a place."""
    with closing(sqlite3.connect(f"{(root / 'mlflow.db').as_uri()}?mode=ro", uri=True)) as connection:
        tables = [table for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        cells = [cell for table in tables for row in connection.execute(f"SELECT * FROM {table}") for cell in row]
    return [cell for cell in cells if isinstance(cell, str) and "mlartifacts" in cell]


@pytest.fixture
def repository(database: Path, tmp_path: Path, record: Callable) -> tuple[Path, str]:
    """A repository's store and a run in it, of which everything is there that MLflow keeps a place of."""
    root = tmp_path / "first 1%"
    root.mkdir()
    shutil.copyfile(database / "mlflow.db", root / "mlflow.db")
    run_id = record(root)
    client = client_of(root)
    (model,) = client.search_logged_models([client.get_run(run_id).info.experiment_id], f"source_run_id = '{run_id}'")
    mlflow.register_model(model.model_uri, "registered")
    client.create_model_version("registered", client.get_run(run_id).info.artifact_uri)
    client.create_experiment("by the UI", artifact_location=str(root / "mlartifacts/7"))
    client.create_experiment("another's", artifact_location="/elsewhere/artifacts")
    return root, run_id


@pytest.mark.parametrize("how", ["moved", "copied", "copied while the original is in use"])
def test_a_repository_that_has_moved_takes_its_store_with_it(
    repository: tuple[Path, str], tmp_path: Path, how: str, record: Callable, network: Path
) -> None:
    (first, run_id), second = repository, tmp_path / "second #2"
    with closing(sqlite3.connect(first / "mlflow.db")) as user:
        if how == "moved":
            first.rename(second)
        else:
            subprocess.run(["cp", "-a", first, second], check=True)
        if "in use" in how:
            user.execute("BEGIN EXCLUSIVE")
        before = tree(first)
        record(second)
        check(second, run_id, network)
        client = client_of(second)
        np.testing.assert_array_equal(
            mlflow.pyfunc.load_model("models:/registered/1").predict(EXAMPLE),
            pyfunc._load_pyfunc(str(network)).predict(EXAMPLE),
        )
        named = places(second)
        assert len(named) > 10 and all(local(place).is_relative_to(second) for place in named if ":/m-" not in place)
        assert client.get_experiment_by_name("another's").artifact_location == "/elsewhere/artifacts"
        assert tree(first) == before, "the original is not written to"


def test_settling_is_all_or_nothing_and_said_once(
    repository: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    first, _ = repository
    second = tmp_path / "second"
    first.rename(second)
    before = places(second)
    with closing(sqlite3.connect(second / "mlflow.db")) as connection:
        connection.execute("CREATE TRIGGER no BEFORE UPDATE ON model_versions BEGIN SELECT RAISE(ABORT, 'full'); END")
        connection.commit()
    with pytest.raises(TrackingError, match=r"mlflow\.db can't be used: full"):
        relocate(second)
    assert places(second) == before
    with closing(sqlite3.connect(second / "mlflow.db")) as connection:
        connection.execute("DROP TRIGGER no")
        connection.commit()
    capfd.readouterr()
    relocate(second)
    assert capfd.readouterr().err == (
        f"filterlab: {second}/mlflow.db now names {second}/mlartifacts for what it kept in {first}/mlartifacts: "
        "the repository was moved or copied\n"
    )
    relocate(second)
    assert capfd.readouterr().err == ""


def test_files_that_were_left_behind_are_named(
    repository: tuple[Path, str], tmp_path: Path, network: Path, capfd: pytest.CaptureFixture
) -> None:
    """As where an older version went on writing to the place that the repository was moved from."""
    (first, run_id), second = repository, tmp_path / "second"
    second.mkdir()
    (first / "mlflow.db").rename(second / "mlflow.db")
    capfd.readouterr()
    relocate(second)
    _, command, _ = capfd.readouterr().err.split("`")
    assert command == f"cp -an '{first}/mlartifacts'/. {second}/mlartifacts/"
    (second / "mlartifacts").mkdir()
    subprocess.run(command, shell=True, check=True)
    check(second, run_id, network)


def test_an_experiment_named_like_the_folder_is_left_alone(database: Path, tmp_path: Path) -> None:
    shutil.copyfile(database / "mlflow.db", tmp_path / "mlflow.db")
    for _ in range(2):
        with tracking.start(Settings(experiment="a/mlartifacts/b"), root=tmp_path, name="n", tags={}) as run:
            run.wait()
        location = client_of(tmp_path).get_experiment_by_name("a/mlartifacts/b").artifact_location
        assert local(location) == tmp_path / "mlartifacts/a/mlartifacts/b"


def repository_at(folder: Path) -> Path:
    (folder / "conf").mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    return folder


@pytest.mark.parametrize("below", [".", "vision/filterlab"])
@pytest.mark.parametrize("copy", [".dvc/tmp/exps/tmpabc123", ".dvc/tmp/exps/standalone/tmpabc123"])
def test_dvcs_copy_of_this_repository_keeps_its_history_in_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str, copy: str
) -> None:
    original = tmp_path / "original"
    (original / ".dvc").mkdir(parents=True)
    (original / copy / ".dvc").mkdir(parents=True)
    here, there = repository_at(original / below), repository_at(original / copy / below)
    monkeypatch.setenv("DVC_ROOT", str(original))
    assert home(there) == here == home(here)
    assert locate(Settings(), root=there).folder == here


def test_a_stage_of_another_dvc_project_leaves_the_history_where_filterlab_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = repository_at(tmp_path / "outer")  # it may look like ours
    (outer / ".dvc/tmp/exps/tmpabc123/.dvc").mkdir(parents=True)
    inside, beside = repository_at(outer / "tools/filterlab"), repository_at(tmp_path / "filterlab")
    in_its_copy = repository_at(outer / ".dvc/tmp/exps/tmpabc123/made by a stage")
    monkeypatch.setenv("DVC_ROOT", str(outer))
    for root in (inside, beside, in_its_copy):
        assert home(root) == root
