"""`make bench`: what tracking costs a training, in docs/benchmarks_tracking.md: with its store healthy, slow, silent, gone.

The same small training with each of them, in turns, and its pace as a ratio of that with tracking off; how long it takes from
SIGTERM to its end; and what a trial of a sweep leaves. Real processes and a real MLflow server, some ten minutes on two cores.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from run import BIN, ENVIRONMENT, ROOT, machine, project
from tables import spread, table

sys.path.append(str(ROOT / "tests"))
from faulty import Faulty, faulty

OUT = ROOT / "docs/benchmarks_tracking.md"
ROUNDS = 5
STORES = ["off", "local", "healthy server", "slow server (2 s a request)", "silent server", "server gone", "offline"]
MODES = {"slow server (2 s a request)": "slow", "silent server": "silent", "server gone": "dropped"}
TRAINING = ["data=digits", "trainer=cpu", "trainer.max_epochs=60", "trainer.patience=60", "model=tutorial_cnn"]
ENDLESS = ["trainer.max_epochs=1000", "trainer.patience=1000"]
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def main() -> None:
    with project() as root, server(root) as between:
        for stage in ("compose", "download", "preprocess"):
            subprocess.run([BIN / "filterlab", "stage", stage], cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
        paces, ends, memory = measure(root, between)
        rows = []
        for store in STORES:
            ratios = [pace / off for pace, off in zip(paces[store], paces["off"], strict=True)]
            rows.append([store, spread(ratios, ".3f"), spread(ends[store], ".1f"), f"{max(memory[store]):.0f}"])
        header = ["store", f"pace, ratio to off ({ROUNDS} rounds)", "SIGTERM to exit, s", "peak memory, MiB"]
        text = "\n\n".join(
            [
                "# What tracking costs\n\nWritten by `make bench`, every figure measured in one run of it.",
                machine(),
                table(header, rows),
                "Bars: a pace of at least 0.98, an end within 3 s.",
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


def measure(root: Path, between: Faulty) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, list[float]]]:
    """By store and round: images a second, seconds from SIGTERM in mid-training to the end, the training's memory in MiB."""
    paces: dict[str, list[float]] = {store: [] for store in STORES}
    ends: dict[str, list[float]] = {store: [] for store in STORES}
    memory: dict[str, list[float]] = {store: [] for store in STORES}
    for turn in range(ROUNDS):
        for store in STORES:
            between.mode = MODES.get(store, "")
            words = [*TRAINING, f"seed={turn}", *tracking(store, between.uri)]
            folder = root / "runs" / f"{store.split()[0]}_{turn}"
            subprocess.run(command(words, folder), cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
            facts = json.loads((folder / "results/run.json").read_text())
            paces[store].append(facts["images_per_second"])
            memory[store].append(facts["peak_memory_mib"])
            # A seed of its own: the same training would go on from the one that was ended before, and be ended while it starts.
            alone = [*words, f"seed={1000 + turn * len(STORES) + STORES.index(store)}", *ENDLESS]
            ends[store].append(end(root, alone, folder.with_suffix(".ended")))
    return paces, ends, memory


def tracking(store: str, uri: str) -> list[str]:
    if "server" in store:
        return ["tracking=server", f"tracking.uri={uri}"]
    return [f"tracking={store}"]


def command(words: list[str], folder: Path) -> list[str]:
    return [str(BIN / "filterlab"), "train", *words, f"hydra.run.dir={folder}"]


def end(root: Path, words: list[str], folder: Path) -> float:
    with subprocess.Popen(
        command(words, folder), cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"epoch    3/"):
                break
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        process.communicate()
        assert process.returncode == 128 + signal.SIGTERM, process.returncode
        return time.monotonic() - started


def leaves(root: Path) -> str:
    """Files and bytes of a trial of two small networks, in its folder and in the local store."""
    rows = []
    for epochs in (5, 50):
        shutil.rmtree(root / "mlartifacts", ignore_errors=True)
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
        (found,) = store.execute("select run_uuid from tags where key = 'filterlab.id' and value = ?", (parent,)).fetchall()
    return found[0] in path.parts


if __name__ == "__main__":
    main()
