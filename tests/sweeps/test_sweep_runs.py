"""`filterlab train --multirun` as its users run it: whole, again, interrupted, failing. The tests build on each other."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

pytestmark = pytest.mark.usefixtures("python")
GRID = ["train", "-m", "--sweep", "grid", "model.hidden=[4],[8]", "seed=0,1"]


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Any]) -> Any:
    project = make_project()
    printed = project.run(*GRID)
    assert "4 trials: 4 to run" in printed
    return project


def test_every_trial_is_a_child_of_one_finished_parent(project: Any) -> None:
    children = project.children()
    assert sorted(children.values()) == ["FINISHED"] * 4
    found = [project.tags(run_id) for run_id in children]
    swept = sorted((tags["swept.model.hidden"], tags["swept.seed"]) for tags in found)
    assert swept == [("[4]", "0"), ("[4]", "1"), ("[8]", "0"), ("[8]", "1")]
    (parent,) = {tags["mlflow.parentRunId"] for tags in found}
    assert project.ask("select status, name from runs where run_uuid = ?", parent) == [("FINISHED", "grid")]
    assert project.tags(parent)["filterlab.trials"] == "4 done"
    assert {tags["filterlab.dirty"] for tags in found} == {"false"}


def test_its_report_lies_in_the_folder_and_in_the_parent(project: Any) -> None:
    report = project.root / "runs/grid/report"
    assert {"trials.csv", "settings.csv", "summary.txt"} <= {path.name for path in report.iterdir()}
    assert len((report / "trials.csv").read_text().splitlines()) == 5
    assert len((report / "settings.csv").read_text().splitlines()) == 3
    parent = project.run_of("grid")
    stored = {path.name for path in (project.root / "mlartifacts").glob(f"*/{parent}/artifacts/**/*") if path.is_file()}
    assert {"trials.csv", "trials.json", "settings.csv"} <= stored
    assert parents_pictures(project, "grid") == [f"sweep~{path.stem}+step+0" for path in sorted(report.glob("*.png"))] != []


def parents_pictures(project: Any, sweep: str) -> list[str]:
    """Key and step of each of the pictures that a sweep's run holds; MLflow's pages open on step 0."""
    parent = project.run_of(sweep)
    pictures = project.root.glob(f"mlartifacts/*/{parent}/artifacts/images/*.png")
    return sorted(path.name.partition("+timestamp")[0] for path in pictures)


def parents_table(project: Any, sweep: str) -> list[dict[str, Any]]:
    """A row for each of a sweep's trials."""
    parent = project.run_of(sweep)
    assert json.loads(project.tags(parent)["mlflow.loggedArtifacts"]) == [{"path": "trials.json", "type": "table"}]
    (path,) = (project.root / "mlartifacts").glob(f"*/{parent}/artifacts/trials.json")
    table = json.loads(path.read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_a_trial_leaves_little(project: Any) -> None:
    """20 files and 130 kB, its weights (20 kB) and those of its first layer once, in its folder and in the store.

    Besides, once in the store, the two files of code that all models load with.
    """
    parent = project.run_of("grid")
    kept = [path for folder in ("mlartifacts", "runs/grid/trials") for path in (project.root / folder).rglob("*")]
    kept = [path for path in kept if path.is_file() and parent not in path.parts]
    assert len(kept) <= 4 * 20 + 2
    sizes = {path.stat().st_ino: path.stat().st_size for path in kept}
    assert sum(sizes.values()) < 4 * 130_000


def test_again_there_is_nothing_to_run(project: Any) -> None:
    before = project.children()
    assert "4 trials, 4 done: 0 to run" in project.run(*GRID)
    assert project.children() == before


def test_more_trials_run_with_the_conf_the_code_and_the_data_it_began_with(project: Any) -> None:
    """`dvc repro` with another data set replaces data/processed; data that can't be fetched are missed before a launch."""
    option, code = project.root / "conf/optimizer/adam.yaml", project.root / "src/filterlab/stages/train.py"
    kept = {path: path.read_text() for path in (option, code)}
    option.write_text(kept[option].replace("lr: 1.0e-3", "lr: 7.0e-3"))
    code.write_text(kept[code] + "\n\ndef line(*a, **b):\n    return 'edited'\n")
    (project.root / "data").rename(project.root / "away")
    printed = project.run(*GRID[:-1], "seed=0,1,2")
    missing = project.run(*GRID[:-1], "seed=0", "data.seed=0,1", code=3, FILTERLAB_MIRROR="/nowhere")
    shutil.rmtree(project.root / "data")  # where the files would have been fetched to
    (project.root / "away").rename(project.root / "data")
    for path, text in kept.items():
        path.write_text(text)
    assert "6 trials, 4 done: 2 to run" in printed and "epoch 2/2" in printed and "edited" not in printed
    assert "FILTERLAB_MIRROR is '/nowhere', which is no folder" in missing and "Traceback" not in missing
    assert len(project.children()) == 6
    rates = {
        project.ask("select value from params where run_uuid = ? and key = 'optimizer.lr'", run_id)[0]
        for run_id in project.children()
    }
    assert rates == {("0.001",)}
    for tag in ("filterlab.code", "filterlab.data"):
        assert len({project.tags(run_id)[tag] for run_id in project.children()}) == 1
    rows = [(row["model.hidden"], row["seed"]) for row in parents_table(project, "grid")]
    assert sorted(rows) == [(width, seed) for width in ("[4]", "[8]") for seed in "012"], "each once"


def test_interrupted_and_gone_on_with(project: Any) -> None:
    """Ctrl-C in the second of two trainings: the first is not run again, the second goes on under its id, no epoch twice."""
    words = ["train", "-m", "--sweep", "broken", "seed=0,1", "trainer.max_epochs=8", "trainer.patience=8"]
    process = project.start(*words)
    seen = 0
    while seen < 10:  # two epochs into the second training
        line = process.stdout.readline()
        assert line, process.communicate()
        seen += line.startswith("epoch ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command runs the rest" in errors
    mine = "select r.run_uuid, status from runs r join tags t on t.run_uuid = r.run_uuid "
    mine += "where key = 'filterlab.sweep' and value = 'broken'"
    assert sorted(status for _, status in project.ask(mine)) == ["FINISHED", "KILLED", "KILLED"], "a child, the other, the parent"
    before = {run_id for run_id, _ in project.ask(mine)}
    assert "broken: 1 done, 1 interrupted" in project.here("sweep", "status", "broken")
    printed = project.run(*words)
    assert "2 trials, 1 done: 1 to run" in printed and "\ngoes on " in printed
    assert {run_id for run_id, _ in project.ask(mine)} == before
    assert {status for _, status in project.ask(mine)} == {"FINISHED"}
    steps = project.ask(
        "select m.run_uuid, step from metrics m join tags t on t.run_uuid = m.run_uuid "
        "where t.key = 'filterlab.sweep' and t.value = 'broken' and m.key = 'validation/accuracy' order by 1, 2"
    )
    assert [step for _, step in steps] == [*range(1, 9)] * 2


def test_one_that_fails_ends_nothing_and_is_tried_again_when_asked(project: Any) -> None:
    words = ["train", "-m", "optimizer=sgd", "optimizer.lr=1e-3,1e6"]
    printed = project.run(*words, code=6)
    assert "1 failed of sweep lr-" in printed and "the training diverged" in printed and "--retry-failed" in printed
    assert "1 done: 1 to run" in project.run(*words, "--retry-failed", code=6)
    assert list(project.children().values()).count("FAILED") == 1
    listed = project.here("sweep", "status")
    (name,) = [line.partition(":")[0] for line in listed.splitlines() if "1 done, 1 failed" in line]
    heading, *rows = project.here("sweep", "status", name).splitlines()[1:]
    assert heading.split("  ")[1].strip() == "status" and heading.split()[1:] == [
        "validation",
        "accuracy",
        "lr",
        "run,",
        "or",
        "error",
    ]
    assert {row.split()[0] for row in rows} == {"done", "failed"} and "the training diverged" in "".join(rows)
    assert "1 done, 1 failed" in listed and "grid: 6 done" in listed and "broken: 2 done" in listed


def test_two_processes_a_training_give_what_one_gives(project: Any) -> None:
    """One after the other in one process, which has to forget the first one's group; every image counted once, one run each."""
    project.run("train", "-m", "--sweep", "pairs", "trainer=ddp", "trainer.accelerator=cpu", "model.hidden=[8]", "seed=0,1")
    found = {
        sweep: project.ask(
            "select s.value, m.value from latest_metrics m join tags t on t.run_uuid = m.run_uuid "
            "join tags s on s.run_uuid = m.run_uuid join params p on p.run_uuid = m.run_uuid "
            "where t.key = 'filterlab.sweep' and t.value = ? and s.key = 'swept.seed' "
            "and p.key = 'model.hidden' and p.value = '[8]' and m.key = 'best/train/loss' order by 1",
            sweep,
        )
        for sweep in ("grid", "pairs")
    }
    assert [seed for seed, _ in found["pairs"]] == ["0", "1"]
    alone = dict(found["grid"])
    for seed, loss in found["pairs"]:
        assert loss == pytest.approx(alone[seed], abs=1e-5)


def test_plan_counts_and_estimates_and_starts_nothing(project: Any) -> None:
    before = project.children()
    printed = project.here("sweep", "plan", "model.hidden=[4],[8]", "seed=range(5)")
    assert "10 trainings: every combination of model.hidden, seed" in printed
    assert "of training one after another" in printed and "more" not in printed
    lines = printed.splitlines()
    start = lines.index(next(line for line in lines if "model.hidden" in line and "trainings" not in line))
    assert [line.split() for line in lines[start : start + 3]] == [["model.hidden", "seed"], ["1", "[4]", "0"], ["2", "[4]", "1"]]
    assert "trainer.max_epochs" in printed and "data.name" not in printed, "what differs from conf/, and not what is its default"
    assert len(lines) < 35 and "and 10 more" in project.here("sweep", "plan", "seed=range(20)")
    assert "can't be estimated" in project.here("sweep", "plan", "model=resnet", "experiment=none", "model.depth=8,14", "seed=0")
    flags = ["-m", "--sweep", "x", "--retry-failed", "--detach"]
    printed = project.here(
        "sweep", "plan", *flags, "hydra/sweeper=optuna", "optimizer.lr=interval(1e-3,1)", "hydra.sweeper.n_trials=7"
    )
    assert "a search of 7 trainings over optimizer.lr" in printed and "What is searched lies between these" in printed
    assert [line.split()[-1] for line in printed.splitlines() if line.startswith(("1 ", "2 "))] == ["0.001", "1.0"]
    assert project.children() == before


def test_collect_by_itself(project: Any) -> None:
    report = project.root / "runs/grid/report/trials.csv"
    written = report.read_text()
    report.unlink()
    project.here("sweep", "collect", "grid")
    assert report.read_text() == written
    assert len(parents_table(project, "grid")) == 6
    pictures = parents_pictures(project, "grid")
    assert len(pictures) == len(set(pictures)) == len(list(report.parent.glob("*.png"))), "one of each, over the earlier report's"


def test_status_and_a_report_while_it_runs(project: Any) -> None:
    """By what the driver wrote down: nobody else composes from the frozen conf/. The parent run is left to the driver."""
    report, conf = project.root / "runs/grid/report/trials.csv", project.root / "runs/grid/frozen/conf"
    written = report.read_text()
    report.unlink()
    query = "select run_uuid, value, step from metrics where key = 'best/validation/accuracy'"
    before = project.ask(query)
    conf.rename(conf.with_name("away"))
    with FileLock(project.root / "runs/grid/driver.lock"):
        assert "MLflow gets the one of its end" in project.here("sweep", "collect", "grid")
        assert "grid: 6 done" in project.here("sweep", "status", "grid")
        conf.with_name("away").rename(conf)
        assert "sweep grid is being run by another process" in project.run(*GRID, code=2)
    assert report.read_text() == written
    assert project.ask(query) == before


def test_detached_it_outlives_its_shell(project: Any) -> None:
    words = [str(project.python), "-m", "filterlab.cli", "train", "-m", "--sweep", "away", "--detach", "seed=range(1)"]
    shell = subprocess.Popen(
        ["sh", "-c", f"{shlex.join(words)}; sleep 300"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert shell.stdout is not None
    printed = shell.stdout.readline()
    os.killpg(shell.pid, signal.SIGKILL)
    shell.communicate()
    assert "sweep away runs in the background" in printed
    log, deadline = project.root / "runs/away/driver.log", time.monotonic() + 240
    while "report  runs/away/report/" not in (text := log.read_text()):
        assert time.monotonic() < deadline, text
        time.sleep(0.5)
    with FileLock(project.root / "runs/away/driver.lock", timeout=60):  # it has gone
        assert "away: 1 done" in project.here("sweep", "status", "away")


def test_without_slurm_nothing_is_frozen(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, folders = project.ask("select count(*) from runs"), sorted((project.root / "runs").iterdir())
    for more in ([], ["--detach"]):
        words = ["train", "-m", "hydra/launcher=slurm", "seed=0,1", "optimizer.lr=0.5", *more]
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            assert "sbatch, srun, squeue not found on the PATH" in project.here(*words, code=2)
    assert (project.ask("select count(*) from runs"), sorted((project.root / "runs").iterdir())) == (runs, folders)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["train", "-m", "seed=range(0)"], 2, "no value in it"),
        (["train", "-m", "model=mlp"], 2, "no key has several values"),
        (["train", "-m", "hydra/launcher=sulrm", "seed=0,1"], 2, "Did you mean slurm?"),
        (["train", "-m", "optimizer.lr=interval(1e-3,.1)"], 2, "add hydra/sweeper=optuna"),
        (["train", "-m", "optimizer.lr=0,1", "model=mpl,mlp"], 2, "model: no option 'mpl'"),
        (["train", "-m", "--sweep", "../up", "seed=0,1"], 2, "sweep '../up'"),
        (["train", "-m", "data=fashion_mnist", "data.mirrors=[]", "seed=0,1"], 69, "fashion_mnist: no mirror has delivered it"),
        (
            ["train", "-m", "hydra/sweeper=optuna", "hydra.sweeper.metric=test/accuracy", "optimizer.lr=interval(0,1)"],
            2,
            "test set",
        ),
        (["sweep", "status", "nothing"], 2, "there is no sweep 'nothing'"),
    ],
    ids=lambda part: " ".join(part[-2:]) if isinstance(part, list) else "",
)
def test_bad_input_launches_nothing(
    project: Any, words: list[str], code: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILTERLAB_MIRROR", raising=False)
    runs, folders = project.children(), sorted((project.root / "runs").iterdir())
    assert expected in project.here(*words, code=code)
    assert (project.children(), sorted((project.root / "runs").iterdir())) == (runs, folders)


GONE = ["tracking=server", "tracking.uri=http://127.0.0.1:9", "tracking.patience=0.2", "seed=0,1"]


def test_where_a_store_is_required_nothing_is_launched_without_it(project: Any) -> None:
    printed = project.run("train", "-m", "--sweep", "strict", *GONE, "tracking.require=true", code=4)
    assert "the MLflow store http://127.0.0.1:9 does not answer" in printed and "Traceback" not in printed
    assert not list(project.root.glob("runs/strict/trials/*/models"))


def test_with_its_store_gone_a_sweep_runs_to_its_end(project: Any) -> None:
    words = ["train", "-m", "--sweep", "gone", *GONE]
    printed = project.run(*words)
    assert "the MLflow store http://127.0.0.1:9 does not answer" in printed and "filterlab sync" in printed
    assert (project.root / "runs/gone/report/trials.csv").exists()
    assert "2 trials, 2 done: 0 to run" in project.run(*words)
    assert "gone: 2 done" in project.here("sweep", "status", "gone")
    shutil.rmtree(project.root / "spool")


def test_offline_a_sweep_runs_and_is_sent_later(project: Any) -> None:
    """Also from a copy, and twice: each run is there once, below the sweep's."""
    before = project.children()
    project.run("train", "-m", "--sweep", "far", "tracking=offline", "seed=0,1")
    assert "far: 2 done" in project.here("sweep", "status", "far")
    assert project.children() == before
    shutil.copytree(project.root / "spool", project.root / "copied")
    for words in (["sync"], ["sync", "copied"]):
        assert project.run(*words).count(f": sent to {project.root / 'mlflow.db'}, ") == 3
        found = project.children().keys() - before.keys()
        assert {project.tags(run_id)["mlflow.parentRunId"] for run_id in found} == {project.run_of("far")} and len(found) == 2
    assert not (project.root / "spool").exists() and not list((project.root / "copied").iterdir())
    parameters = (project.root / "params.yaml").read_text()
    assert "is in params.yaml now" in project.run("promote", "--best", "accuracy", "--sweep", "far")
    (project.root / "params.yaml").write_text(parameters)
    (project.root / "results/promoted.json").unlink()
    assert "nothing waits to be sent" in project.run("sync")


def test_a_search_goes_on_where_it_ended(project: Any) -> None:
    words = ["train", "-m", "--sweep", "hunt", "hydra/sweeper=optuna", "optimizer.lr=tag(log, interval(1e-4, 1e-1))"]
    printed = project.run(*words, "hydra.sweeper.n_trials=1")
    assert "best of 1 (1 done)" in printed
    before = project.children()
    assert "best of 2 (2 done)" in project.run(*words, "hydra.sweeper.n_trials=2")
    assert len(project.children()) == len(before) + 1
    rates = project.ask(
        "select distinct p.value from params p join tags t on t.run_uuid = p.run_uuid "
        "where p.key = 'optimizer.lr' and t.key = 'filterlab.sweep' and t.value = 'hunt'"
    )
    assert len(rates) == 2 and all(1e-4 <= float(rate) <= 1e-1 for (rate,) in rates)
    assert "trainer.max_epochs is 9 (was 2)" in project.run(*words, "trainer.max_epochs=9", code=2)
    assert len(project.children()) == len(before) + 1
