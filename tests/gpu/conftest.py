"""What a GPU is tried with. `make gpu` runs these tests, on a machine that has one; elsewhere they are left out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def images() -> Any:
    """MNIST: its card, training and validation images, and test images, as they lie prepared, or are prepared now."""
    from filterlab.config import compose
    from filterlab.data import arrays, ready

    folder = ready.find(compose.compose(ROOT / "conf", ["data=mnist"]).data, ROOT)
    card, learned = arrays.load(folder / "train")
    return card, learned["train"], learned["validation"], arrays.load(folder / "test")[1]["test"]


@pytest.fixture
def train(images: Any, tmp_path: Path) -> Callable[..., Any]:
    """train(*overrides, few=n, folder=name, callbacks=[...]) -> Fitted, of the default parameters on the GPU.

    few: of the first n training images. folder: of its checkpoints; the same one goes on.
    """
    from filterlab.config import compose
    from filterlab.data.arrays import LabelledImages
    from filterlab.models import registry
    from filterlab.models.predictor import scaling
    from filterlab.training.fit import fit

    card, training, validation, _ = images
    folders = iter(range(1000))

    def run(*overrides: str, few: int = 0, folder: str = "", callbacks: Any = ()) -> Any:
        config = compose.compose(ROOT / "conf", ["data=mnist", "trainer=gpu", *overrides])
        scaled = scaling(config.trainer.scaling, mean=card.mean, std=card.std)
        part = LabelledImages(training.images[:few], training.labels[:few]) if few else training
        place = tmp_path / (folder or f"training{next(folders)}")
        return fit(registry.predictor(config, **scaled), part, validation, config=config, folder=place, callbacks=list(callbacks))

    return run
