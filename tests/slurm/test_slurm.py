"""`filterlab train -m hydra/launcher=slurm` on a real SLURM without accounting, with everything that happens to jobs there."""

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from slurm_on_loopback import Cluster, until

from filterlab.tracking import spool, sync
from filterlab.tracking.store import Store as Place

ROOT = Path(__file__).parents[2]
PARAMETERS = """
data: mnist
model: mlp
optimizer: adam
schedule: constant
augment: none
trainer: cpu
tracking: local
experiment: none
seed: 0
override:
  data: {take: per_class, take_n: 10, validation: 0.2}
  model: {hidden: [8]}
  trainer: {batch_size: 20, patience: 100000, precision: "32"}
"""
BATCHES = 4  # of an epoch: 80 images of 100 are for training
LAUNCHER = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=10"]
WHOLE, CANCELLED, REQUEUED, LATE = EPOCHS = 6, 90_001, 25, 90_002  # of the four jobs; 90,000 take hours

AWAY = 100  # epochs of a job whose server is away
ENDLESS = 90_003
PAIR = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.launcher.tasks_per_node=2"]
PAIR += [f"trainer.max_epochs=choice({WHOLE})"]


@dataclass(frozen=True)
class Store:
    """mlflow.db, read as it is."""

    path: Path

    def ask(self, query: str, *values: object) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def runs(self, epochs: int, *, sweep: str = "four") -> list[tuple[str, str]]:
        """(id, status) of the runs of a sweep's trial with so many epochs."""
        tagged = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)"
        query = f"SELECT run_uuid, status FROM runs WHERE {tagged} AND {tagged}"
        return self.ask(query, "swept.trainer.max_epochs", str(epochs), "filterlab.sweep", sweep)

    def values(self, run_id: str, metric: str) -> list[float]:
        query = "SELECT value FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step"
        return [value for (value,) in self.ask(query, run_id, metric)]

    def steps(self, run_id: str, metric: str) -> list[int]:
        return [step for (step,) in self.ask("SELECT step FROM metrics WHERE run_uuid = ? AND key = ?", run_id, metric)]

    def epoch(self, epochs: int) -> int:
        """The last epoch logged by that trial; 0 before the first."""
        with contextlib.suppress(sqlite3.OperationalError):  # no file or no tables yet
            return max((step for run_id, _ in self.runs(epochs) for step in self.steps(run_id, "validation/loss")), default=0)
        return 0


