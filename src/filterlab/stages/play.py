"""The page in which the trained network runs: draw into it, walk through it, change it."""

from pathlib import Path

import numpy as np
import safetensors.numpy

from filterlab import files
from filterlab.config import resolved, schema
from filterlab.data import arrays
from filterlab.evaluation import results
from filterlab.models import folder
from filterlab.pages import play
from filterlab.pages.play import Pictures
from filterlab.runs import facts, logging
from filterlab.tracking import NullRun
from filterlab.training import curves

TILES = Path("results/tiles")  # what visualize made of each channel; without them, a run's page goes without


def run(root: Path) -> None:
    """Write results/play.html; add it to the run.

    Raises DataError: the model, the data, the curves or what evaluate wrote are missing or damaged, or the page can't be written.
    """
    config = resolved.load(root)
    with logging.resumed(config, root) as record, facts.timed(root, "play", record):
        add(config, record, data=root / "data/processed", out=root)


def add(config: schema.Config, record: NullRun, *, data: Path, out: Path) -> None:
    """The same for any run: `out` holds its models/ and results/, `data` holds train/. Raises DataError as `run` does."""
    path = out / "results/play.html"
    files.write(path, render(config, data=data, out=out))
    record.log_artifact(path)


def render(config: schema.Config, *, data: Path, out: Path) -> str:
    """The page; the same text for the same results."""
    models = out / "models"
    description, table = folder.describe(models), curves.read(out)
    weights = safetensors.numpy.load(folder.read(models, folder.WEIGHTS, description))
    _, parts = arrays.load(data / "train")
    shown, classes = parts["validation"], description["data"]["classes"]
    history = folder.first_layers(models)  # of a trial, the best epoch's alone
    described = play.describe(
        config.model,
        weights,
        description=description,
        rule=config.data.rule,
        examples=play.first_of_each(shown.images, shown.labels, classes=len(classes)),
        mistakes=mistakes(out, classes, shape=shown.images.shape[1:]),
        tiles={path.stem: path for path in sorted((out / TILES).glob("*.png"))},
        epochs=history if len(history) > 1 else None,
        chosen=int(table["epoch"][table["chosen"].index(1)]),
    )
    return play.render(described)


def mistakes(out: Path, classes: list[str], *, shape: tuple[int, ...]) -> Pictures:
    """The test images that the network was surest of and wrong about, as evaluate found them; none where it has not looked."""
    if not results.has_metrics(out):
        return Pictures(np.zeros((0, *shape), np.uint8), np.zeros(0, np.int64), [])
    found = results.mistakes(out)
    said = zip(found["predicted"].tolist(), found["sure"].tolist(), found["places"].tolist(), strict=True)
    notes = [f"test image {place}: it said {classes[k]}, {sure:.1%} sure" for k, sure, place in said]
    return Pictures(found["images"], found["labels"], notes)
