"""Draw what the network has learned and how: from training and validation images only."""

import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filterlab import files
from filterlab.config import resolved, schema
from filterlab.data import arrays, progress
from filterlab.data.arrays import LabelledImages
from filterlab.models import shapes
from filterlab.models.plan import Model, Plan
from filterlab.runs import facts, logging
from filterlab.tracking import NullRun
from filterlab.training import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from filterlab.models.predictor import Predictor
    from filterlab.visualization.attribution import Methods
    from filterlab.visualization.compared import Layers
    from filterlab.visualization.embedding import Embedding
    from filterlab.visualization.maximise import Optimised
    from filterlab.visualization.patches import Strongest
    from filterlab.visualization.receptive import Window

FOLDERS = ["training", "filters", "feature_maps", "optimised", "explained", "layers"]  # in results/figures/, which DVC keeps
TILES = Path("results/tiles")  # LAYER.patches.png and LAYER.optimised.png, a row a channel; see visualization.tiles
LAYERS = 6  # of a deep network, evenly spaced, for which images are optimised
COMPARED = 8  # layers, evenly spaced
EXPLAINED = 10  # images at most, one a class
MISTAKES = 6  # the surest on validation images
CHECKED, SHUFFLED = 40, 10  # images on which maps are checked by deleting and inserting pixels, and by shuffling weights
IMAGES = 10  # drawn on their way through the network at most, one a class
Drawn = Iterator[tuple[str, "Figure"]]  # the key of each, below one of FOLDERS


