"""Lightning's loop against a bare one: the same network, batches, arithmetic and validation."""

import itertools
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from filterlab.config import compose, schema
from filterlab.data import arrays
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.datamodule import Batches
from filterlab.models import registry
from filterlab.models.predictor import Predictor
from filterlab.training.fit import allow_tf32, fit, own_algorithms, resolve_precision
from tables import spread

ROUNDS = 20  # a shared machine's speed changes by a tenth from one epoch to the next
EPOCHS = 1  # of the default's own length: what Lightning costs an epoch weighs as it does there


def throughput(root: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table; `root` is a repository whose data are prepared.

    Lightning's seconds count its checkpoints; the pictures that a stage draws after each epoch are in neither loop.
    """
    parameters = compose.read_parameters(root / "params.yaml")
    config = compose.compose(root / "conf", [*compose.to_overrides(parameters), f"trainer.max_epochs={EPOCHS}"])
    folder = root / "data/processed/train"
    card, parts = arrays.load(folder)
    train, validation = parts["train"], parts["validation"]

    def plain() -> float:
        return EPOCHS * len(train.labels) / sum(bare_loop(network(config, card), train, validation, config))

    def lightning() -> float:
        return fitted_pace(config, card, train, validation)

    bare, ours = [], []
    plain()  # warm up
    for round in range(ROUNDS):  # side by side, each first in every other round, so that a busy moment hits both
        if round % 2:
            ours.append(lightning())
            bare.append(plain())
        else:
            bare.append(plain())
            ours.append(lightning())
    ratios = [mine / plain for mine, plain in zip(ours, bare, strict=True)]
    rows = [
        ["bare PyTorch loop", spread(bare, ".0f"), "1"],
        ["filterlab (Lightning)", spread(ours, ".0f"), spread(ratios, ".3f")],
    ]
    return [f"loop ({ROUNDS} rounds in turns)", "images/s, median (range)", "ratio, median (range)"], rows


def fitted_pace(config: schema.Config, card: Card, train: LabelledImages, validation: LabelledImages) -> float:
    """Images a second of a training by filterlab."""
    with tempfile.TemporaryDirectory() as checkpoints:
        fitted = fit(network(config, card), train, validation, config=config, folder=Path(checkpoints))
    return fitted.images / fitted.seconds


def network(config: schema.Config, card: Card) -> Predictor:
    return registry.predictor(config, mean=card.mean, std=card.std)


@own_algorithms()
def bare_loop(
    predictor: Predictor, train: LabelledImages, validation: LabelledImages, config: schema.Config, *, device: str = "cpu"
) -> list[float]:
    """Seconds of each epoch, validation after it; with deterministic algorithms and the precision, as `fit` chooses them."""
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    allow_tf32([resolve_precision(config.trainer) == "tf32"] * 2)
    settings = config.trainer
    predictor.to(device, memory_format=torch.channels_last)
    tensors = [
        (torch.from_numpy(part.images).to(device), torch.from_numpy(part.labels).long().to(device))
        for part in (train, validation)
    ]
    epoch = 0
    batches = Batches(*tensors[0], batch_size=settings.batch_size, seed=0, epoch=lambda: epoch, vary=config.augment.build())
    chosen = config.optimizer.build(predictor.parameters())
    shape = config.schedule.build(steps=settings.max_epochs * len(batches), steps_per_epoch=len(batches))
    schedule = torch.optim.lr_scheduler.LambdaLR(chosen, shape)
    half = resolve_precision(settings) == "bf16"
    times = [time.perf_counter()]
    for epoch in range(settings.max_epochs):  # noqa: B007 - read by the batches
        predictor.train()
        for images, labels in batches:
            with torch.autocast(device, torch.bfloat16, enabled=half):
                loss = F.cross_entropy(predictor(images), labels, label_smoothing=settings.label_smoothing)
            chosen.zero_grad()
            loss.backward()
            chosen.step()
            schedule.step()
        predictor.eval()
        hits = torch.zeros((), dtype=torch.int64, device=device)
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=half):
            for images, labels in Batches(*tensors[1], batch_size=4 * settings.batch_size):
                hits += (predictor(images).argmax(dim=1) == labels).sum()
        hits.item()  # the device has done it
        times.append(time.perf_counter())
    return [end - start for start, end in itertools.pairwise(times)]
