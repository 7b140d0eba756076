"""A sweep as its folder and its scheduler tell it, without a training and without a scheduler."""

import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filterlab import seal
from filterlab.errors import DataError, UserError
from filterlab.models import folder
from filterlab.study import table
from filterlab.study.trial import Trial
from filterlab.sweeps import collect, commands, driver, promotion, status
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.record import RECORD, read_trials
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking import Found, NullRun

METRIC = "best/validation/accuracy"


def run(sweep: Sweep, key: str, status: str = "done", value: float = 0.5, **swept: str) -> Trial:
    """What a training leaves in its folder."""
    trial = Trial(key, swept, status, ord(key), f"run-{key}", {METRIC: value, "best_epoch": 1.0}, [0.5, 0.6])
    seal.write(sweep.trial_folder(key) / RECORD, asdict(trial) | {"process": {}})
    return trial


class Store(NullRun):
    """Remembers what is logged to it."""

    def __init__(self) -> None:
        self.images: list[tuple[str, int]] = []
        self.metrics: list[tuple[dict[str, float], int]] = []
        self.tables: list[dict[str, Any]] = []

    def log_image(self, key: str, path: Path, *, step: int = 0) -> None:
        assert path.exists()
        self.images.append((key, step))

    def log_metrics(self, metrics: Any, *, step: int = 0) -> None:
        self.metrics.append((dict(metrics), step))

    def log_table(self, name: str, columns: Any) -> None:
        self.tables.append(dict(columns))


class Runs:
    """A store with runs of these ids."""

    def __init__(self, *ids: str):
        self.found = [Found(each, each, "FINISHED", 0, 1000, {}, {}, {}) for each in ids]

    def search(self) -> list[Found]:
        return self.found


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which jobs the scheduler holds."""

    def hold(*jobs: str) -> None:
        monkeypatch.setattr(status, "queued_jobs", lambda asked: set(asked) & set(jobs))

    return hold


def submit(sweep: Sweep, **jobs: list[str]) -> None:
    sweeps.record_jobs(sweep.folder, [(words, job) for job, words in jobs.items()])


def statuses(sweep: Sweep) -> list[tuple[str, str]]:
    return [(trial.swept["seed"], trial.status) for trial in status.find_trials(sweep)]


def test_what_was_asked_for_and_has_not_begun(tmp_path: Path, held: Callable[..., None]) -> None:
    """Missing, or queued; the same seed with other fixed values is another trial."""
    trials = {key: ["trainer.max_epochs=3", f"seed={seed}"] for seed, key in enumerate("abcd")}
    trials["e"] = ["trainer.max_epochs=9", "seed=1"]
    sweep = Sweep(tmp_path, swept=["seed"], trials=trials)
    submit(sweep, j1=["seed=1", "trainer.max_epochs=3"], j2=trials["c"], j3=trials["d"])
    held("j1", "j3")
    run(sweep, "a", seed="0")
    run(sweep, "d", "failed", seed="3")
    assert statuses(sweep) == [("0", "done"), ("3", "queued"), ("1", "queued"), ("2", "not started"), ("1", "not started")]
    held()
    assert statuses(sweep)[1:] == [("3", "failed"), ("1", "not started"), ("2", "not started"), ("1", "not started")]


def test_a_searchs_queued_trainings_are_seen(tmp_path: Path, held: Callable[..., None]) -> None:
    sweep = Sweep(tmp_path, swept=["seed"])
    submit(sweep, j0=["seed=0"], j1=["seed=1"])
    held("j0", "j1")
    run(sweep, "a", seed="0")
    assert statuses(sweep) == [("0", "done"), ("1", "queued")]


def model(place: Path) -> None:
    """Eight filters after each of two epochs; the architecture is none of this code's."""
    layers = np.arange(3 * 8 * 3 * 5 * 5, dtype=np.float32).reshape(3, 8, 3, 5, 5)
    description = {"model": {"name": "later"}, "data": {"channels": 3, "height": 8, "width": 9}}
    folder.write(place, description, {folder.FIRST_LAYERS: folder.write_first_layers(layers)}, beside={})


def test_a_damaged_file_of_first_layers_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = Sweep(tmp_path / "s", swept=["seed"])
    trials = [
        run(sweep, key, value=value, seed=str(seed)) for seed, (key, value) in enumerate([("a", 0.7), ("b", 0.9), ("c", 0.8)])
    ]
    for key in "ab":
        model(sweep.trial_folder(key) / "models")
    path = sweep.trial_folder("a") / "models/filters.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    found = [collect.first_layer(sweep, replace(trial, metrics=trial.metrics | {"best_epoch": 2.0})) for trial in trials]
    assert found[0] is None and found[2] is None, "damaged; on another machine"
    np.testing.assert_array_equal(found[1], np.arange(1200, 1800, dtype=np.float32).reshape(8, 3, 5, 5))
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and f"left out of the report's filters: {path} is damaged" in printed
    (sweep.trial_folder("a") / "models/model.json").write_text("{")
    assert collect.image_shape(sweep, trials) == (3, 8, 9), "the other trial's"


