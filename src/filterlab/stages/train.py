"""Train the network that the configuration describes, as one MLflow run."""

import csv
import dataclasses
import json
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import tracking
from filterlab.config import compose, schema
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.prepare import prepare
from filterlab.stages import runs
from filterlab.stages.unfinished import Unfinished
from filterlab.tracking import provenance

if TYPE_CHECKING:
    from filterlab.training.fit import Fitted
    from filterlab.training.history import Epoch


def run(root: Path) -> None:
    """The pipeline's stage: see `train`."""
    train(compose.load(root), root=root, out=root)


def train(config: schema.Config, *, root: Path, out: Path) -> None:
    """Train on the prepared data in `root`; write models/, results/curves.csv and results/run.json below `out`; log the run.

    A training that was interrupted goes on from its last finished epoch, under its MLflow run, when the same thing is
    trained again: same configuration, data and code.

    Raises:
        DataError: the data are missing or damaged.
        TrackingError: the store can't be reached; nothing has been computed then.
    """
    tags = provenance.tags(root)
    card, training, validation = prepared(config, root)
    unfinished = Unfinished(root, config, data=card.digest, code=tags["filterlab.code"])
    main = int(os.environ.get("LOCAL_RANK", "0")) == 0  # Lightning starts this very command once more for each other rank
    settings = config.tracking if main else dataclasses.replace(config.tracking, backend="off")
    title = f"{config.data.name} {config.model.name} seed {config.seed}"
    with tracking.start(settings, root=root, name=title, tags=tags, run_id=unfinished.run_id) as record:
        from filterlab.models import registry
        from filterlab.models.predictor import Predictor
        from filterlab.training.fit import fit
        from filterlab.visualization import filters

        scaling = {"mean": card.mean, "std": card.std} if config.trainer.scaling == "standard" else {"mean": 0.0, "std": 1.0}
        size = {"channels": card.channels, "height": card.height, "width": card.width}
        network = registry.build(config.model, **size, classes=len(card.classes), seed=config.seed)
        shape = (card.channels, card.height, card.width)
        predictor = Predictor(network, data_name=card.name, classes=card.classes, shape=shape, **scaling)
        record.wait()
        checkpoints = unfinished.begin(record.id) if main else unfinished.folder
        record.log_params(runs.parameters(config))
        record.log_artifact(root / compose.RECEIPT)
        record.log_dataset(
            name=card.name, digest=card.digest, source=f"data/raw/{config.data.folder}", context="training", profile=card.counts
        )

        def on_epoch(epoch: "Epoch") -> None:
            picture = checkpoints / f"first_layer_{epoch.number:03d}.png"
            subject = f"{title}, epoch {epoch.number}"
            weights = epoch.first_layer.numpy()
            filters.layer(weights, shape=shape, names=card.classes, name="the first layer", subject=subject).savefig(picture)
            record.log_image("first_layer", picture, step=epoch.number)
            for step, values in epoch.steps:
                record.log_metrics({f"step/{name}": number for name, number in values.items()}, step=step)
            if epoch.metrics:
                record.log_metrics(epoch.metrics, step=epoch.number)
                print(line(epoch, of=config.trainer.max_epochs), flush=True)

        try:
            fitted = fit(predictor, training, validation, config=config, checkpoints=checkpoints, on_epoch=on_epoch)
        except KeyboardInterrupt as error:
            error.add_note("the finished epochs are kept: the same command goes on from there, under the same MLflow run")
            raise
        if main:
            write(out, fitted, config=config, card=dataclasses.asdict(card) | scaling, run_id=record.id)
            summary = {"best_epoch": fitted.best_epoch, "training/seconds": fitted.seconds}
            record.log_metrics(summary | {"training/images_per_second": fitted.images / fitted.seconds})
            record.set_tags({"device": fitted.device, "precision": fitted.precision})
            runs.log_model(record, out, example=training.images[:2])
            record.log_artifact(out / "results/curves.csv")
    if main:
        unfinished.finish()


def prepared(config: schema.Config, root: Path) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images: preprocess's where it made what is asked for, else made in memory from data/raw."""
    folder = root / "data/processed/train"
    if (folder / "card.json").exists() and compose.load(root).data == config.data:
        return Card.load(folder / "card.json"), LabelledImages.load(folder, "train"), LabelledImages.load(folder, "validation")
    made = prepare(config.data, raw=root / "data/raw")
    return made.train_card, made.train, made.validation


def write(out: Path, fitted: "Fitted", *, config: schema.Config, card: dict[str, Any], run_id: str) -> None:
    import torch
    from safetensors.torch import save_file

    from filterlab.models import artifact

    artifact.save(out / "models", fitted.predictor.network, model=config.model, card=card)
    first_layers = torch.stack([epoch.first_layer for epoch in fitted.epochs])
    save_file({"first_layer": first_layers}, out / "models/filters.safetensors")
    results = out / "results"
    results.mkdir(exist_ok=True)
    with (results / "curves.csv").open("w", newline="") as file:
        rows = [
            {"epoch": epoch.number, **epoch.metrics, "chosen": int(epoch.number == fitted.best_epoch)}
            for epoch in fitted.epochs[1:]
        ]
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # Linux counts in KiB
    facts = {
        "run_id": run_id,
        "seconds": round(fitted.seconds, 2),
        "images_per_second": round(fitted.images / fitted.seconds, 1),
        "peak_memory_mib": round(peak),
        "device": fitted.device,
        "precision": fitted.precision,
    }
    (results / "run.json").write_text(json.dumps(facts, indent=2) + "\n")


def line(epoch: "Epoch", *, of: int) -> str:
    parts = [
        f"{part}: loss {epoch.metrics[f'{part}/loss']:.4f}, accuracy {epoch.metrics[f'{part}/accuracy']:.2%}"
        for part in ("train", "validation")
    ]
    return f"epoch {epoch.number:>{len(str(of))}}/{of}  " + "  ".join(parts)
