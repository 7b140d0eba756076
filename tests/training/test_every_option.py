"""Every option that is shipped trains: two steps of it, as conf/ has it."""

from pathlib import Path

import numpy as np
import pytest

from filterlab.config import compose
from filterlab.data.arrays import LabelledImages
from filterlab.models import registry
from filterlab.models.predictor import Predictor
from filterlab.training.fit import fit

CONF = Path(__file__).parents[2] / "conf"
COMPOSED = compose.Composer(CONF)
GROUPS = ["data", "model", "optimizer", "schedule", "augment", "trainer", "experiment"]
ELSEWHERE = {"trainer=gpu", "trainer=ddp"}  # a GPU is not everywhere; tests/stages/test_train.py runs two processes
OPTIONS = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
BATCH = 8


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in ELSEWHERE])
def test_two_steps(option: str, tmp_path: Path) -> None:
    config = COMPOSED([option, "trainer.max_epochs=1", f"trainer.batch_size={BATCH}", "trainer.threads=1"])
    data = config.data
    draw = np.random.Generator(np.random.PCG64(0))
    shape = (data.channels, data.height, data.width)
    images = draw.integers(0, 256, (2 * BATCH, *shape), dtype=np.uint8)
    labels = draw.integers(0, len(data.classes), 2 * BATCH).astype(np.uint8)
    part = LabelledImages(images, labels)
    size = {"channels": data.channels, "height": data.height, "width": data.width}
    network = registry.build(config.model, **size, classes=len(data.classes), seed=config.seed)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    predictor = Predictor(network, data_name=data.name, classes=data.classes, shape=shape, mean=0.5, std=0.3)
    fitted = fit(predictor, part, part, config=config, folder=tmp_path)
    assert (fitted.best_epoch, fitted.images) == (1, 2 * BATCH)
    assert all(np.isfinite(list(fitted.epochs[1].metrics.values())))
    changed = [name for name, weight in network.named_parameters() if not weight.equal(before[name])]
    assert changed == list(before), "two steps move every weight"
