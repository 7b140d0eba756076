"""Whether this machine has the devices that a training asks for, and which of its processes this is."""

import os

from filterlab.config import schema
from filterlab.errors import UserError


def check(settings: schema.Trainer) -> None:
    """Raises UserError: PyTorch finds fewer GPUs than the training needs. It is imported only where that could be."""
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


def is_main() -> bool:
    """Whether this is the process of rank zero: Lightning starts the very same command once more for each other rank."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
