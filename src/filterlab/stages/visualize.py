"""Draw what the network has learned and how: from training and validation images only."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from filterlab import files
from filterlab.config import resolved, schema
from filterlab.data import arrays, progress
from filterlab.data.arrays import LabelledImages
from filterlab.evaluation.metrics import softmax
from filterlab.models.plan import Model
from filterlab.runs import facts, logging
from filterlab.tracking import NullRun
from filterlab.training import curves
from filterlab.visualization.measured import MEASURED
from filterlab.visualization.trained import Trained, typical, whole_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FOLDERS = ["training", "filters", "feature_maps", "optimised", "explained", "layers"]  # in results/figures/, which DVC keeps
TILES = Path("results/tiles")  # LAYER.patches.png and LAYER.optimised.png, a row a channel; see visualization.tiles
EXPLAINED = 10  # images at most, one a class
MISTAKES = 6  # the surest on validation images
IMAGES = 10  # drawn on their way through the network at most, one a class
Drawn = Iterator[tuple[str, "Figure"]]  # the key of each, below one of FOLDERS


def run(root: Path) -> None:
    """Write results/views.json and, in results/figures/, the FOLDERS; add them to the run.

    Raises UserError: the model, the data or the curves are missing or damaged, or a figure has a key that it can't have.
    """
    config = resolved.load(root)
    with logging.resumed(config, root) as record, facts.timed(root, "visualize", record):
        add(config, record, data=root / "data/processed", out=root)


def add(config: schema.Config, record: NullRun, *, data: Path, out: Path) -> None:
    """The same for any run: `out` holds its models/ and results/curves.csv, and gets the views; `data` holds train/.

    Raises UserError as `run` does.
    """
    from filterlab.visualization import png, views

    _, parts = arrays.load(data / "train")
    trained = load(out, parts["train"], parts["validation"], model=config.model, seed=config.seed)
    seconds: dict[str, float] = {}
    with progress.on(sys.stderr, counting="views") as bar:
        bar.started("views", done=0, total=len(FIGURES) + len(MEASURED))
        drawn = png.collect(timed(FIGURES, seconds, bar), trained, folders=FOLDERS)
        numbers = {name: view(trained) for name, view in zip(MEASURED, timed(MEASURED.values(), seconds, bar), strict=True)}
    print("views: " + ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items()))
    for name in FOLDERS:
        if not any(key.startswith(f"{name}/") for key in drawn):  # DVC would warn of an empty folder, as of a fault
            files.write(out / f"results/figures/{name}/none.txt", f"{config.model.name} has none: see {views.FILE.name}\n")
    views.write(out, numbers)
    for name, content in tiles(trained):
        files.write(out / TILES / f"{name}.png", content)
    for key, path in png.write_all(drawn, out / "results/figures").items():
        record.log_image(key, path)
    for name in FOLDERS:
        record.log_artifact(out / "results/figures" / name, folder="figures")
    record.log_artifact(out / views.FILE)


def timed(views: Iterable[Callable], seconds: dict[str, float], bar: progress.Progress) -> Iterator[Callable]:
    """The views one by one; how long each took, drawing included, is put into `seconds` by its name."""
    for view in views:
        begun = time.perf_counter()
        yield view
        name = view.__name__
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun
        bar.advanced(1)


def load(out: Path, train: LabelledImages, validation: LabelledImages, *, model: Model, seed: int) -> Trained:
    """The training whose models/ and results/curves.csv lie below `out`. Raises DataError: they are missing or damaged."""
    from filterlab.models import artifact, folder

    predictor = artifact.load(out / "models")
    return Trained(
        model=model,
        predictor=predictor,
        train=train,
        validation=validation,
        curves=curves.read(out),
        first_layers=folder.first_layers(out / "models"),
        subject=f"{predictor.data_name}, {model.name}",
        seed=seed,
    )


def examples(trained: Trained) -> Drawn:
    from filterlab.visualization import gallery

    train, classes = trained.train, trained.drawable
    yield "training/examples", gallery.examples(train.images, train.labels, classes=classes, subject=trained.subject)


def learning_curves(trained: Trained) -> Drawn:
    from filterlab.visualization import curves

    yield "training/curves", curves.draw_curves(trained.curves, subject=trained.subject)


def filters(trained: Trained) -> Drawn:
    """Each layer's filters beside what they answer most; then the first layer's weights by epoch."""
    import torch

    from filterlab.visualization import development, filters, patches, strongest

    predictor, history, subject = trained.predictor, trained.first_layers, trained.subject
    first, *deeper = trained.layers
    image = typical(trained.validation)
    weights = predictor.network.get_submodule(first).get_parameter("weight").detach().numpy()
    maps = None
    if weights.ndim == 4:
        with patches.recorded(predictor, [read := trained.layers[first]]) as outputs, torch.inference_mode():
            predictor(torch.from_numpy(image[None]))
        maps = outputs[read][0].numpy()
    cut = {name: patches.crop(trained.train.images, trained.strongest[name], trained.windows[name]) for name in trained.layers}
    yield (
        f"filters/{first}",
        strongest.draw_first_layer(
            weights if weights.ndim == 4 else weights.reshape(-1, *predictor.shape),
            cut[first],
            image=image,
            maps=maps,
            names=trained.drawable if len(weights) == len(trained.drawable) and maps is None else [],
            name=first,
            subject=subject,
        ),
    )
    for name in deeper:
        activations = trained.strongest[name].activations
        yield f"filters/{name}", strongest.draw_layer(cut[name], activations, name=name, subject=subject)
    by_epoch = history if history.ndim == 5 else history.reshape(*history.shape[:2], *predictor.shape)
    chosen = int(trained.curves["epoch"][trained.curves["chosen"].index(1)])
    if len(history) > 1:  # a sweep's training has kept the weights of its best epoch alone
        yield "filters/by_epoch", filters.by_epoch(by_epoch, name=first, chosen=chosen, subject=subject)
        if found := trained.development:
            moved = development.drift(history)
            drawn = development.draw_development(moved, **found, chosen=chosen, name=first, subject=subject)
            yield "filters/development", drawn


def maps(trained: Trained) -> Drawn:
    """The first validation image of each class on its way through the network."""
    import torch

    from filterlab.visualization import feature_maps
    from filterlab.visualization.gallery import visible

    predictor, validation = trained.predictor, trained.validation
    present, first = np.unique(validation.labels, return_index=True)
    present, images = present[:IMAGES], validation.images[first[:IMAGES]]
    layers, untrained = (feature_maps.record(of, torch.from_numpy(images)) for of in (predictor, trained.untrained))
    for index, k in enumerate(present if layers else []):
        image, label = visible(images[index : index + 1])[0], trained.drawable[k]
        drawn = feature_maps.draw_feature_maps(
            layers, image, index=index, label=label, subject=f"{trained.subject}, validation image", untrained=untrained
        )
        yield f"feature_maps/class_{k}", drawn


def optimised(trained: Trained) -> Drawn:
    """What excites each layer's channels most, and what is taken for each class."""
    from filterlab.evaluation.predict import predict
    from filterlab.visualization import maximise, patches

    for name, found in trained.optimised.items():
        strongest = patches.first(trained.strongest[name])
        cut = patches.crop(trained.train.images, strongest, trained.windows[name])[:, 0]
        drawn = maximise.draw_channels(found, cut, strongest.activations[:, 0], name=name, subject=trained.subject)
        yield f"optimised/{name}", drawn
    surest = trained.train.images[trained.strongest[trained.plan.layers[-1].name].indices[:, 0]]
    sure = np.diagonal(softmax(predict(trained.predictor, surest)))
    drawn = maximise.draw_classes(trained.of_classes, surest, sure, names=trained.drawable, subject=trained.subject)
    yield "optimised/classes", drawn


