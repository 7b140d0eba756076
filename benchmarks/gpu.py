"""`make gpu`: filterlab on a GPU: its tests, then what it costs and reaches, as tables in docs/benchmarks_gpu.md.

Ten minutes on one card of a data centre; without a network, where the environment and MNIST are there (`make pipeline`).
`--device cpu` runs the tables alone, small, on the processor: to see that they run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback

from filterlab.config import compose, schema
from filterlab.data import arrays, ready
from filterlab.data.arrays import Card, LabelledImages
from filterlab.evaluation.predict import predict
from filterlab.models import registry
from filterlab.models.predictor import scaling
from filterlab.training.fit import Fitted, fit
from run import BIN, ENVIRONMENT, ROOT, machine, project
from tables import spread, table
from throughput import bare_loop, network

OUT = ROOT / "docs/benchmarks_gpu.md"
GOALS = [99.0, 99.5]  # % of the test set


@dataclass(frozen=True)
class Bench:
    """What is measured on: `device` cuda, or cpu with fewer rounds and images."""

    device: str
    card: Card
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    words: list[str]

    @property
    def small(self) -> bool:
        return self.device == "cpu"

    def config(self, *overrides: str) -> schema.Config:
        return compose.compose(ROOT / "conf", ["data=mnist", *self.words, *overrides])

    def fit(self, *overrides: str, callbacks: Any = ()) -> Fitted:
        config = self.config(*overrides)
        predictor = registry.predictor(config, **scaling(config.trainer.scaling, mean=self.card.mean, std=self.card.std))
        with tempfile.TemporaryDirectory() as folder:
            return fit(predictor, self.train, self.validation, config=config, folder=Path(folder), callbacks=callbacks)


class Watch(Callback):
    """Seconds of training until the test set was first classified so well, by goal: measured after each epoch, outside of the
    time. Nothing is chosen by it.
    """

    def __init__(self, test: LabelledImages):
        self.test, self.paused = test, 0.0
        self.reached: dict[float, float] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        synchronize(pl_module.device.type)
        now = time.perf_counter()
        found = 100 * float((predict(pl_module.predictor, self.test.images).argmax(axis=1) == self.test.labels).mean())
        for goal in GOALS:
            if found >= goal:
                self.reached.setdefault(goal, now - self.started - self.paused)
        pl_module.train()
        self.paused += time.perf_counter() - now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    device = parser.parse_args().device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "make gpu needs a GPU, and PyTorch finds none here: `filterlab doctor` says what it sees of one; nothing was run"
        )
    bench = load(device)
    tested = run_tests() if device == "cuda" else "Not run: this is the processor."
    parts: dict[str, Callable[[Bench], str]] = {
        "Pace": pace,
        "From the first step to a goal on the test set": goals,
        "Images a second by batch size": batch_sizes,
        "Where the time goes": where,
        "Trainings at once": at_once,
    }
    lines = ["# On a GPU\n\nWritten by `make gpu`, every figure measured in one run of it.", about(device), f"Tests: {tested}"]
    for title, measure in parts.items():
        print(f"{title} ...", flush=True)
        lines.append(f"## {title}\n\n{measure(bench)}")
    text = "\n\n".join(lines)
    if device == "cuda":
        OUT.write_text(text + "\n")
    print(text)


def load(device: str) -> Bench:
    data = compose.compose(ROOT / "conf", ["data=mnist"]).data
    os.environ.setdefault("FILTERLAB_MIRROR", str(ready.find_raw(data, ROOT).resolve() / data.folder / "raw"))
    folder = ready.find(data, ROOT)
    card, learned = arrays.load(folder / "train")
    test = arrays.load(folder / "test")[1]["test"]
    words, train = ["trainer=gpu"], learned["train"]
    if device == "cpu":
        words, train = ["trainer=cpu", "trainer.max_epochs=1"], LabelledImages(train.images[:2_000], train.labels[:2_000])
    return Bench(device, card, train, learned["validation"], test, words)


def about(device: str) -> str:
    if device == "cpu":
        return machine()
    properties = torch.cuda.get_device_properties(0)
    smi = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    driver = subprocess.run(smi, capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"Card: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, capability {properties.major}.{properties.minor}, "
        f"driver {driver}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}.\n{machine()}"
    )


def environment() -> dict[str, str]:
    """With the mirror that `load` has named: MNIST's files as they lie here, so that nothing needs a network."""
    return ENVIRONMENT | {"FILTERLAB_MIRROR": os.environ["FILTERLAB_MIRROR"]}


