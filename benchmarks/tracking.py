"""`make bench`: what tracking costs a training, in docs/benchmarks_tracking.md: with its store healthy, slow, silent, gone.

The same small training with each of them, in turns, and its pace as a ratio of that with tracking off in the same turn: by the
clock, and by the processor time that the training's process takes, which other work on the machine changes less. Each is ended
by SIGTERM. Then how a sender starts, what a run remembers, and what a trial of a sweep leaves. Some ten minutes on two cores.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from run import BIN, ENVIRONMENT, ROOT, machine, project
from tables import spread, table

sys.path.append(str(ROOT / "tests"))
from faulty import Faulty, faulty

OUT = ROOT / "docs/benchmarks_tracking.md"
ROUNDS = int(os.environ.get("ROUNDS", "5"))
FIRST, LAST = 20, 60  # epochs between which the pace is measured: mlflow is imported beside the first ones
STORES = ["off", "local", "healthy server", "slow server (2 s a request)", "silent server", "server gone", "offline"]
MODES = {"slow server (2 s a request)": "slow", "silent server": "silent", "server gone": "dropped"}
TRAINING = ["data=digits", "trainer=cpu", "trainer.threads=1", "model=lenet5", "trainer.max_epochs=1000", "trainer.patience=1000"]
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def main() -> None:
    with project() as root, server(root) as between:
        for stage in ("compose", "download", "preprocess"):
            subprocess.run([BIN / "filterlab", "stage", stage], cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
        measured = measure(root, between)
        rows = []
        for store, turns in measured.items():
            pairs = list(zip(turns, measured["off"], strict=True))
            ratios = [spread([getattr(off, name) / getattr(own, name) for own, off in pairs], ".3f") for name in ("cpu", "wall")]
            begin = spread([own.begin for own in turns], ".1f")
            rows.append(
                [store, *ratios, begin, spread([own.end for own in turns], ".1f"), f"{max(own.memory for own in turns):.0f}"]
            )
        paces = [f"pace by {what}, ratio to off ({ROUNDS} rounds)" for what in ("processor time", "the clock")]
        text = "\n\n".join(
            [
                "# What tracking costs\n\nWritten by `make bench`, every figure measured in one run of it.",
                machine(),
                table(["store", *paces, f"start to epoch {FIRST}, s", "SIGTERM to exit, s", "peak memory, MiB"], rows),
                "Bars: a pace of at least 0.98, an end within 3 s.",
                "## What logging an epoch takes\n\n" + logging(),
                "## What waits\n\n" + waiting(),
                "## How a sender starts\n\n" + starts(),
                "## What a trial leaves\n\n" + leaves(root),
            ]
        )
    OUT.write_text(text + "\n")
    print(text)


@contextmanager
def server(root: Path) -> Iterator[Faulty]:
    """A real server, behind one that fails as it is told."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
        with subprocess.Popen(
            command, env=ENVIRONMENT | QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                with faulty(f"http://127.0.0.1:{port}") as between:
                    wait_for(port)
                    yield between
            finally:
                os.killpg(process.pid, signal.SIGTERM)


def wait_for(port: int) -> None:
    import urllib.request

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError("the MLflow server does not start")


@dataclass(frozen=True)
class Turn:
    """One training: seconds of the clock until epoch FIRST, of its processor and of the clock from there to LAST, and from
    SIGTERM to its end; its memory in MiB.
    """

    begin: float
    cpu: float
    wall: float
    end: float
    memory: float


def measure(root: Path, between: Faulty) -> dict[str, list[Turn]]:
    """By store, a training for each round."""
    measured: dict[str, list[Turn]] = {store: [] for store in STORES}
    for turn in range(ROUNDS):
        for number, store in enumerate(STORES):
            between.mode = MODES.get(store, "")
            # A seed of its own: the same training would go on from the one that was ended before.
            words = [*TRAINING, f"seed={turn * len(STORES) + number}", *tracking(store, between.uri)]
            measured[store].append(train(root, words, root / "runs" / f"{store.split()[0]}_{turn}"))
            print(store, measured[store][-1], flush=True)
    return measured


def tracking(store: str, uri: str) -> list[str]:
    if "server" in store:
        return ["tracking=server", f"tracking.uri={uri}"]
    return [f"tracking={store}"]


def command(words: list[str], folder: Path) -> list[str]:
    return [str(BIN / "filterlab"), "train", *words, f"hydra.run.dir={folder}"]


def train(root: Path, words: list[str], folder: Path) -> Turn:
    with subprocess.Popen(
        command(words, folder), cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        begun = time.monotonic()
        seen: dict[int, tuple[float, float]] = {}
        for line in process.stdout:
            if (found := re.match(rb"epoch +(\d+)/", line)) and (epoch := int(found[1])) in (FIRST, LAST):
                times = psutil.Process(process.pid).cpu_times()  # without its children's
                seen[epoch] = times.user + times.system, time.monotonic()
                if epoch == LAST:
                    break
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        process.communicate()
        assert process.returncode == 128 + signal.SIGTERM, process.returncode
        (cpu, wall), (end_cpu, end_wall) = seen[FIRST], seen[LAST]
        memory = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 2**10
        return Turn(wall - begun, end_cpu - cpu, end_wall - wall, time.monotonic() - started, memory)


LOGGING = """
import sys, time
from pathlib import Path
from PIL import Image
from filterlab import tracking
from filterlab.tracking.sync import Target
root = Path(sys.argv[1])
Image.effect_noise((600, 150), 64).convert("RGB").save(root / "picture.png")
for _ in range(5):
    for backend in ("off", "offline", "server"):
        with tracking.start(Target(backend, "http://127.0.0.1:9", "logging"), root=root, name="n", tags={}) as run:
            begun = time.process_time()
            for epoch in range(100):
                run.log_image("first_layer", root / "picture.png", step=epoch)
                for step in range(2):
                    run.log_metrics({"step/loss": 0.5, "step/lr": 0.1}, step=20 * epoch + 10 * step)
                run.log_metrics({name: 0.5 for name in "abcde"}, step=epoch)
                run.flush()
            print((time.process_time() - begun) * 10)
"""


def logging() -> str:
    """Of the training's own process; of an epoch with nine points and a picture."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-P", "-c", LOGGING, folder]
        done = subprocess.run(words, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    taken = [float(line) for line in done.stdout.split()]
    rows = [[name, spread(taken[first::3], ".2f")] for first, name in enumerate(["off", "offline", "server gone"])]
    return table(["", "processor time for an epoch's nine points and a picture, ms"], rows)


WAITING = """
import resource, sys
from pathlib import Path
import psutil
from filterlab import tracking
from filterlab.tracking.sync import Target
number, root = int(sys.argv[1]), Path(sys.argv[2])
with tracking.start(Target("server", "http://127.0.0.1:9", "waiting"), root=root, name="n", tags={}) as run:
    before = psutil.Process().memory_info().rss
    for step in range(number):
        run.log_metrics({"loss": 1.0, "rate": 0.1}, step=step)
    grown = psutil.Process().memory_info().rss - before
    sender = max((each.memory_info().rss for each in psutil.Process().children(recursive=True)), default=0)
print(f"{grown / 2**20:.0f} {sender / 2**20:.0f} {sum(path.stat().st_size for path in root.rglob('records')) / 1e6:.0f}")
"""


def waiting() -> str:
    """What a run and its sender take where nothing is sent."""
    rows = []
    for number in (10_000, 100_000, 500_000):
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-P", "-c", WAITING, str(number), folder]
            done = subprocess.run(words, env=ENVIRONMENT, check=True, capture_output=True, text=True)
            rows.append([f"{2 * number:,}", *done.stdout.split()])
    return table(["points that wait", "the run has grown by, MiB", "its sender takes, MiB", "the spool, MB"], rows)


# Both have imported the sender's modules before they fork it; each is asked for three, one after the other.
STARTS = {
    "preloaded.py": """
from filterlab.tracking import senders
def start():
    return senders.connect(database=False)
""",
    "the standard library's forkserver": """
import multiprocessing
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["filterlab.tracking.session"])
def start():
    ours, theirs = context.Pipe()
    context.Process(target=theirs.send, args=(0,)).start()
    return ours
""",
}
ASKED = """
import time
if __name__ == "__main__":
    for _ in range(3):
        begun = time.monotonic()
        connection = start()
        returned = time.monotonic()
        connection.recv()
        print(f"{returned - begun:.2f} s, {time.monotonic() - begun:.2f} s")
"""


def starts() -> str:
    rows = []
    for name, text in STARTS.items():
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program.py"
            program.write_text(text + ASKED)
            done = subprocess.run([sys.executable, program], env=ENVIRONMENT, check=True, capture_output=True, text=True)
            rows.append([name, *done.stdout.splitlines()])
    said = (
        "Until the training goes on, and until the sender answers. A forkserver has the first wait until it has imported MLflow, "
        "which preloaded.py does while the training imports torch; and the standard library ends, or waits for, such a "
        "process where the training ends, which a sender outlives."
    )
    return table(["", "first", "second", "third"], rows) + "\n\n" + said


def leaves(root: Path) -> str:
    """Files and bytes of a trial of two small networks, in its folder and in the local store."""
    rows = []
    for epochs in (5, 50):
        for folder in ("mlartifacts", "spool"):  # what was ended before is sent to a new store once more
            shutil.rmtree(root / folder, ignore_errors=True)
        for path in root.glob("mlflow.db*"):
            path.unlink()
        words = ["train", "-m", "--sweep", f"small{epochs}", "data=digits", "trainer=cpu", f"trainer.max_epochs={epochs}"]
        words += [f"trainer.patience={epochs}", "model=softmax,lenet5", "seed=0,1"]
        subprocess.run([BIN / "filterlab", *words], cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
        parent = json.loads((root / f"runs/small{epochs}/sweep.json").read_text())["id"]
        trials = [*(root / f"runs/small{epochs}/trials").iterdir()]
        stored = [path for path in (root / "mlartifacts").rglob("*") if path.is_file() and not is_parents(path, root, parent)]
        files = [path for trial in trials for path in trial.rglob("*") if path.is_file()] + stored
        # A trial's weights are one file, in its folder and in the store.
        size = (
            sum({path.stat().st_ino: path.stat().st_size for path in files}.values())
            + (root / "mlflow.db").stat().st_size
            - EMPTY_STORE
        )
        rows.append([str(epochs), f"{len(files) / len(trials):.0f}", f"{size / len(trials) / 1e6:.2f}"])
    return table(["epochs", "files", "MB (its share of mlflow.db's growth with it)"], rows) + "\n\nBars: 20 files, 0.4 MB."


EMPTY_STORE = 880_000  # bytes of a store without runs, about


def is_parents(path: Path, root: Path, parent: str) -> bool:
    import sqlite3

    with sqlite3.connect(root / "mlflow.db") as store:
        # Not one that was made at the same moment as another's, and taken back.
        tagged = "select run_uuid from tags join runs using (run_uuid) where lifecycle_stage = 'active' and key = 'filterlab.id'"
        (found,) = store.execute(f"{tagged} and value = ?", (parent,)).fetchall()
    return found[0] in path.parts


if __name__ == "__main__":
    main()
