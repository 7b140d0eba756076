"""`make gpu`: filterlab on a GPU: its tests, then what it costs and reaches, as tables in docs/benchmarks_gpu.md.

Ten minutes on one card of a data centre; without a network, where the environment and MNIST are there (`make pipeline`).
The page is written after each part. What failed is on it too, and the exit code is 1.
`--device cpu` runs the tables alone, small, on the processor: to see that they run.
"""

import argparse
import gc
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback

from filterlab.config import compose, schema
from filterlab.data import arrays, ready
from filterlab.data.arrays import Card, LabelledImages
from filterlab.errors import UserError
from filterlab.evaluation.predict import predict
from filterlab.models import registry
from filterlab.models.predictor import scaling
from filterlab.training import devices
from filterlab.training.fit import Fitted, fit
from run import BIN, ENVIRONMENT, ROOT, machine, project
from tables import spread, table
from throughput import bare_loop, network

OUT = ROOT / "docs/benchmarks_gpu.md"
GOALS = [99.0, 99.5]  # % of the test set
BAR = 0.95  # of a bare loop's pace
TESTS = [
    "tests/pipeline/test_on_a_gpu.py",
    "tests/gpu",
]  # in this order: the first ones' processes may need the card to themselves
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch asks for it where algorithms are deterministic


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


class Epochs(Callback):
    """When each epoch had ended, and the first had begun."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        synchronize(pl_module.device.type)
        self.times.append(time.perf_counter())

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        synchronize(pl_module.device.type)
        self.times.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        return [end - start for start, end in itertools.pairwise(self.times)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    device = parser.parse_args().device
    if device == "cuda" and (missing := why_not()):
        sys.exit(f"make gpu needs a GPU: {missing}; `filterlab doctor` says what it sees of one; nothing was run")
    bench = load(device)
    lines = ["# On a GPU\n\nWritten by `make gpu`, every figure measured in one run of it.", about(device)]
    parts: dict[str, Callable[[Bench], str]] = {
        "Tests": run_tests,
        "Pace": pace,
        "From the first step to a goal on the test set": goals,
        "Images a second by batch size": batch_sizes,
        "Where the time goes": where,
        "Trainings at once": at_once,
    }
    failed = []
    for title, measure in parts.items():
        print(f"{title} ...", flush=True)
        started = time.perf_counter()
        try:
            text = measure(bench)
        except (Exception, SystemExit) as error:  # whatever a part fails of, the others are measured
            traceback.print_exc()
            failed.append(title)
            text = f"**Failed**: {type(error).__name__}: {' '.join(str(error).split())}"
        lines.append(f"## {title}\n\n{text}\n\n({time.perf_counter() - started:.0f} s.)")
        print(lines[-1], flush=True)
        left = list(parts)[len(lines) - 2 :]
        if device == "cuda":
            OUT.write_text("\n\n".join([*lines, *([f"Not measured: {', '.join(left)}."] if left else [])]) + "\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def why_not() -> str:
    """Why PyTorch can't train on a GPU here, in a sentence; empty where it can."""
    if not torch.cuda.device_count():
        return "PyTorch finds none here"
    try:
        devices.check_gpus(compose.compose(ROOT / "conf", ["data=mnist", "trainer=gpu"]).trainer)
    except UserError as error:
        return str(error)
    return ""


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
    try:
        driver = subprocess.run(smi, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:  # an image may go without
        driver = f"unknown ({error})"
    return (
        f"Card: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, capability {properties.major}.{properties.minor}, "
        f"driver {driver}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}.\n{machine()}"
    )


def environment() -> dict[str, str]:
    """With the mirror that `load` has named: MNIST's files as they lie here, so that nothing needs a network."""
    return ENVIRONMENT | {"FILTERLAB_MIRROR": os.environ["FILTERLAB_MIRROR"]}


def run_tests(bench: Bench) -> str:
    """What the tests marked gpu came to, in words. Raises RuntimeError: some failed."""
    if bench.small:
        return "Not run: this is the processor."
    found, codes = [], []
    for tests in TESTS:
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-ra", tests]
        with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line.strip(" =\n"))
        codes.append(process.returncode)
        found += [lines[-1], *(line for line in lines if line.startswith(("SKIPPED", "FAILED", "ERROR")))]
    if any(codes):
        raise RuntimeError("; ".join(found))
    return "; ".join(found) + "."


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def pace(bench: Bench) -> str:
    """Lightning's loop against a bare one, in turns, without each one's first epoch; with torch.compile, which compiles in it."""
    kinds: dict[str, Callable[[], list[float]]] = {
        "bare PyTorch loop": lambda: bare(bench),
        "filterlab": lambda: epochs_of(bench),
        "filterlab, trainer.compile": lambda: epochs_of(bench, "trainer.compile=true"),
    }
    if not bench.small:
        bare(bench)  # warm up
    rounds = 1 if bench.small else 5
    paces: dict[str, list[float]] = {name: [] for name in kinds}
    more: dict[str, list[float]] = {name: [] for name in kinds}  # seconds that the first epoch took more than the others
    failed: dict[str, str] = {}
    # Compiled code is kept in files: in the first round there are none.
    with tempfile.TemporaryDirectory() as cache, changed(TORCHINDUCTOR_CACHE_DIR=cache):
        for round in range(rounds):
            for name in sorted(kinds.keys() - failed.keys(), key=[*kinds].index, reverse=bool(round % 2)):
                torch._dynamo.reset()
                try:
                    first, *others = kinds[name]()
                except Exception as error:  # a compiler that is missing takes nothing from the other kinds
                    failed[name] = f"failed: {' '.join(str(error).split())[:300]}"
                    continue
                paces[name].append(len(bench.train) / statistics.mean(others))
                more[name].append(first - statistics.mean(others))
    rows, bars = [], []
    for name, found in paces.items():
        if name in failed:
            rows.append([name, failed[name], "n/a", "n/a", "n/a"])
            continue
        ratios = [mine / other for mine, other in zip(found, paces["bare PyTorch loop"], strict=True)]
        again = spread(more[name][1:], ".1f") if rounds > 1 else "n/a"
        rows.append([name, spread(found, ",.0f"), spread(ratios, ".3f"), f"{more[name][0]:.1f}", again])
        if name != "bare PyTorch loop":
            bars.append(f"{name} {'meets it' if statistics.median(ratios) >= BAR else '**does not meet it**'}")
    header = [f"loop (rounds in turns: {rounds})", "images/s", "ratio", "the first epoch takes longer by, s", "in later rounds"]
    told = f"Bar: {BAR} of a bare loop, of epochs after the first (in which a compiled training compiles): {'; '.join(bars)}."
    return f"{table(header, rows)}\n\n{told}"