def run_tests() -> str:
    """What the tests marked gpu came to, in words. Ends here if one fails."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-ra", "tests/gpu", "tests/pipeline/test_on_a_gpu.py"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit("the tests failed: nothing was measured")
    skipped = [line.strip() for line in lines if line.startswith("SKIPPED")]
    return "; ".join([lines[-1].strip(" =\n"), *skipped]) + "."


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def pace(bench: Bench) -> str:
    """Lightning's loop against a bare one, in turns; with torch.compile too, whose time to compile is counted apart."""
    rounds = 1 if bench.small else 5
    kinds: dict[str, Callable[[], float]] = {"bare PyTorch loop": lambda: bare(bench), "filterlab": lambda: pace_of(bench)}
    kinds["filterlab, trainer.compile"] = lambda: pace_of(bench, "trainer.compile=true")
    paces: dict[str, list[float]] = {name: [] for name in kinds}
    first = {}
    for name, measure in kinds.items():  # warm up: kernels are chosen, and compiled
        started = time.perf_counter()
        measure()
        first[name] = time.perf_counter() - started
    for _ in range(rounds):
        for name, measure in kinds.items():
            paces[name].append(measure())
    rows = []
    for name, found in paces.items():
        ratios = [mine / other for mine, other in zip(found, paces["bare PyTorch loop"], strict=True)]
        rows.append([name, spread(found, ",.0f"), spread(ratios, ".3f"), f"{first[name]:.1f}"])
    header = [f"loop ({rounds} rounds in turns)", "images/s", "ratio", "the first round, compiling and all, s"]
    return table(header, rows) + "\n\nBar: filterlab at least 0.95 of a bare loop."


def pace_of(bench: Bench, *words: str) -> float:
    fitted = bench.fit("trainer.max_epochs=1" if bench.small else "trainer.max_epochs=3", "trainer.patience=3", *words)
    return fitted.images / fitted.seconds


def bare(bench: Bench) -> float:
    config = bench.config("trainer.max_epochs=1" if bench.small else "trainer.max_epochs=3")
    seconds = bare_loop(network(config, bench.card), bench.train, bench.validation, config, device=bench.device)
    return config.trainer.max_epochs * len(bench.train) / seconds


def goals(bench: Bench) -> str:
    seeds = range(1 if bench.small else 5)
    watches = []
    for seed in seeds:
        watches.append(Watch(bench.test))
        bench.fit(f"seed={seed}", callbacks=[watches[-1]])
    rows = []
    for goal in GOALS:
        reached = [watch.reached[goal] for watch in watches if goal in watch.reached]
        mean = f"{statistics.mean(reached):.1f}" if reached else "n/a"
        rows.append([f"{goal} %", mean, spread(reached, ".1f") if reached else "n/a", f"{len(reached)} of {len(watches)}"])
    return table(["goal", "seconds, mean", "median (range)", "seeds that reached it"], rows)


def batch_sizes(bench: Bench) -> str:
    rows = []
    for size in [64, 256] if bench.small else [64, 256, 1024, 4096, 16384]:
        if bench.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        fitted = bench.fit(f"trainer.batch_size={size}", "trainer.max_epochs=1" if bench.small else "trainer.max_epochs=2")
        memory = torch.cuda.max_memory_allocated() / 2**20 if bench.device == "cuda" else 0
        rows.append([str(size), f"{fitted.images / fitted.seconds:,.0f}", f"{memory:,.0f}"])
    return table(["batch", "images/s", "peak memory of the card, MiB"], rows)


class Profile(Callback):
    """The operations of steps 20 to 60 of an epoch."""

    def __init__(self, device: str, steps: tuple[int, int]):
        kinds = [torch.profiler.ProfilerActivity.CPU]
        kinds += [torch.profiler.ProfilerActivity.CUDA] if device == "cuda" else []
        self.profiler, self.steps = torch.profiler.profile(activities=kinds), steps

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.steps[0]:
            self.profiler.start()
        elif batch_idx == self.steps[1]:
            synchronize(pl_module.device.type)
            self.profiler.stop()


def where(bench: Bench) -> str:
    profile = Profile(bench.device, (2, 6) if bench.small else (20, 60))
    bench.fit("trainer.max_epochs=1", callbacks=[profile])
    key = "self_device_time_total" if bench.device == "cuda" else "self_cpu_time_total"
    found = sorted(profile.profiler.key_averages(), key=lambda event: getattr(event, key), reverse=True)
    total = sum(getattr(event, key) for event in found)
    rows = [[event.key[:70], f"{getattr(event, key) / total:.1%}", str(event.count)] for event in found[:12]]
    return table(["operation", "share of the time", "calls"], rows)


def at_once(bench: Bench) -> str:
    """Small trainings by 1, 4 and 16 at a time on one card, as a sweep's processes are."""
    count = 2 if bench.small else 16
    rows = []
    with project() as root:
        words = [
            str(BIN / "filterlab"),
            "train",
            "data=mnist",
            *bench.words,
            "tracking=off",
            "data.take=per_class",
            "data.take_n=500",
        ]
        variables = environment() | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}

        def train(seed: int) -> None:
            command = [*words, f"seed={seed}", "trainer.max_epochs=1" if bench.small else "trainer.max_epochs=8"]
            subprocess.run(command, cwd=root, env=variables, check=True, capture_output=True)

        train(1000)  # the data are prepared
        for workers in [1, 2] if bench.small else [1, 4, 16]:
            started = time.perf_counter()
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(train, range(count)))
            seconds = time.perf_counter() - started
            rows.append([str(workers), f"{seconds:.0f}", f"{3600 * count / seconds:,.0f}"])
    return table(["at a time", f"{count} trainings of 5,000 images, s", "trainings an hour"], rows)


if __name__ == "__main__":
    main()
