"""This machine: processor, threads, GPU, disk."""

import contextlib
import ctypes
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from filterlab.config import resolved
from filterlab.doctor.finding import Finding
from filterlab.training import devices

GIGABYTE = 1e9
ROOM, SCRATCH = 1.0, 0.2  # gigabytes that are little for the repository, and for temporary files
VARIABLES = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]
CGROUPS = Path("/sys/fs/cgroup")
DRIVER = Path("/proc/driver/nvidia/version")
PATIENCE = 10.0  # seconds that nvidia-smi may take


def check_processor(root: Path) -> Iterator[Finding]:
    yield Finding(devices.processor())


def check_threads(root: Path) -> Iterator[Finding]:
    """Those that a training here would have, against the cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    usable = min(allowed, max(1, math.ceil(quota))) if quota else allowed
    limits = f"{counted(usable, 'core')} to use" + f" (a cgroup allows {quota:g})" * (quota < allowed and quota > 0)
    given = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    wrong = [f"{name}={text}" for name, text in given.items() if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text)]
    if wrong:
        yield Finding(f"{' '.join(wrong)} is no number of threads, and is ignored", f"export OMP_NUM_THREADS={usable}")
        return
    chosen = next((int(text.split(",")[0]) for text in given.values()), allowed)
    source = next(iter(given), "one a core")
    if ours := threads_of_config(root):
        chosen, source = ours, "trainer.threads"
    if chosen > usable:
        remedy = f"trainer.threads={usable}" if source == "trainer.threads" else f"export OMP_NUM_THREADS={usable}"
        yield Finding(f"{chosen} ({source}), but {limits}: they wait for one another", remedy)
    else:
        yield Finding(f"{chosen} ({source}); {limits}")


def threads_of_config(root: Path) -> int:
    with contextlib.suppress(ValueError, OSError):  # the line "config" says what is wrong with it
        return resolved.load(root).trainer.threads
    return 0


def cpu_quota(groups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float:
    """Cores that the control groups of this process allow, 0 without a limit."""
    found = []
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = groups / "cpu" if controllers else groups
        folder = base / place.strip("/")  # in a container that may be the machine's: the limit is at the top then
        found += [quota_of(each) for each in (folder, *folder.parents) if each.is_relative_to(base)]
    return min((quota for quota in found if quota > 0), default=0.0)


def quota_of(folder: Path) -> float:
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return max(0.0, int(quota) / int(period))
    return 0.0


def check_gpu(root: Path) -> Iterator[Finding]:
    """By the driver itself, and by what PyTorch was built for: to import it takes seconds."""
    built, driver = cuda_of_torch(), cuda_of_driver()
    if not driver and not DRIVER.exists():
        if accelerator(root) == "gpu":
            yield Finding(f"none, and {resolved.RESOLVED} asks for one", "trainer: auto (or cpu) in params.yaml, then dvc repro")
        else:
            yield Finding("none: trainings are on the processor")
        return
    listed = nvidia_smi()
    if isinstance(listed, str):
        yield Finding(
            f"there is a driver, and nvidia-smi {listed}", "see what nvidia-smi says by itself; restart, or mend the driver"
        )
        return
    gpus = "; ".join(listed)
    if not built:
        yield Finding(f"{gpus}; this PyTorch is built without CUDA", "make setup")
    elif driver and driver[0] < built[0]:
        yield Finding(
            f"{gpus}; its driver knows CUDA {dotted(driver)}, and PyTorch is built for {dotted(built)}: it sees no GPU",
            f"a driver for CUDA {built[0]} or newer",
        )
    elif (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None and hidden.strip() in ("", "-1"):
        yield Finding(f"{gpus}; hidden by CUDA_VISIBLE_DEVICES={hidden!r}")
    else:
        yield Finding(f"{gpus}; CUDA {dotted(driver or built)}, PyTorch is built for {dotted(built)}")


def accelerator(root: Path) -> str:
    with contextlib.suppress(ValueError, OSError):  # the line "config" says what is wrong with it
        return resolved.load(root).trainer.accelerator
    return ""


def cuda_of_torch() -> tuple[int, int] | None:
    """The version that PyTorch is built for, read from its files; None without one."""
    spec = find_spec("torch")
    path = Path(str(spec.origin)).with_name("version.py") if spec else None
    found = path and path.exists() and re.search(r"^cuda\b.*'(\d+)\.(\d+)", path.read_text(), re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None


def cuda_of_driver() -> tuple[int, int] | None:
    """The newest version that the driver knows; None without a driver."""
    number = ctypes.c_int()
    try:
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10


def nvidia_smi() -> list[str] | str:
    """Each GPU's name, memory and driver; or what is wrong, as words that follow its name."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        return "is not on the PATH"
    except subprocess.TimeoutExpired:
        return f"has not answered in {PATIENCE:.0f} s"
    if done.returncode or not done.stdout.strip():
        return f"says: {' '.join((done.stdout + done.stderr).split()) or f'nothing (exit code {done.returncode})'}"
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.strip().splitlines()]
    return [f"{name}, {memory}, driver {driver}" for name, memory, driver in rows]


def check_disk(root: Path) -> Iterator[Finding]:
    scratch = Path(tempfile.gettempdir())
    for path, least, what in [(root, ROOM, "the repository"), (scratch, SCRATCH, f"temporary files ({scratch})")]:
        free = shutil.disk_usage(path).free / GIGABYTE
        about = os.statvfs(path)
        if free < least:
            yield Finding(f"{free:.2g} GB free for {what}", f"make room, some {least:g} GB, or name another folder in TMPDIR")
        elif about.f_files and not about.f_favail:
            yield Finding(f"no new file can be made for {what}: the disk's inodes are used up", "remove files that nobody needs")
        else:
            yield Finding(f"{free:,.1f} GB free for {what}")


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