def tiles(trained: Trained) -> Iterator[tuple[str, bytes]]:
    """What the page in which the network runs shows of each channel: the training patches that it answers most, and its image."""
    from filterlab.visualization import patches
    from filterlab.visualization.tiles import png

    last = trained.plan.layers[-1].name
    for name, found in trained.strongest.items():
        window = trained.windows.get(name) or whole_image(trained.predictor)
        yield f"{name}.patches", png(patches.crop(trained.train.images, found, window))
    for name, images in {**trained.optimised, last: trained.of_classes}.items():
        yield f"{name}.optimised", png(255 * images.images[:, None])


def explained(trained: Trained) -> Drawn:
    """Why the network answers as it does: an image of each class, the surest mistakes, and checks of the maps."""
    from filterlab.visualization import attribution, explained

    validation, names, sure = trained.validation, trained.drawable, softmax(trained.validated)
    right = np.flatnonzero(trained.validated.argmax(axis=1) == validation.labels)
    _, first = np.unique(validation.labels[right], return_index=True)
    rows = right[first][:EXPLAINED]
    wrong = trained.surest[:MISTAKES]

    def cells(rows: np.ndarray, classes: np.ndarray, words: str) -> list[explained.Cell]:
        if not len(rows):
            return []
        maps = {
            name: attribution.explain(of, trained.predictor, validation.images[rows], classes)
            for name, of in trained.methods.methods.items()
        }
        return [
            explained.Cell(
                validation.images[row], f"{words}{names[k]}, {sure[row, k]:.1%}", {name: found[i] for name, found in maps.items()}
            )
            for i, (row, k) in enumerate(zip(rows, classes, strict=True))
        ]

    subject = f"{trained.subject}, validation images"
    answers = cells(rows, validation.labels[rows], "")
    yield "explained/answers", explained.draw_explained(answers, title="Why this answer", subject=subject)
    said = cells(wrong, trained.validated[wrong].argmax(axis=1), "said: ")
    true = cells(wrong, validation.labels[wrong], "is: ")
    both = [cell for pair in zip(said, true, strict=True) for cell in pair]
    yield "explained/mistakes", explained.draw_explained(both, title="Why these mistakes, the surest ones", subject=subject)
    yield "explained/checks", explained.draw_checks(**trained.checks, subject=trained.subject)


def layers(trained: Trained) -> Drawn:
    """The layers beside each other, and where the last one finds the images."""
    from filterlab.visualization import compared, embedding

    chance = np.bincount(trained.validation.labels).max() / len(trained.validation)
    drawn = compared.draw_compared(
        **trained.compared, fields=trained.sees, chance=chance, side=max(trained.predictor.shape[1:]), subject=trained.subject
    )
    yield "layers/compared", drawn
    rows, found = trained.embedded
    labels = trained.validation.labels
    drawn = embedding.draw_embedding(
        found,
        labels[rows],
        trained.validated[rows].argmax(axis=1) != labels[rows],
        of=len(labels),
        names=trained.drawable,
        subject=trained.subject,
    )
    yield "layers/embedding", drawn


FIGURES: list[Callable[[Trained], Drawn]] = [examples, learning_curves, filters, maps, optimised, explained, layers]
