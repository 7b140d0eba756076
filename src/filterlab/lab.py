"""filterlab from Python, as in notebooks/exercise.ipynb: compose, load images, train, load what was trained (docs/python.md).

Thin: what trains and what draws are the stages' own functions. Importing it is cheap.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from filterlab import files
from filterlab.config import compose as composing
from filterlab.config import resolved, schema
from filterlab.data import ready
from filterlab.data.arrays import Card, LabelledImages
from filterlab.errors import DataError
from filterlab.repository import find_root
from filterlab.runs import folder
from filterlab.stages import visualize
from filterlab.stages.evaluate import Tested

if TYPE_CHECKING:
    from filterlab.visualization.trained import Trained


def root() -> Path:
    """The repository that the working directory is in. Raises UserError."""
    return find_root(Path.cwd())


def compose(*words: str) -> schema.Config:
    """The configuration that Hydra's overrides choose from conf/, e.g. "model=mlp", "optimizer.lr=0.2"; params.yaml has no say.

    Raises ConfigError with every fault.
    """
    return composing.compose(root() / "conf", words)


def load_images(config: schema.Config) -> tuple[Card, LabelledImages, LabelledImages]:
    """The data set's card, training and validation images (N, C, H, W) uint8 with labels (N,); fetched and prepared if need be.

    The test set stays where it is. Raises DataError.
    """
    return ready.load(config.data, root())


def train(config: schema.Config) -> "Trained":
    """Train in a new folder below runs/, as `filterlab train` does; logged as `config.tracking` says.

    Interrupted, it goes on where it broke off when the same is trained again. Raises as `stages.train.train` does.
    """
    from filterlab.stages.train import train

    out = folder.make(root() / "runs")
    with folder.alone(out):
        files.write(out / resolved.RESOLVED, resolved.dump(config))
        train(config, root=root(), out=out)
    return load(out)


def load(place: Path | str) -> "Trained":
    """What was trained in a folder (one below runs/, or the repository for the pipeline's), or by a run, of which the id, or how
    it begins, is given as text. Raises UserError.
    """
    if isinstance(place, str):
        from filterlab.sweeps.trained import bring

        place = bring(root(), run=place).out
    if not (place / resolved.RESOLVED).exists():
        raise DataError(f"{place} has no {resolved.RESOLVED}: expected the folder of a training, below runs/, or the repository")
    config = resolved.load(place)
    _, *parts = load_images(config)
    return visualize.load(place, *parts, model=config.model, seed=config.seed)


def validate(trained: "Trained") -> Tested:
    """The network on its validation images: they chose the epoch, so that accuracy on the test set is a little lower."""
    from filterlab.evaluation.predict import predict
    from filterlab.evaluation.summary import evaluate

    predictor, validation = trained.predictor, trained.validation
    logits = predict(predictor, validation.images)
    evaluation = evaluate(logits, validation.labels, classes=predictor.classes, data_name=predictor.data_name)
    return Tested(evaluation, validation, subject=f"{trained.subject}, validation images")
