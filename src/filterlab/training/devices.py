"""Whether this machine has the devices that a training asks for, and which process of a training this is."""

import os

from filterlab.config import schema
from filterlab.errors import UserError

RANK = "LOCAL_RANK"  # of a process of a training on several devices: set by who starts it


def check(settings: schema.Trainer) -> None:
    """Raises UserError: PyTorch finds fewer GPUs than the training needs (it is imported only where that could be), or srun
    started several processes, of which each would start the others.
    """
    if settings.devices > 1 and tasks() > 1 and RANK not in os.environ:
        raise UserError(
            f"srun started {tasks()} copies of this command, and a training on several devices (trainer.devices is "
            f"{settings.devices}) starts its processes itself: give the command without srun, with srun -n 1, or as a job of "
            "hydra/launcher=slurm (docs/cluster.md)"
        )
    if settings.accelerator == "cpu" or (settings.accelerator == "auto" and settings.devices == 1):
        return
    import torch

    found = torch.cuda.device_count()
    if found < settings.devices and (found or settings.accelerator == "gpu"):  # auto without a GPU: processes on the CPU
        raise UserError(
            f"trainer.accelerator is {settings.accelerator} and trainer.devices is {settings.devices}, but PyTorch finds "
            f"{found} GPU{'' if found == 1 else 's'} here: trainer=auto takes one if there is one, trainer=cpu takes none, "
            "and with trainer.accelerator=cpu, trainer=ddp trains in processes on the CPU"
        )


def tasks() -> int:
    """How many copies of this process srun started; 1 without srun, whatever the allocation is for (salloc -n 4)."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def started_by_slurm(settings: schema.Trainer) -> bool:
    """Whether the other processes of this training are tasks of SLURM's, and not to be started."""
    return settings.devices > 1 and tasks() > 1


def is_main(settings: schema.Trainer) -> bool:
    """Whether this is the process that writes the results; a training on one device has no other."""
    return settings.devices == 1 or int(os.environ.get(RANK, "0")) == 0
