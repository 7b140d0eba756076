"""The loader that MLflow's pyfunc flavor calls (loader_module="filterlab.models.pyfunc", data_path=an artifact's folder)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from filterlab.models import artifact
from filterlab.models.predictor import Predictor

_BATCH = 1024  # bounds the memory that the maps of a long request take


class Classifier:
    """Answers with probabilities."""

    def __init__(self, predictor: Predictor):
        self.predictor = predictor
        self.classes = predictor.classes

    def predict(self, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """(N, C, H, W), whole numbers in 0..255 or floats in [0, 1] -> probabilities (N, K) float32, columns as in `classes`.

        Of any type of either: what comes as JSON, as to a server, is int64 or float64. `params` is part of MLflow's interface;
        there are none. Raises ValueError on another type, shape or range.
        """
        if not isinstance(model_input, np.ndarray):
            raise ValueError(f"expected a numpy array of images (N, C, H, W), given a {type(model_input).__name__}")
        if model_input.dtype.kind not in "uif":
            raise ValueError(f"expected whole numbers in 0..255 or floats in [0, 1], given {model_input.dtype}")
        most = 1 if model_input.dtype.kind == "f" else 255
        if model_input.size and not (model_input.min() >= 0 and model_input.max() <= most):
            raise ValueError(
                f"expected whole numbers in 0..255 or floats in [0, 1], given {model_input.dtype} from {model_input.min()} to "
                f"{model_input.max()}"
            )
        if model_input.dtype != np.uint8:
            model_input = model_input.astype(np.float32 if most == 1 else np.uint8)
        images = torch.tensor(model_input)
        with torch.inference_mode():
            return torch.cat([self.predictor(batch).softmax(dim=1) for batch in images.split(_BATCH)]).numpy()


def _load_pyfunc(path: str) -> Classifier:
    return Classifier(artifact.load(Path(path)))
