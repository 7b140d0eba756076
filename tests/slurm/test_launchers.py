"""The launchers by themselves: what they ask SLURM and what they do with answers, without a SLURM."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from hydra.types import HydraContext
from omegaconf import OmegaConf
from submitit.core.utils import UncompletedJobError

from filterlab import seal
from filterlab.config import compose as composition
from filterlab.errors import UserError
from filterlab.slurm import GONE, UNKNOWN, is_over, job_states, max_array_size
from filterlab.sweeps.sweep import SUBMITTED
from hydra_plugins.filterlab_launchers import slurm

ROOT = Path(__file__).parents[2]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts shell scripts on a PATH that has nothing else but cat and grep: no SLURM that is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("cat", "grep"):
        (folder / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setenv("PATH", str(folder))

    def make(**scripts: str) -> None:
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)

    return make


def test_states_of_the_queue(commands: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the queue knows all, the accounting is not asked; a user's own filter hides nothing."""
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    commands(squeue='[ -z "$SQUEUE_STATES" ] && printf "7_0|RUNNING\\n7_1|CANCELLED\\n8|PENDING\\n"', sacct="touch asked; exit 1")
    assert job_states(["7_0", "7_1", "8"]) == {"7_0": "RUNNING", "7_1": "CANCELLED", "8": "PENDING"}


def test_states_that_the_queue_has_forgotten(commands: Callable[..., None]) -> None:
    asked = '[ "$5" = --jobs=7,9 ] && printf "7_0|RUNNING\\n7_1|CANCELLED by 1000\\n7_2|OUT_OF_ME+\\n"'
    commands(squeue='echo "7_0|PENDING"', sacct=asked)
    found = job_states(["7_0", "7_1", "7_2", "9"])
    assert found == {"7_0": "PENDING", "7_1": "CANCELLED", "7_2": "OUT_OF_ME", "9": GONE}


def test_states_without_accounting(commands: Callable[..., None]) -> None:
    commands(squeue="true", sacct='echo "Slurm accounting storage is disabled" >&2; exit 1')
    assert job_states(["7_0"]) == {"7_0": GONE}
    commands(squeue="echo unable to contact the controller >&2; exit 1")
    assert job_states(["7_0"]) == {"7_0": UNKNOWN}