def test_what_a_sweep_wrote_down_is_checked(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs/s", swept=["seed"], trials={"a": ["seed=0"]})
    sweep.save()
    assert sweeps.load(sweep.folder) == sweep
    path = sweep.folder / "sweep.json"
    written = path.read_text()
    for damaged in (written[:-9], written.replace("seed=0", "seed=1"), "[]", written.replace('"swept"', '"kept"')):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"sweep\.json is damaged: .*; bring it back from a copy, or begin another sweep"):
            sweeps.find(tmp_path, "s")
    seal.write(path, {"later": 1})
    with pytest.raises(DataError, match=r"sweep\.json is of another version of filterlab"):
        sweeps.load(sweep.folder)
    sweep.save()
    submit(sweep, j1=["seed=0"], j2=["seed=1"])
    assert list(sweeps.submitted_jobs(sweep)) == [(["seed=0"], "j1"), (["seed=1"], "j2")]
    record = sweep.folder / sweeps.SUBMITTED
    whole = record.read_text()
    for damaged in (whole[:-9], whole.replace("seed=1", "seed=2")):
        record.write_text(damaged)
        with pytest.raises(DataError, match=r"submitted\.json is damaged: "):
            list(sweeps.submitted_jobs(sweep))


def test_one_damaged_sweep_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("sound", "spoiled"):
        Sweep(tmp_path / "runs" / name).save()
    (tmp_path / "runs/spoiled/sweep.json").write_text("{")
    commands.print_status(tmp_path, "")
    printed = capsys.readouterr().out
    assert "sound: not started" in printed and "runs/spoiled/sweep.json is damaged: " in printed
    with pytest.raises(DataError, match="is damaged"):
        commands.print_status(tmp_path, "spoiled")


@pytest.mark.parametrize("how", ["copied", "renamed"])
def test_a_copied_or_renamed_folder_is_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """Its run, and those that the store has below it, are those of the sweep it was made from."""
    sweep = Sweep(tmp_path / "runs/first", swept=["seed"], commands=[["seed=0"]], trials={"a": ["seed=0"]})
    sweep.save()
    shutil.copytree(sweep.folder, tmp_path / "runs/second")
    if how == "renamed":
        shutil.rmtree(sweep.folder)
    expected = r"runs/second is a copy of the folder of sweep first, or was renamed: .*Rename it back or remove it"
    for act in (sweeps.find, sweeps.begin, sweeps.has_begun):
        with pytest.raises(DataError, match=expected):
            act(tmp_path, "second")
    with pytest.raises(DataError, match=expected):
        commands.print_status(tmp_path, "second")
    if how == "copied":
        assert sweeps.find(tmp_path, "first") == sweep
    else:
        commands.print_status(tmp_path, "")
        assert "sweep first, or was renamed" in capsys.readouterr().out


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    """With one more trial in between, and by models of a schema that this code doesn't know."""
    sweep = Sweep(tmp_path / "s", swept=["seed"], trials={key: [f"seed={seed}"] for seed, key in enumerate("abc")})
    sweep.commands = [["seed=0,1,2"]]
    for key in "ab":
        model(sweep.trial_folder(key) / "models")
    store = Store()
    run(sweep, "a", value=0.7, seed="0")
    collect.log_report(sweep, store, root=tmp_path)
    assert collect.image_shape(sweep, read_trials(sweep)) == (3, 8, 9)
    first = len(store.images)
    assert first and {step for _, step in store.images} == {0}, "where MLflow's pages open"
    run(sweep, "b", value=0.9, seed="1")
    collect.log_report(sweep, store, root=tmp_path)
    assert {step for _, step in store.images[first:]} == {0}
    assert store.metrics == [({METRIC: 0.7}, 1), ({METRIC: 0.9}, 2)]
    assert [table["status"] for table in store.tables] == [
        ["done", "not started", "not started"],
        ["done", "done", "not started"],
    ]


def test_the_time_of_a_trial_is_that_of_its_training(tmp_path: Path) -> None:
    """Not what lies between its run's start and end: it may have waited for a day to be gone on with."""
    found = Trial("a", {"seed": "0"}, "done", metrics={METRIC: 0.5, "training/seconds": 12.5})
    table.write_trials([found], tmp_path / "trials.csv")
    heading, row = (tmp_path / "trials.csv").read_text().splitlines()
    assert "12.5" in row.split(",") and "90000" not in row
    assert [name for name in heading.split(",") if "seconds" in name] == ["training/seconds"]