@pytest.fixture(scope="module")
def project(
    cluster: Cluster, mirror: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.Popen]:
    """Starts `filterlab <words>` in a repository with prepared data; its folder is project.root."""
    root = tmp_path_factory.mktemp("project")
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(PARAMETERS)
    environment = cluster.environment | {"PYTHONPATH": str(root / "src"), "FILTERLAB_MIRROR": str(mirror)}
    for variable in ("DVC_ROOT", "FILTERLAB_SWEEP"):
        environment.pop(variable, None)

    def start(*words: str, **more: str) -> subprocess.Popen:
        return subprocess.Popen(
            [programs / "filterlab", *words],
            cwd=root,
            env=environment | more,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    start.root = root
    for stage in ("compose", "download", "preprocess"):
        with start("stage", stage) as process:
            printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0, printed
    return start


@dataclass(frozen=True)
class Swept:
    code: int
    printed: str
    pair: str  # what the sweep on two processes printed
    store: Store
    jobs: dict[int, str]  # number of epochs -> SLURM's id
    root: Path


@pytest.fixture(scope="module")
def swept(cluster: Cluster, project: Callable[..., subprocess.Popen]) -> Iterator[Swept]:
    """An array of four: one is left alone, one cancelled, one requeued in mid-training, one runs out of time."""
    store, jobs = Store(project.root / "mlflow.db"), {}
    record = project.root / "runs/four/submitted.json"
    epochs = f"trainer.max_epochs={','.join(map(str, EPOCHS))}"
    with contextlib.ExitStack() as running:
        sweep = running.enter_context(project("train", "-m", *LAUNCHER, epochs, "--sweep", "four"))
        running.callback(sweep.kill)
        until(lambda: record.exists() or sweep.poll() is not None, seconds=200, what="the array is submitted")
        assert sweep.poll() is None, sweep.communicate()
        for overrides, job in json.loads(record.read_text())["jobs"]:
            (swept,) = [word for word in overrides if word.startswith("trainer.max_epochs=")]
            jobs[int(swept.partition("=")[2])] = job
        # It gets its two cores when two of the four are over. The nodes' names mean nothing to this machine's resolver.
        pair = running.enter_context(project("train", "-m", *LAUNCHER, *PAIR, "--sweep", "pair", MASTER_ADDR="127.0.0.1"))
        running.callback(pair.kill)
        until(lambda: store.epoch(LATE) >= 1, seconds=200, what="the fourth job is in mid-training")
        cluster.ask("scontrol", "update", f"JobId={jobs[LATE]}", f"TimeLimit={minutes_to_come(cluster, jobs[LATE])}")
        stop(cluster, store, jobs[LATE])
        until(lambda: store.epoch(CANCELLED) >= 1, seconds=200, what="the second job is in mid-training")
        cluster.ask("scancel", jobs[CANCELLED])
        until(lambda: store.epoch(REQUEUED) >= 2, seconds=200, what="the third job is in mid-training")
        cluster.ask("scontrol", "requeue", jobs[REQUEUED])
        until(lambda: cluster.state(jobs[REQUEUED]) == "PENDING", seconds=60, what="the requeued job is over")
        cluster.ask("scontrol", "update", f"JobId={jobs[REQUEUED]}", "StartTime=now")  # else SLURM waits two minutes
        logs = [*project.root.glob(f"runs/four/.submitit/*/{jobs[LATE]}_0_log.*")]
        warned = "the time limit is near; the training goes on until then"
        until(
            lambda: any(warned in log.read_text() for log in logs) or cluster.state(jobs[LATE]) != "RUNNING",
            seconds=200,
            what="the fourth job is told of its limit",
        )
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have come to its limit by now
            stop(cluster, store, jobs[LATE])
        printed, _ = sweep.communicate(timeout=300)
        both, _ = pair.communicate(timeout=300)
    yield Swept(sweep.returncode, printed, both, store, jobs, project.root)


def stop(cluster: Cluster, store: Store, job: str) -> None:
    """Let its training sleep until SLURM wakes it, by its next signal: it would keep a core busy for as long."""
    number = cluster.ask("squeue", "--noheader", "--format=%A", f"--jobs={job}")
    ours = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'filterlab.slurm_job' AND value = ?)"
    ((process,),) = store.ask(f"SELECT value FROM tags WHERE key = 'filterlab.process' AND {ours}", number)
    psutil.Process(int(process.split()[0])).suspend()


def minutes_to_come(cluster: Cluster, job: str) -> int:
    """The full minute since its start that the job reaches next, but not within 5 s."""
    minutes, seconds = map(int, cluster.ask("squeue", "--noheader", "--format=%M", f"--jobs={job}").split(":"))
    return minutes + (seconds + 5) // 60 + 1


def test_one_array(swept: Swept) -> None:
    (array,) = {job.split("_")[0] for job in swept.jobs.values()}
    assert sorted(swept.jobs.values()) == [f"{array}_{task}" for task in range(4)]
    assert "4 jobs submitted to SLURM" in swept.printed


def test_what_happens_to_one_job_ends_no_other(swept: Swept) -> None:
    ((_, whole),) = swept.store.runs(WHOLE)
    assert whole == "FINISHED"
    assert "4 of 4 jobs have ended, 2 of them failed" in swept.printed
    assert swept.code == 6, swept.printed  # not every trial is done


def test_cancelled(swept: Swept) -> None:
    """Without an accounting database, too, it is seen to be over."""
    ((_, status),) = swept.store.runs(CANCELLED)
    assert status == "KILLED"
    assert f"job {swept.jobs[CANCELLED]} ended as CANCELLED and left no result (trainer.max_epochs={CANCELLED})" in swept.printed


