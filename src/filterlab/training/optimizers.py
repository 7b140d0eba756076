"""torch.optim by the configuration's name."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import SGD, Adadelta, Adam, AdamW, Optimizer

from filterlab.config import schema


def optimizer(config: schema.Optimizer, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
    """The optimizer of `parameters` that the configuration names."""
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    match config:
        case schema.SGD():
            return SGD(parameters, momentum=config.momentum, nesterov=config.nesterov, **common)
        case schema.AdamW():  # before Adam, of which it is a subclass
            return AdamW(parameters, betas=(config.beta1, config.beta2), eps=config.eps, **common)
        case schema.Adam():
            return Adam(parameters, betas=(config.beta1, config.beta2), eps=config.eps, **common)
        case schema.Adadelta():
            return Adadelta(parameters, rho=config.rho, eps=config.eps, **common)
    raise TypeError(f"no optimizer for {type(config).__name__}; there are {', '.join(schema.FAMILIES['optimizer'])}")