def test_the_winner_is_of_the_winning_setting(tmp_path: Path) -> None:
    """Not of another one whose swept values hold the winning ones."""
    sweep = Sweep(tmp_path / "runs/s")
    sweep.save()
    nothing = pytest.raises(UserError, match=f"no training of sweep s is done with a finite {METRIC}")
    with nothing:
        promotion.best_run(tmp_path, Runs("run-e"), sweep="s", metric="accuracy")
    run(sweep, "e", value=math.nan, lr="2", seed="0")
    with nothing:
        promotion.best_run(tmp_path, Runs("run-e"), sweep="s", metric="accuracy")
    for key, value, swept in [
        ("a", 0.8, {"lr": "1", "seed": "0"}),
        ("b", 0.7, {"lr": "1", "seed": "1"}),
        ("c", 0.9, {"lr": "1", "model": "mlp", "seed": "0"}),
        ("d", 0.1, {"lr": "1", "model": "mlp", "seed": "1"}),
    ]:
        run(sweep, key, value=value, **swept)
    assert promotion.best_run(tmp_path, Runs(*(f"run-{key}" for key in "abcde")), sweep="s", metric="accuracy").id == "run-a"


def test_a_search_of_other_fixed_values_is_another_search(tmp_path: Path) -> None:
    words = ["model='mlp'", "trainer.max_epochs=3", "hydra/sweeper=optuna", "optimizer.lr=interval(0.1,1)"]
    same = [*words[1:], "model=mlp", "hydra.sweeper.n_trials=50", "tracking.system_metrics=false"]
    driver.check_fixed(Sweep(tmp_path / "hunt", commands=[words, same]), searched=True)
    other = [words[0], "trainer.max_epochs=5", *words[2:]]
    with pytest.raises(UserError, match=r"another one: trainer\.max_epochs is 5 \(was 3\).*--sweep NAME"):
        driver.check_fixed(Sweep(tmp_path / "hunt", commands=[words, other]), searched=True)
    with pytest.raises(UserError, match=r"seed is 1 \(was not given\)"):
        driver.check_fixed(Sweep(tmp_path / "hunt", commands=[words, [*words, "seed=1"]]), searched=True)


def test_a_grid_of_other_fixed_values_is_another_grid(tmp_path: Path) -> None:
    """Its trials would stand in one setting with these; what either command sweeps tells them apart."""
    first, more = ["seed=0,1", "optimizer.lr=0.1"], ["seed=2", "optimizer.lr=0.1", "model=cnn,mlp"]
    driver.check_fixed(Sweep(tmp_path / "s", swept=["seed", "model"], commands=[first, more]), searched=False)
    for other in (["seed=0,1", "optimizer.lr=0.001"], ["seed=0,1"], [*first, "trainer.max_epochs=1"]):
        with pytest.raises(UserError, match=r"another one: (optimizer\.lr|trainer\.max_epochs) is .*sweep what differs"):
            driver.check_fixed(Sweep(tmp_path / "s", swept=["seed"], commands=[first, other]), searched=False)


@pytest.mark.parametrize(
    "file", ["conf/a.yaml", "src/filterlab/training/optimizers.py", "src/hydra_plugins/filterlab_sweepers/sweepers.py"]
)
def test_what_a_sweep_froze_is_not_edited(tmp_path: Path, file: str) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.yaml").write_text("first")
    sweep = sweeps.begin(tmp_path, "s")
    sweeps.check_frozen(sweeps.find(tmp_path, "s"))
    path = sweep.folder / "frozen" / file
    path.write_text(path.read_text() + "# edited")
    with pytest.raises(UserError, match=r"runs/s/frozen has been edited since the sweep began: .*--sweep NAME"):
        sweeps.check_frozen(sweeps.find(tmp_path, "s"))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """The same command again within a second neither freezes anew under a driver that has just begun, nor drives too."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.yaml").write_text("first")
    sweep = sweeps.begin(tmp_path, "s")
    with sweeps.locked(sweep):
        (tmp_path / "conf/a.yaml").write_text("second")
        with pytest.raises(sweeps.BusyError, match="sweep s is being run by another process"):
            sweeps.begin(tmp_path, "s")
        assert (sweep.conf / "a.yaml").read_text() == "first"
    sweeps.begin(tmp_path, "s")  # no driver has started: what was wrong in conf/ may be put right
    assert (sweep.conf / "a.yaml").read_text() == "second" and (sweep.code / "filterlab/cli.py").exists()
    assert not [path for path in sweep.folder.iterdir() if path.name.startswith("frozen.")]
    sweep.commands = [["seed=0,1"]]
    sweep.save()
    (tmp_path / "conf/a.yaml").write_text("third")
    assert sweeps.begin(tmp_path, "s").commands == sweep.commands and (sweep.conf / "a.yaml").read_text() == "second"
