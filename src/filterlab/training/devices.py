"""Whether a training can be what its configuration says on this machine, and which process of a training this is."""

import os
import re
import shutil
import sysconfig
from pathlib import Path

from filterlab.config import schema
from filterlab.errors import UserError

ARGUMENT = "PL_TRAINER_"  # begins the variables that Lightning takes for arguments of its Trainer
RANK = "LOCAL_RANK"  # of a process of a training on several devices: set by who starts it


def check(settings: schema.Trainer) -> None:
    """Raises UserError: PyTorch finds fewer GPUs than the training needs (it is imported only where that could be), srun
    started several processes, of which each would start the others, or the environment has arguments for Lightning's Trainer.
    """
    if found := sorted(name for name in os.environ if name.startswith(ARGUMENT)):
        raise UserError(
            f"Lightning would take arguments of its Trainer from the environment, which no configuration shows: unset "
            f"{' '.join(found)}; what a training does is in the sections trainer, optimizer and schedule"
        )
    if settings.devices > 1 and tasks() > 1 and RANK not in os.environ:
        raise UserError(
            f"srun started {tasks()} copies of this command, and a training on several devices (trainer.devices is "
            f"{settings.devices}) starts its processes itself: give the command without srun, with srun -n 1, or as a job of "
            "hydra/launcher=slurm (docs/cluster.md)"
        )
    if settings.accelerator == "cpu" or (settings.accelerator == "auto" and settings.devices == 1):
        return
    import torch

    gpus = torch.cuda.device_count()
    if gpus < settings.devices and (gpus or settings.accelerator == "gpu"):  # auto without a GPU: processes on the CPU
        raise UserError(
            f"trainer.accelerator is {settings.accelerator} and trainer.devices is {settings.devices}, but PyTorch finds "
            f"{gpus} GPU{'' if gpus == 1 else 's'} here: trainer=auto takes one if there is one, trainer=cpu takes none, "
            "and with trainer.accelerator=cpu, trainer=ddp trains in processes on the CPU"
        )


def on_gpu(settings: schema.Trainer) -> bool:
    """Whether Lightning will train on a GPU: where there is one, be its driver too old."""
    import torch

    return settings.accelerator != "cpu" and torch.cuda.device_count() > 0


def check_gpus(settings: schema.Trainer) -> None:
    """Raises UserError: a GPU that the training would take can't be used, precision or compiler ask for what is not here."""
    if settings.compile:
        if not shutil.which(compiler := os.environ.get("CXX", "g++")):
            raise UserError(
                f"trainer.compile needs a C++ compiler, and there is no {compiler} here: apt-get install g++, or leave it"
            )
        if not (header := Path(sysconfig.get_path("include"), "Python.h")).exists():
            raise UserError(
                f"trainer.compile needs Python's headers, and there is no {header}: apt-get install python3-dev, or leave it"
            )
    if not on_gpu(settings):
        if settings.precision == "tf32":
            raise UserError("trainer.precision is tf32, which only GPUs have, and this trains on the CPU: 32 or bf16")
        return
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError) as error:  # an old driver; a build without CUDA
        raise UserError(
            f"PyTorch can't use the GPU that is here: {str(error).splitlines()[0]}; update the driver, or train with trainer=cpu"
        ) from error
    built = torch.cuda.get_arch_list()
    for card in range(settings.devices):
        name, (major, minor) = torch.cuda.get_device_name(card), torch.cuda.get_device_capability(card)
        if not any(int(arch.split("_")[1].rstrip("af")) // 10 == major for arch in built):
            raise UserError(
                f"GPU {card} ({name}) has compute capability {major}.{minor}, and this PyTorch is built for {' '.join(built)}: "
                "trainer=cpu trains without it"
            )
        try:
            torch.zeros(1, device=f"cuda:{card}")
        except RuntimeError as error:  # busy, as where another process has it for itself, or out of memory
            raise UserError(
                f"GPU {card} ({name}) can't be used: {str(error).splitlines()[0]}; `nvidia-smi` shows who has it, "
                "CUDA_VISIBLE_DEVICES names another, and trainer=cpu trains without one"
            ) from error


def tasks() -> int:
    """How many copies of this process srun started; 1 without srun, whatever the allocation is for (salloc -n 4)."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def started_by_slurm(settings: schema.Trainer) -> bool:
    """Whether the other processes of this training are tasks of SLURM's, and not to be started."""
    return settings.devices > 1 and tasks() > 1


def is_main(settings: schema.Trainer) -> bool:
    """Whether this is the process that writes the results; a training on one device has no other."""
    return settings.devices == 1 or int(os.environ.get(RANK, "0")) == 0


def processor() -> str:
    """What this machine computes with, e.g. "AMD EPYC 9V74 80-Core Processor, 2 cores, with bf16"."""
    about = Path("/proc/cpuinfo").read_text(errors="replace") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*:\s*(.*)$", about, re.MULTILINE)
    cores, bf16 = os.cpu_count() or 1, re.search(r"\b(avx512_bf16|amx_tile)\b", about)
    name = model[1].strip() if model else os.uname().machine
    return f"{name}, {cores} core{'s' * (cores > 1)}, {'with' if bf16 else 'without'} bf16"
