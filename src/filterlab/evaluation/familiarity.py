"""Whether an image looks like anything that a network has learned from: how near its features are to those of training images."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from filterlab.evaluation.predict import predict
from filterlab.models.predictor import Predictor

NEIGHBOURS = 5
FALSE_ALARMS = 0.005  # share of validation images that the limit calls unfamiliar
LEARNED, HELD_OUT = 5_000, 2_000  # images that are looked at, at most: the first


@dataclass(frozen=True, eq=False)
class Familiarity:
    """learned: (N, F) features of training images, of length 1. limit: of `distance`, by validation images alone."""

    learned: torch.Tensor
    limit: float

    @classmethod
    def of(cls, predictor: Predictor, *, train: np.ndarray, validation: np.ndarray) -> Self:
        """train, validation: (N, C, H, W) uint8, in an order that is no class's. The limit is validation's quantile."""
        learned = features(predictor, np.ascontiguousarray(train[:LEARNED]))[1]
        far = distance(features(predictor, np.ascontiguousarray(validation[:HELD_OUT]))[1], learned)
        return cls(learned, float(np.quantile(far, 1 - FALSE_ALARMS, method="higher")))

    def unfamiliar(self, found: torch.Tensor) -> np.ndarray:
        """(N, F) features -> (N,) bool."""
        return distance(found, self.learned) > self.limit


def features(predictor: Predictor, images: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """Logits (N, K), and what the last dense layer is given (N, F), of length 1; of a network without one, the logits."""
    dense = [module for module in predictor.modules() if isinstance(module, nn.Linear)]
    kept: list[torch.Tensor] = []
    hook = dense[-1].register_forward_pre_hook(lambda _, given: kept.append(given[0].float().cpu())) if dense else None
    logits = predict(predictor, images)
    if hook is None:
        return logits, normalize(torch.from_numpy(logits))
    hook.remove()
    return logits, normalize(torch.cat(kept).flatten(1))


def distance(found: torch.Tensor, learned: torch.Tensor) -> np.ndarray:
    """1 - the cosine to the NEIGHBOURS-th nearest of what was learned: (N, F), (M, F) -> (N,)."""
    nearest = min(NEIGHBOURS, len(learned))
    pieces = [(piece @ learned.T).topk(nearest, dim=1).values[:, -1] for piece in found.split(1000)]
    return 1 - torch.cat(pieces).numpy()