@contextmanager
def changed(**variables: str) -> Iterator[None]:
    """The environment with these variables, for the time of the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def epochs_of(bench: Bench, *words: str) -> list[float]:
    """Seconds of three epochs, or two on the processor."""
    epochs = Epochs()
    length = 2 if bench.small else 3
    bench.fit(f"trainer.max_epochs={length}", f"trainer.patience={length}", *words, callbacks=[epochs])
    return epochs.seconds


def bare(bench: Bench) -> list[float]:
    config = bench.config(f"trainer.max_epochs={2 if bench.small else 3}")
    return bare_loop(network(config, bench.card), bench.train, bench.validation, config, device=bench.device)


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
    return table(["accuracy on the test set", "seconds, mean", "median (range)", "seeds that reached it"], rows)


def batch_sizes(bench: Bench) -> str:
    """Of 200 steps or more, without the first epoch."""
    rows = []
    for size in [64, 256] if bench.small else [64, 256, 1024, 4096, 16384]:
        epochs, watched = 2 if bench.small else 1 + max(1, math.ceil(200 * size / len(bench.train))), Epochs()
        torch._dynamo.reset()  # with the memory that compiled steps hold
        gc.collect()
        if bench.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        words = [f"trainer.batch_size={size}", f"trainer.max_epochs={epochs}", f"trainer.patience={epochs}"]
        bench.fit(*words, callbacks=[watched])
        memory = f"{torch.cuda.max_memory_allocated() / 2**20:,.0f}" if bench.device == "cuda" else "n/a"
        rows.append([str(size), f"{len(bench.train) / statistics.mean(watched.seconds[1:]):,.0f}", memory])
    return table(["batch", "images/s", "most memory of its tensors, MiB"], rows)


class Profile(Callback):
    """The operations of steps 20 to 60 of an epoch."""

    def __init__(self, device: str, steps: tuple[int, int]):
        kinds = [torch.profiler.ProfilerActivity.CPU]
        kinds += [torch.profiler.ProfilerActivity.CUDA] if device == "cuda" else []
        self.profiler, self.steps = torch.profiler.profile(activities=kinds, acc_events=True), steps  # (without, it warns)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.steps[0]:
            self.profiler.start()
        elif batch_idx == self.steps[1]:
            synchronize(pl_module.device.type)
            self.profiler.stop()


def where(bench: Bench) -> str:
    """Kernels on a card, each counted once; operators on the processor."""
    profile = Profile(bench.device, (2, 6) if bench.small else (20, 60))
    bench.fit("trainer.max_epochs=1", callbacks=[profile])
    on_card = bench.device == "cuda"
    key = "self_device_time_total" if on_card else "self_cpu_time_total"
    found = profile.profiler.key_averages()
    if on_card:
        # The operator that started a kernel, and the profiler's own mark of a step, have its time too.
        found = [each for each in found if each.device_type == torch.autograd.DeviceType.CUDA and not each.is_user_annotation]
    found = sorted(found, key=lambda event: getattr(event, key), reverse=True)
    if not (total := sum(getattr(event, key) for event in found)):
        raise RuntimeError("the profiler sees nothing of the card: it may need rights (CUPTI)")
    rows = [[event.key[:70], f"{getattr(event, key) / total:.1%}", str(event.count)] for event in found[:12]]
    return table(["kernel" if on_card else "operator", "share of the time", "calls"], rows)


def at_once(bench: Bench) -> str:
    """Small trainings by 1, 4 and 16 at a time on one card, as a sweep's processes are."""
    rows = []
    with project() as root:
        small = ["tracking=off", "data.take=per_class", "data.take_n=500"]
        words = [str(BIN / "filterlab"), "train", "data=mnist", *bench.words, *small]
        variables = environment() | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}

        def train(seed: int) -> None:
            command = [*words, f"seed={seed}", "trainer.max_epochs=1" if bench.small else "trainer.max_epochs=8"]
            done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=150)
            if done.returncode:
                raise RuntimeError(done.stderr[-1000:])

        train(1000)  # the data are prepared
        # Fewer than 16 where they take turns: each round takes as long as the next.
        for workers, count in [(1, 1), (2, 2)] if bench.small else [(1, 4), (4, 8), (16, 16)]:
            started = time.perf_counter()
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(train, range(count)))
            seconds = time.perf_counter() - started
            rows.append([str(workers), str(count), f"{seconds:.0f}", f"{3600 * count / seconds:,.0f}"])
    return table(["at a time", "trainings of 5,000 images", "s", "trainings an hour"], rows)


if __name__ == "__main__":
    main()
