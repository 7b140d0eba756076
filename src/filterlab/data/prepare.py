"""From the raw files to arrays with a training, a validation and a test part."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from filterlab.config import schema
from filterlab.data import arrays, formats, published
from filterlab.data.arrays import Card, LabelledImages, Scale, digest
from filterlab.data.split import split, subset
from filterlab.errors import DataError


@dataclass(frozen=True)
class Prepared:
    """train_card describes train and validation, test_card test; mean and std are those of train on both."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    train_card: Card
    test_card: Card


def prepare(data: schema.Data, *, raw: Path) -> Prepared:
    """Read raw/<data.folder>/raw/, check it against `data`, and take the subset and the split that `data` asks for.

    Raises DataError if a file is missing or damaged, if images and labels do not match in number, if an image has another size
    or a label another value than `data` says, and as `subset` and `split` do.
    """
    whole, test = official(data, raw=raw, part="train"), official(data, raw=raw, part="test")
    taken = subset(whole.labels, take=data.take, take_n=data.take_n, seed=data.seed)
    labels = whole.labels[taken]
    trains, validates = split(labels, validation=data.validation, how=data.split, seed=data.seed)
    train = LabelledImages(images=whole.images[taken[trains]], labels=labels[trains])
    validation = LabelledImages(images=whole.images[taken[validates]], labels=labels[validates])
    mean, std = pixel_statistics(train.images)

    return Prepared(
        train=train,
        validation=validation,
        test=test,
        train_card=card_of(data, {"train": train, "validation": validation}, mean=mean, std=std),
        test_card=card_of(data, {"test": test}, mean=mean, std=std),
    )


def card_of(
    data: schema.Data, parts: Mapping[str, LabelledImages], *, mean: Scale, std: Scale, notes: Mapping[str, int] | None = None
) -> Card:
    """The card of prepared parts; mean and std are those of the training images, whichever parts these are."""
    return Card(
        name=data.name,
        classes=list(data.classes),
        channels=data.channels,
        height=data.height,
        width=data.width,
        counts={name: len(part) for name, part in parts.items()},
        mean=mean,
        std=std,
        digest=digest(parts),
        made_from=made_from(data),
        notes=dict(notes or {}),
    )


def load(processed: Path) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images that lie prepared in a folder. Raises DataError: they are missing or damaged."""
    card, parts = arrays.load(processed / "train")
    return card, parts["train"], parts["validation"]


def save(prepared: Prepared, processed: Path) -> None:
    """Write processed/train/ and processed/test/. Raises DataError."""
    arrays.save(processed / "train", {"train": prepared.train, "validation": prepared.validation}, prepared.train_card)
    arrays.save(processed / "test", {"test": prepared.test}, prepared.test_card)


def made_from(data: schema.Data) -> str:
    """SHA-256 (hex) of the whole section; preprocess reruns where any of it changes."""
    return hashlib.sha256(json.dumps(dataclasses.asdict(data), sort_keys=True).encode()).hexdigest()


def is_prepared(data: schema.Data, processed: Path) -> bool:
    """Whether what preprocess left in data/processed is what `data` asks for now. Raises DataError where its card is damaged."""
    card = processed / "train" / arrays.CARD
    return card.exists() and Card.load(card).made_from == made_from(data)


def pixel_statistics(images: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation (of the population, without Bessel's correction) of uint8 pixels / 255.

    From the sums of the pixels and of their squares, which are exact whole numbers and need no wider copy of the images.
    """
    pixels = images.reshape(-1)
    total = int(pixels.sum(dtype=np.uint64))
    squares = int(np.einsum("i,i->", pixels, pixels, dtype=np.uint64, casting="unsafe"))
    return total / (255 * pixels.size), math.sqrt(squares * pixels.size - total**2) / (255 * pixels.size)


def official(data: schema.Data, *, raw: Path, part: str) -> LabelledImages:
    """All images of a part, "train" or "test", as they were published. Raises DataError as `prepare` does."""
    folder, files = published.place(raw, data), formats.nearest(data.files).files[part]
    images, labels = published.read(raw, data, part)
    for name, array in zip(files, (images, labels), strict=True):
        if (kind := getattr(array, "dtype", type(array).__name__)) != np.uint8:
            raise DataError(f"{folder / name}: read as {kind}, expected uint8")
    expected = (data.height, data.width) if data.channels == 1 else (data.channels, data.height, data.width)
    if images.shape[1:] != expected:
        raise DataError(
            f"{folder / files.images}: images of {_by(images.shape[1:])}, expected {_by(expected)} as data {data.name} says"
        )
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{folder}: {files.images} has {len(images):,} images, {files.labels} has labels of shape {labels.shape}: "
            "expected one label for each image"
        )
    unknown = np.flatnonzero(labels >= len(data.classes))
    if unknown.size:
        raise DataError(
            f"{folder / files.labels}: label {labels[unknown[0]]} at index {unknown[0]}, expected 0 to {len(data.classes) - 1} "
            f"as data {data.name} has {len(data.classes)} classes ({unknown.size:,} such labels)"
        )
    return LabelledImages(images=images.reshape(-1, data.channels, data.height, data.width), labels=labels)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(length) for length in shape)
