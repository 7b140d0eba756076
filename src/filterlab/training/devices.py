"""Whether a training can be what its configuration says on this machine, and which process of a training this is."""

import os

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


def tasks() -> int:
    """How many copies of this process srun started; 1 without srun, whatever the allocation is for (salloc -n 4)."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def started_by_slurm(settings: schema.Trainer) -> bool:
    """Whether the other processes of this training are tasks of SLURM's, and not to be started."""
    return settings.devices > 1 and tasks() > 1


def is_main(settings: schema.Trainer) -> bool:
    """Whether this is the process that writes the results; a training on one device has no other."""
    return settings.devices == 1 or int(os.environ.get(RANK, "0")) == 0