def test_which_states_are_an_end() -> None:
    over = [state for state in ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "UNKNOWN"] if is_over(state)]
    assert over == []
    assert all(map(is_over, ["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "GONE"]))


def test_max_array_size(commands: Callable[..., None]) -> None:
    commands(scontrol='printf "MaxArraySize            = 101\\n"')
    assert max_array_size() == 101
    commands(scontrol="exit 1")
    assert max_array_size() == 1001


@pytest.fixture
def launcher(tmp_path: Path) -> slurm.SlurmLauncher:
    """As conf/ makes it, its files in tmp_path."""
    composition.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose(
            "config", overrides=["hydra/launcher=slurm", f"hydra.sweep.dir={tmp_path}/sweep"], return_hydra_config=True
        )
        loader = GlobalHydra.instance().config_loader()
    HydraConfig.instance().set_config(config)
    settings = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert settings.pop("_target_") == "hydra_plugins.filterlab_launchers.slurm.SlurmLauncher"
    made = slurm.SlurmLauncher(**settings)
    made.config, made.hydra_context = config, HydraContext(config_loader=loader, callbacks=Callbacks())
    return made


def test_conf_explains_every_value() -> None:
    lines = (ROOT / "conf/hydra/launcher/slurm.yaml").read_text().splitlines()
    shown = {line.partition(":")[0]: line.partition(" # ")[2] for line in lines if line and line[0].isalpha()}
    shown.pop("defaults")
    assert set(shown) <= set(slurm.SlurmConf.__dataclass_fields__)
    assert all(shown.values())


def test_what_sbatch_is_told(
    launcher: slurm.SlurmLauncher, commands: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/a b/frozen/src:/more")
    monkeypatch.setenv(slurm.VARIABLE, "/a b")
    commands(sbatch=f'cat "$1" > {tmp_path}/script; echo Submitted batch job 7', srun="")
    (job,) = launcher.submit([(["seed=0"], "hydra.sweep.dir", 0, "", {})])
    assert job.job_id == "7"
    script = (tmp_path / "script").read_text()
    for line in [
        "--time=60",
        "--cpus-per-task=2",
        "--mem=4GB",
        "--job-name=filterlab",
        "--ntasks-per-node=1",
        "--signal=USR2@120",
    ]:
        assert f"#SBATCH {line}\n" in script
    assert "--partition" not in script and "--gpus" not in script, "left to the site"
    assert script.index("export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK OMP_NUM_THREADS=") < script.index("\nsrun ")
    # What a site's SBATCH_EXPORT=NONE would keep from the job, and from its srun.
    setup = script[: script.index("\nsrun ")].splitlines()
    assert {"export PYTHONPATH='/a b/frozen/src:/more'", "export FILTERLAB_SWEEP='/a b'", "unset SLURM_EXPORT_ENV"} <= set(setup)


def test_more_jobs_than_an_array_may_have(
    launcher: slurm.SlurmLauncher,
    commands: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two arrays; and of jobs that SLURM forgets and that leave nothing, each counts as failed, in order."""
    caplog.set_level("INFO", slurm.log.name)
    monkeypatch.setattr(slurm, "GRACE", 0.0)
    monkeypatch.setenv(slurm.VARIABLE, str(tmp_path))
    sbatch = f'grep -e --array "$1" >> {tmp_path}/scripts; echo Submitted batch job $(grep -c . {tmp_path}/scripts)'
    commands(sbatch=sbatch, srun="", squeue="", scontrol="echo MaxArraySize = 3", sacct="exit 1")
    returns = launcher.launch([["model=mlp", f"seed={seed}", "hydra.job.name=a"] for seed in range(5)], 0)
    assert (tmp_path / "scripts").read_text().splitlines() == ["#SBATCH --array=0-2%3", "#SBATCH --array=0-1%2"]
    assert seal.parse((tmp_path / SUBMITTED).read_bytes())["jobs"] == [
        [["model=mlp", f"seed={seed}", "hydra.job.name=a"], job] for seed, job in enumerate(["1_0", "1_1", "1_2", "2_0", "2_1"])
    ]
    assert [returned.overrides for returned in returns] == [["model=mlp", f"seed={seed}"] for seed in range(5)]
    for returned in returns:
        assert returned.status == JobStatus.FAILED
        with pytest.raises(UncompletedJobError, match=r"job \d_\d ended as GONE and left no result"):
            _ = returned.return_value
    assert caplog.messages[-2].startswith("job 2_1 ended as GONE and left no result (seed=4); its log: ")
    assert caplog.messages[-1] == "5 of 5 jobs have ended, 5 of them failed"


@pytest.mark.parametrize("command", ["sbatch", "squeue"])
def test_sbatch_is_missing(commands: Callable[..., None], command: str) -> None:
    commands(**dict.fromkeys({"sbatch", "srun", "squeue"} - {command}, "true"))
    with pytest.raises(UserError, match=f"hydra/launcher=slurm: {command} not found on the PATH, nothing was submitted"):
        slurm.check_machine()


def test_sbatch_refuses(launcher: slurm.SlurmLauncher, commands: Callable[..., None]) -> None:
    commands(sbatch="echo sbatch: error: invalid partition specified: gpuu >&2; exit 1", srun="", scontrol="exit 1")
    with pytest.raises(UserError, match=r"SLURM took no job: sbatch: error: invalid partition specified: gpuu$"):
        launcher.launch([["seed=0"], ["seed=1"]], 0)


@pytest.mark.parametrize(
    ("words", "tasks", "expected"),
    [
        (["trainer=ddp"], 1, "trainer.devices is 2, but hydra.launcher asks for 1 processes: .*tasks_per_node=2"),
        (["trainer.devices=1"], 4, "trainer.devices is 1, but hydra.launcher asks for 4 processes"),
    ],
)
def test_other_processes_than_devices(launcher: slurm.SlurmLauncher, words: list[str], tasks: int, expected: str) -> None:
    """Found in any job, before one is submitted."""
    launcher.params["tasks_per_node"] = tasks
    with pytest.raises(UserError, match=expected):
        launcher.launch([[f"trainer.devices={tasks}", "seed=0"], [*words, "seed=1"]], 0)


def test_several_nodes(launcher: slurm.SlurmLauncher) -> None:
    launcher.params["nodes"] = 2
    with pytest.raises(UserError, match=r"hydra\.launcher\.nodes is 2, expected 1"):
        launcher.launch([["trainer.devices=2"]], 0)


IN_JOB = """
import logging, os, signal, subprocess, sys, time
from hydra.core.plugins import Plugins
from submitit.core.utils import UncompletedJobError
from hydra_plugins.filterlab_launchers import in_job

def of_submitit(number, frame):
    {handler}

logging.basicConfig(stream=sys.stdout, format="%(message)s")
signal.signal(signal.SIGUSR2, of_submitit)
in_job.prepare_job()
Plugins.instance()  # looks for plugins, as Hydra does in a job after that: it executes in_job.py once more
child = subprocess.Popen(["sleep", "60"])
for process in (child.pid, os.getpid()):
    os.kill(process, signal.SIGUSR2)
time.sleep(1)
print("goes on", child.poll(), os.environ.get("LOCAL_RANK"), flush=True)
child.kill()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("handler", "printed"),
    [
        ("raise UncompletedJobError('Timed out too many times.')", "the training goes on until then. Timed out too many times."),
        ("sys.exit(-1)", "the job waits in the queue again"),
    ],
    ids=["may not be queued again", "queued again"],
)
def test_signals_in_a_job(handler: str, printed: str) -> None:
    """Near the time limit the training and its other processes go on; SIGTERM ends it, and it says so."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "SLURM_NTASKS": "2", "SLURM_LOCALID": "1"}
    done = subprocess.run(
        [sys.executable, "-c", IN_JOB.format(handler=handler)],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
    assert printed in done.stdout
    assert "goes on None 1\n" in done.stdout


APP = """
import os, signal, sys, time
import hydra

@hydra.main(version_base="1.3", config_path=None)
def job(config):
    if config.end == "killed":
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    if config.end == "interrupted":
        sys.exit(128 + signal.SIGTERM)
    time.sleep(1)
    print(config.end, os.environ["OMP_NUM_THREADS"], "threads", flush=True)

job()
"""


def test_joblib(tmp_path: Path) -> None:
    """Each job has its share of the cores, and one that is killed or interrupted ends no other, run next to it or later."""
    (tmp_path / "app.py").write_text(APP)
    words = ["-m", "hydra/launcher=filterlab_joblib", "hydra.launcher.n_jobs=2", "+end=killed,first,interrupted,last"]
    environment = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, tmp_path / "app.py", *words, f"hydra.sweep.dir={tmp_path}/sweep"],
        env=environment | {"PYTHONPATH": str(ROOT / "src")},
        text=True,
        capture_output=True,
        check=False,
    )
    share = max(joblib.cpu_count() // 2, 1)
    # Sorted: both may run at the same moment.
    assert sorted(line for line in done.stdout.splitlines() if "threads" in line) == [
        f"{end} {share} threads" for end in ("first", "last")
    ]
    assert "job 0 (+end=killed) was killed again, alone; the others run" in done.stdout
    assert "4 of 4 jobs have ended" in done.stdout
    assert done.returncode == 1 and "TerminatedWorkerError" in done.stderr
