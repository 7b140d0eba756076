"""A real SLURM: a controller and two nodes, all on this machine, on loopback, as whoever runs the tests."""

import contextlib
import getpass
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SBIN = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue"]
CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=16000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=16000
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=1:00:00 State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """Its commands answer where SLURM_CONF is set as in `environment`; `folder` holds its logs."""

    folder: Path
    environment: dict[str, str]

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def state(self, job: str) -> str:
        return self.ask("squeue", "--array", "--states=all", "--noheader", "--format=%T", f"--jobs={job}")


def until(true: Callable[[], object], *, seconds: float, what: str) -> None:
    """Fails with `what` where it takes longer."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster for the time of the block, its files in `folder`; whatever still runs on it is cancelled at the end."""
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=host, ports=free_ports(3), user=getpass.getuser()))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    for name in ("state", "n1", "n2"):
        (folder / name).mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{SBIN}"
    found = Cluster(folder, {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path})
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with contextlib.ExitStack() as daemons:
        daemons.enter_context(daemon(found, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge))
        until((folder / "munge.socket").exists, seconds=20, what="munged's socket")
        daemons.enter_context(daemon(found, "slurmctld", "-D", "-c"))
        for node in ("n1", "n2"):
            daemons.enter_context(daemon(found, "slurmd", "-D", "-N", node))
        until(
            lambda: answers(found) and found.ask("sinfo", "--noheader", "--format=%T %D") == "idle 2",
            seconds=60,
            what="idle nodes",
        )
        try:
            yield found
        finally:
            found.ask("scancel", "--me")
            until(lambda: found.ask("squeue", "--noheader") == "", seconds=60, what="an empty queue")


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for taken in sockets:
            taken.bind(("127.0.0.1", 0))
        return [taken.getsockname()[1] for taken in sockets]


def answers(cluster: Cluster) -> bool:
    return subprocess.run(["scontrol", "ping"], env=cluster.environment, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def daemon(cluster: Cluster, *command: str) -> Iterator[None]:
    """A program that runs in the foreground, ended at the latest by SIGKILL."""
    with (cluster.folder / f"{command[0]}.out").open("ab") as out:
        process = subprocess.Popen(
            command, env=cluster.environment, cwd=cluster.folder, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
