"""A trained network with its images: what the views draw and measure, each part computed when it is first asked for."""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from filterlab.data.arrays import LabelledImages
from filterlab.evaluation.metrics import softmax
from filterlab.models import shapes
from filterlab.models.plan import Model, Plan

if TYPE_CHECKING:
    from filterlab.models.predictor import Predictor
    from filterlab.visualization.attribution import Methods
    from filterlab.visualization.compared import Layers
    from filterlab.visualization.embedding import Embedding
    from filterlab.visualization.maximise import Optimised
    from filterlab.visualization.patches import Strongest
    from filterlab.visualization.receptive import Window

LAYERS = 6  # of a deep network, evenly spaced, for which images are optimised
COMPARED = 8  # layers, evenly spaced
CHECKED, SHUFFLED = 40, 10  # images on which maps are checked by deleting and inserting pixels, and by shuffling weights


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
        sure = softmax(self.validated).max(axis=1)
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


def whole_image(predictor: "Predictor") -> "Window":
    """What a unit sees that sees all."""
    from filterlab.visualization.receptive import Span

    _, height, width = predictor.shape
    return Span(size=height), Span(size=width)


def typical(images: LabelledImages) -> np.ndarray:
    """The first image of the middle one of the classes that there are."""
    present = np.unique(images.labels)
    return images.images[np.flatnonzero(images.labels == present[len(present) // 2])[0]]