def test_requeued_in_mid_training(cluster: Cluster, swept: Swept) -> None:
    """The same MLflow run, each epoch and each step once."""
    ((run_id, status),) = swept.store.runs(REQUEUED)
    assert status == "FINISHED"
    assert "Restarts=1" in cluster.ask("scontrol", "show", "job", swept.jobs[REQUEUED])
    assert swept.store.steps(run_id, "validation/loss") == list(range(1, REQUEUED + 1))
    steps = swept.store.steps(run_id, "step/loss")
    assert steps == list(range(10, REQUEUED * BATCHES + 1, 10))
    times = swept.store.ask("SELECT timestamp FROM metrics WHERE run_uuid = ? AND key = 'validation/loss' ORDER BY step", run_id)
    assert times == sorted(times)
    (log,) = swept.root.glob(f"runs/four/.submitit/*/{swept.jobs[REQUEUED]}_0_log.out")
    (epoch,) = re.findall(r"^goes on (?:after|within) epoch (\d+)", log.read_text(), re.MULTILINE)
    assert 1 <= int(epoch) <= REQUEUED, "of an epoch that is logged the checkpoint may still have been missing"


def test_requeued_while_the_tracking_server_is_away(
    cluster: Cluster, project: Callable[..., subprocess.Popen], swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requeued job is the same run, in the same spool; sent afterwards, each thing is there once."""
    words = ["train", "-m", *LAUNCHER, "tracking=server", "tracking.uri=http://127.0.0.1:9", "tracking.patience=1"]
    record = project.root / "runs/away/submitted.json"

    def spools() -> list[spool.Spool]:
        return [kept for kept in spool.find(project.root) if kept.meant_for()[2]]

    def spooled() -> list[int]:
        """The epochs that have been logged, as they have been."""
        found = [each for kept in spools() for each in kept.read() if each.method == "log_metrics"]
        return [step for each in found for name, _, step in each.arguments["points"] if name == "validation/loss"]

    with project(*words, f"trainer.max_epochs=choice({AWAY})", "--sweep", "away") as sweep:
        until(lambda: spooled() or sweep.poll() is not None, seconds=200, what="the job trains")
        assert sweep.poll() is None, sweep.communicate()
        ((_, job),) = json.loads(record.read_text())["jobs"]
        cluster.ask("scontrol", "requeue", job)
        until(lambda: cluster.state(job) == "PENDING", seconds=60, what="the requeued job is over")
        cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
        printed, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 0 and "`filterlab sync` sends them" in printed, printed
    assert "Restarts=1" in cluster.ask("scontrol", "show", "job", job)
    assert spooled() == list(range(1, AWAY + 1)), "each epoch once, though the second start began some epochs earlier"
    assert len(spools()) == 2, "the sweep's run and the trial's"
    assert not swept.store.runs(AWAY, sweep="away")
    monkeypatch.setattr(sync, "choose", lambda *settings, **more: Place(address="", folder=project.root))
    monkeypatch.chdir(project.root)
    sync.sync([], sync.Target("local", "", "filterlab"), home=project.root, to="", watch=False)
    ((run_id, status),) = swept.store.runs(AWAY, sweep="away")
    assert status == "FINISHED"
    assert sorted(swept.store.steps(run_id, "validation/loss")) == list(range(1, AWAY + 1))
    assert len(swept.store.ask("SELECT model_id FROM logged_models WHERE source_run_id = ?", run_id)) == 1
    assert not spools()


def test_out_of_time(cluster: Cluster, swept: Swept) -> None:
    """Interrupted, not failed: its finished epochs are kept, and a later start goes on from there."""
    ((run_id, status),) = swept.store.runs(LATE)
    assert status == "KILLED"
    assert cluster.state(swept.jobs[LATE]) == "TIMEOUT"
    assert f"job {swept.jobs[LATE]} ended as TIMEOUT and left no result (trainer.max_epochs={LATE})" in swept.printed
    ((identity,),) = swept.store.ask("SELECT value FROM tags WHERE run_uuid = ? AND key = 'filterlab.id'", run_id)
    assert identity in {json.loads(record.read_text())["id"] for record in (swept.root / "checkpoints").glob("*/id.json")}


def test_a_job_that_fails_and_the_command_given_again_while_another_runs(
    cluster: Cluster, project: Callable[..., subprocess.Popen], swept: Swept
) -> None:
    """The waiting command has died. Again, it starts neither what runs nor what failed."""
    words = [
        "train",
        "-m",
        *LAUNCHER,
        "optimizer=sgd",
        "optimizer.lr=1e-3,1e6",
        f"trainer.max_epochs={ENDLESS}",
        "--sweep",
        "ends",
    ]
    query = "SELECT status FROM runs JOIN tags USING (run_uuid) WHERE key = 'swept.optimizer.lr' AND CAST(value AS REAL) = ?"
    record = swept.root / "runs/ends/submitted.json"
    with project(*words) as sweep:
        until(lambda: swept.store.ask(query, 1e6) == [("FAILED",)], seconds=200, what="a training has diverged")
        until(lambda: swept.store.ask(query, 1e-3) == [("RUNNING",)], seconds=200, what="the other one has begun")
        sweep.kill()
    jobs = {}
    for overrides, job in json.loads(record.read_text())["jobs"]:
        (rate,) = [word.partition("=")[2] for word in overrides if word.startswith("optimizer.lr=")]
        jobs[float(rate)] = job
    failed, runs = jobs[1e6], jobs[1e-3]
    stop(cluster, swept.store, runs)
    until(lambda: cluster.state(failed) == "FAILED", seconds=60, what="SLURM knows the job as failed")
    assert "ExitCode=1:0" in cluster.ask("scontrol", "show", "job", failed)
    with project(*words) as again:
        printed, _ = again.communicate(timeout=200)
    assert again.returncode == 6 and re.search("2 trials, (1 failed, 1 running|1 running, 1 failed): 0 to run", printed), printed
    assert "the training diverged" in printed
    assert len(json.loads(record.read_text())["jobs"]) == 2
    cluster.ask("scancel", runs)
    until(lambda: swept.store.ask(query, 1e-3) == [("KILLED",)], seconds=60, what="the cancelled one is recorded as such")


def test_one_training_on_two_processes(swept: Swept) -> None:
    """Two tasks of one job, found by Lightning through SLURM's variables: one run, and what one process comes to."""
    ((run_id, status),) = swept.store.runs(WHOLE, sweep="pair")
    assert status == "FINISHED", swept.pair
    assert swept.store.steps(run_id, "validation/loss") == list(range(1, WHOLE + 1))
    ((alone, _),) = swept.store.runs(WHOLE)
    for metric in ("train/loss", "validation/loss", "validation/accuracy"):
        np.testing.assert_allclose(
            swept.store.values(run_id, metric), swept.store.values(alone, metric), rtol=1e-3, err_msg=metric
        )


def test_sweep_cancel(cluster: Cluster, project: Callable[..., subprocess.Popen]) -> None:
    """The command that waits, the job that runs and the one that waits are ended; the same command goes on with the one's run."""
    words = ["train", "-m", *LAUNCHER, "hydra.launcher.array_parallelism=1", "seed=0,1", "--sweep", "ended"]
    words += [f"trainer.max_epochs={ENDLESS}", "--detach"]
    store, folder = Store(project.root / "mlflow.db"), project.root / "runs/ended"

    def run(*words: str) -> str:
        with project(*words) as process:
            printed, _ = process.communicate(timeout=200)
        assert process.returncode == 0, printed
        return printed

    def epochs() -> list[tuple[str, int]]:
        query = (
            "SELECT m.run_uuid, max(step) FROM metrics m JOIN tags t ON t.run_uuid = m.run_uuid AND t.key = 'filterlab.sweep' "
        )
        query += "AND t.value = 'ended' WHERE m.key = 'validation/loss' GROUP BY m.run_uuid"
        with contextlib.suppress(sqlite3.OperationalError):  # no file or no tables yet
            return store.ask(query)
        return []

    run(*words)
    until(epochs, seconds=200, what="the first job trains")
    (array,) = {job.split("_")[0] for _, job in json.loads((folder / "submitted.json").read_text())["jobs"]}
    assert "ended: 1 running, 1 queued" in run("sweep", "status", "ended")
    driver = int(json.loads((folder / "driver.json").read_text())["filterlab.process"].split()[0])
    ended = f"process {driver} and 2 jobs of SLURM ({array}) ended; the same command goes on with it"
    assert run("sweep", "cancel", "ended") == f"sweep ended: {ended}\n"
    assert not psutil.pid_exists(driver) and {cluster.state(f"{array}_{task}") for task in (0, 1)} == {"CANCELLED"}
    until(lambda: "ended: 1 interrupted, 1 not started" in run("sweep", "status", "ended"), seconds=60, what="the run's end")
    assert run("sweep", "cancel", "ended") == "sweep ended: nothing runs\n"
    before = epochs()
    run(*words)
    until(lambda: epochs() > before, seconds=200, what="the same run goes on")
    assert len(epochs()) == 1
    assert " and 2 jobs of SLURM (" in run("sweep", "cancel", "ended")