@dataclass(frozen=True)
class Trained:
    """What there is to draw.

    Attributes:
        curves: results/curves.csv's columns by name.
        first_layers: (1 + epochs, *weight) float32: the first layer's weight, before training first; of a sweep's training
            (1, *weight), that of its best epoch.
        subject: for the figures' titles. seed: of the training; what is drawn at random here depends on it, too.
    """

    model: Model
    predictor: "Predictor"
    train: LabelledImages
    validation: LabelledImages
    curves: dict[str, list[float]]
    first_layers: np.ndarray
    subject: str
    seed: int

    @cached_property
    def drawable(self) -> list[str]:
        """The classes' names, or numbers where no font has their letters."""
        from filterlab.visualization import style

        return style.drawable(self.predictor.classes)

    @cached_property
    def plan(self) -> Plan:
        channels, height, width = self.predictor.shape
        size = {"channels": channels, "height": height, "width": width}
        return shapes.plan_and_layers(self.model, **size, classes=len(self.predictor.classes))[0]

    @cached_property
    def layers(self) -> dict[str, str]:
        """The layers whose channels are looked at, and where each one's answer is read: all convolutions or, where there is
        none, the first dense layer.
        """
        from filterlab.visualization import patches

        dense = (layer.name for layer in self.plan.layers if layer.kind == "dense")
        return patches.answers(self.plan) or {(name := next(dense)): name}

    @cached_property
    def windows(self) -> "dict[str, Window]":
        """What a unit of each layer sees; of a dense layer, the whole image."""
        from filterlab.visualization import receptive

        return dict.fromkeys(self.layers, whole_image(self.predictor)) | receptive.windows(self.plan)

    @cached_property
    def strongest(self) -> "dict[str, Strongest]":
        """Of each of `layers`, and of the last one, the training images that its channels answer most."""
        from filterlab.visualization import patches

        last = self.plan.layers[-1].name
        found = patches.strongest_of(self.predictor, self.train.images, [*self.layers.values(), last])
        return {name: found[read] for name, read in self.layers.items()} | {last: found[last]}

    @cached_property
    def untrained(self) -> "Predictor":
        """The network before training, of the same seed."""
        from filterlab.models import registry

        before = copy.deepcopy(self.predictor)
        channels, height, width = before.shape
        size = {"channels": channels, "height": height, "width": width, "classes": len(before.classes)}
        before.network = registry.build(self.model, **size, seed=self.seed)
        return before.eval()

    @cached_property
    def development(self) -> "dict[str, dict[str, np.ndarray]]":
        """Of the trained first layer and of the untrained one, the likeness to templates; {} where it has no filters of 2x2."""
        from filterlab.visualization import development

        first = next(iter(self.layers))
        weights = {
            which: of.network.get_submodule(first).get_parameter("weight").detach().numpy()
            for which, of in (("trained", self.predictor), ("untrained", self.untrained))
        }
        if weights["trained"].ndim != 4 or min(weights["trained"].shape[2:]) < 2:
            return {}
        return {which: development.likeness(values) for which, values in weights.items()}

    @cached_property
    def ground(self) -> np.ndarray:
        """(C,): the mean pixel of the training images, in [0, 1], from which images are optimised."""
        return self.train.images.mean(axis=(0, 2, 3)) / 255

    @cached_property
    def optimised(self) -> "dict[str, Optimised]":
        """Images that excite the channels of LAYERS of the layers most."""
        from filterlab.visualization import maximise, style

        names = [*self.layers]
        return {
            name: maximise.channels(
                self.predictor,
                self.layers[name],
                window=self.windows[name],
                ground=self.ground,
                seed=self.seed,
                ascent=maximise.OF_CHANNELS,
            )
            for name in (names[place] for place in style.spaced(len(names), limit=LAYERS))
        }

    @cached_property
    def of_classes(self) -> "Optimised":
        """Images that are taken for each class as surely as can be."""
        from filterlab.visualization import maximise

        return maximise.classes(self.predictor, ground=self.ground, seed=self.seed, ascent=maximise.OF_CLASSES)

    @cached_property
    def validated(self) -> np.ndarray:
        """(N, K): the logits of the validation images."""
        from filterlab.evaluation.predict import predict

        return predict(self.predictor, self.validation.images)

    @cached_property
    def compared(self) -> "dict[str, Layers]":
        """COMPARED of the convolutions and dense layers, of the trained network and of the untrained one."""
        from filterlab.visualization import compared, patches, style

        reads = patches.answers(self.plan)
        names = [layer.name for layer in self.plan.layers if layer.kind in ("conv", "dense")]
        chosen = {name: reads.get(name, name) for name in (names[i] for i in style.spaced(len(names), limit=COMPARED))}
        found = {}
        for which, of in (("trained", self.predictor), ("untrained", self.untrained)):
            layers = compared.compare(of, chosen.values(), self.train, self.validation, seed=self.seed)
            found[which] = compared.Layers(
                {name: layers.accuracy[at] for name, at in chosen.items()},
                {name: layers.selectivity[at] for name, at in chosen.items()},
            )
        return found

    @cached_property
    def sees(self) -> dict[str, int]:
        """Of each layer that is compared, the longer side of what a unit sees, in pixels."""
        from filterlab.visualization import receptive

        windows, whole = receptive.windows(self.plan), max(self.predictor.shape[1:])
        return {
            name: max(span.size for span in windows[name]) if name in windows else whole
            for name in self.compared["trained"].accuracy
        }

    @cached_property
    def embedded(self) -> "tuple[np.ndarray, Embedding]":
        """Rows of the validation images, all mistakes first and then others at random, and where the network puts them."""
        import torch

        from filterlab.visualization import embedding, patches

        wrong = self.validated.argmax(axis=1) != self.validation.labels
        order = np.random.default_rng(self.seed).permutation(len(wrong))
        rows = np.sort(order[np.argsort(~wrong[order], kind="stable")][: embedding.POINTS])
        below = self.plan.layers[-1].inputs or (self.plan.layers[-2].name,) if len(self.plan.layers) > 1 else ()
        with patches.recorded(self.predictor, below) as outputs, torch.inference_mode():
            vectors = []
            for _, batch in patches.batches(self.predictor, self.validation.images[rows], outputs):
                self.predictor(batch)
                vectors.append(outputs[below[0]].flatten(1).numpy() if below else batch.flatten(1).numpy() / 255)
        return rows, embedding.embed(np.concatenate(vectors), self.validation.labels[rows], seed=self.seed)

    @cached_property
    def methods(self) -> "Methods":
        from filterlab.visualization import attribution

        return attribution.methods(self.predictor, self.plan, ground=self.ground)

    @cached_property
    def surest(self) -> np.ndarray:
        """Rows of the validation images that the network gets wrong, the surest first."""
        sure = probabilities(self.validated).max(axis=1)
        wrong = np.flatnonzero(self.validated.argmax(axis=1) != self.validation.labels)
        return wrong[np.argsort(-sure[wrong], kind="stable")]

    @cached_property
    def checks(self) -> dict[str, Any]:
        """images: how many; curves: by method and "random", deletion and insertion; sanity: by method and layer, see `alike`.

        On validation images that the network gets right, drawn with the seed.
        """
        from filterlab.visualization import attribution

        predictor, labels = self.predictor, self.validation.labels
        draw = np.random.default_rng(self.seed)
        right = draw.permutation(np.flatnonzero(self.validated.argmax(axis=1) == labels))
        rows = np.sort((right if len(right) else draw.permutation(len(labels)))[:CHECKED])
        images, classes = self.validation.images[rows], labels[rows]
        maps: dict[str, np.ndarray] = {
            name: attribution.explain(of, predictor, images, classes) for name, of in self.methods.methods.items()
        }
        maps["random"] = draw.random(next(iter(maps.values())).shape)
        curves = {name: attribution.curves(predictor, images, classes, found, ground=self.ground) for name, found in maps.items()}
        shuffled = attribution.randomised(predictor, self.plan, seed=self.seed, limit=LAYERS)
        few, of_few = images[:SHUFFLED], classes[:SHUFFLED]
        sanity = {
            name: {
                layer: attribution.alike(maps[name][:SHUFFLED], attribution.explain(of, other, few, of_few))
                for layer, other in shuffled.items()
            }
            for name, of in self.methods.methods.items()
        }
        return {"images": len(rows), "curves": curves, "sanity": sanity}


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of (N, K)."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


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


def whole_image(predictor: "Predictor") -> "Window":
    """What a unit sees that sees all."""
    from filterlab.visualization.receptive import Span

    _, height, width = predictor.shape
    return Span(size=height), Span(size=width)


def typical(images: LabelledImages) -> np.ndarray:
    """The first image of the middle one of the classes that there are."""
    present = np.unique(images.labels)
    return images.images[np.flatnonzero(images.labels == present[len(present) // 2])[0]]


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
    sure = np.diagonal(probabilities(predict(trained.predictor, surest)))
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


def optimised_measured(trained: Trained) -> dict[str, Any]:
    """above: the share of channels whose image excites them more than every training patch does."""
    layers = {}
    for name, found in trained.optimised.items():
        strongest = trained.strongest[name].activations[:, 0]
        layers[name] = {"channels": len(strongest), "above": float((found.activations > strongest).mean())}
    sure = trained.of_classes.activations
    return {"layers": layers, "classes": {"least_probability": float(sure.min()), "at_least_0.99": float((sure >= 0.99).mean())}}


def explained(trained: Trained) -> Drawn:
    """Why the network answers as it does: an image of each class, the surest mistakes, and checks of the maps."""
    from filterlab.visualization import attribution, explained

    validation, names, sure = trained.validation, trained.drawable, probabilities(trained.validated)
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


def explained_measured(trained: Trained) -> dict[str, Any]:
    """Areas under the curves of deletion (the lower, the better) and insertion (the higher), and the rank correlation of the maps
    with those of shuffled weights, by layer down to which they are shuffled.
    """
    from filterlab.visualization.attribution import SHARES

    return {
        "images": trained.checks["images"],
        "by_method": {
            name: {
                **{which: float(np.trapezoid(values, SHARES)) for which, values in found.items()},
                **({"shuffled": trained.checks["sanity"][name]} if name != "random" else {}),
            }
            for name, found in trained.checks["curves"].items()
        },
        "does_not_apply": trained.methods.missing,
        "mistakes_on_validation": len(trained.surest),
    }


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


def layers_measured(trained: Trained) -> dict[str, Any]:
    """By layer, trained and untrained: accuracy of a linear probe, median selectivity; and, of the trained one, what a unit sees.

    Of the embedding: the share of the variance on the plane of PCA, and of a point's neighbors that are of its class.
    """
    by_layer = {
        name: {
            "sees": trained.sees[name],
            **{
                which: {"probe_accuracy": of.accuracy[name], "selectivity": float(np.median(of.selectivity[name]))}
                for which, of in trained.compared.items()
            },
        }
        for name in trained.sees
    }
    _, found = trained.embedded
    return {"by_layer": by_layer, "embedding": {"pca_explained": found.explained, "neighbors_of_the_class": found.together}}


def filters_measured(trained: Trained) -> dict[str, Any]:
    """Of each layer: silent, the channels that answer no training image with more than 0 (behind ReLU they are dead); twins,
    those that are like an earlier one. Of the first: its drift by epoch and its likeness to templates, means over its filters.
    """
    from filterlab.visualization import development

    layers = {}
    for name in trained.layers:
        weights = trained.predictor.network.get_submodule(name).get_parameter("weight").detach().numpy()
        layers[name] = {
            "sees": [span.size for span in trained.windows[name]],
            "channels": len(weights),
            "silent": int((trained.strongest[name].activations[:, 0] <= 0).sum()),
            "twins": int(development.twins(weights).sum()),
        }
    moved = development.drift(trained.first_layers).mean(axis=1)
    alike = {
        which: {kind: float(values.mean()) for kind, values in found.items()} for which, found in trained.development.items()
    }
    return {
        "layers": layers,
        "first_layer": {
            "drift": moved.tolist() if len(moved) > 1 else "its weights by epoch were not kept",
            "likeness": alike or "filters of one pixel, or none, are no edges, bars or blobs",
        },
    }


FIGURES: list[Callable[[Trained], Drawn]] = [examples, learning_curves, filters, maps, optimised, explained, layers]
MEASURED: dict[str, Callable[[Trained], dict[str, Any]]] = {
    "filters": filters_measured,
    "optimised": optimised_measured,
    "explained": explained_measured,
    "layers": layers_measured,
}
