"""Train the network that the configuration describes, as one MLflow run."""

import contextlib
import dataclasses
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import files, seal, tracking
from filterlab.config import resolved, schema
from filterlab.data.arrays import Card, LabelledImages
from filterlab.data.prepare import training_data
from filterlab.repository import folder_md5
from filterlab.stages import curves, results, run_folder, runs
from filterlab.stages.about import about
from filterlab.stages.unfinished import Unfinished
from filterlab.sweeps import frozen, promotion
from filterlab.sweeps import sweep as sweeps
from filterlab.tracking import process, provenance
from filterlab.tracking.store import MODELS
from filterlab.training import devices

if TYPE_CHECKING:
    from filterlab.training.fit import Fitted
    from filterlab.training.history import Epoch


def run(root: Path) -> None:
    """The pipeline's stage: see `train`. A run of the configuration that was promoted last is marked with where it came from."""
    sweeps.refuse_outside()
    config = resolved.load(root)
    with run_folder.alone(root) if devices.is_main(config.trainer) else contextlib.nullcontext():
        train(config, root=root, out=root, tags=provenance.tags(root) | promotion.tags(root, config))


def train(
    config: schema.Config,
    *,
    root: Path,
    out: Path,
    tags: Mapping[str, str] | None = None,
    title: str = "",
    conf: Path | None = None,
    stop: "Callable[[tracking.NullRun, list[Epoch]], bool] | None" = None,
) -> dict[str, Any]:
    """Train on the prepared data in `root`; write models/, results/curves.csv and results/run.json below `out`; log the run.

    A training that was interrupted goes on from its last finished epoch, as the same MLflow run, when the same thing is
    trained again: same configuration, data, code and, in a sweep, same sweep.

    Args:
        out: already holds results/config.yaml, this training's resolved config; see run_folder.alone.
        tags: of the run, instead of the provenance of the repository as it is now.
        title: the run's name; empty: what differs from `conf`.
        conf: what the configuration was composed from; None: conf/ in `root`.
        stop: given the run and the finished epochs, whether the training ends here: it is "pruned".

    Returns:
        "best/" + name -> metric of the best epoch; "state": "done" or "pruned"; "curves": by name, the validation
        metrics epoch by epoch.

    Raises:
        DataError: the data are missing or damaged, or a file can't be written.
        TrackingError: the store can't be reached; nothing has been computed then.
        UserError: this machine lacks the devices asked for, another process runs this very training, or as `fit` does.
    """
    devices.check(config.trainer)  # before a run is begun that could only fail
    tags = {**(tags if tags is not None else provenance.tags(root)), **process.tags()}
    card, training, validation = prepared(config, root)
    tags |= {"filterlab.data": card.digest, promotion.CONFIG: sweeps.key(config)}
    unfinished = Unfinished(root, config, data=card.digest, code=tags["filterlab.code"], sweep=tags.get("filterlab.sweep", ""))
    main = devices.is_main(config.trainer)
    settings = config.tracking if main else dataclasses.replace(config.tracking, backend="off")
    told = about(config, conf or root / "conf")
    subject = f"{config.data.name} {config.model.name} seed {config.seed}"
    with unfinished.alone() if main else contextlib.nullcontext():
        identity = unfinished.begin(resolved.dump(config)) if main else ""
        with tracking.start(settings, root=root, name=title or told.name, tags=tags, identity=identity) as record:
            from filterlab.models import registry
            from filterlab.models.predictor import scaling
            from filterlab.training.fit import fit
            from filterlab.visualization import filters, png

            scaled = scaling(config.trainer.scaling, mean=card.mean, std=card.std)
            predictor = registry.predictor(config, **scaled)
            record.wait()
            record.set_tags({tracking.NOTE: told.note})
            record.log_params(runs.parameters(config))
            record.log_artifact(unfinished.folder / resolved.RESOLVED.name)
            record.log_dataset(
                name=card.name,
                digest=card.digest,
                source=f"data/raw/{config.data.folder}",
                context="training",
                profile=card.counts,
            )

            finished: list[Epoch] = []

            def on_epoch(epoch: "Epoch") -> bool:
                picture = unfinished.folder / f"first_layer_{epoch.number:03d}.png"
                weights, caption = epoch.first_layer.numpy(), f"{subject}, epoch {epoch.number}"
                drawn = filters.layer(weights, shape=predictor.shape, names=card.classes, name="the first layer", subject=caption)
                png.write(drawn, picture)
                record.log_image("first_layer", picture, step=epoch.number)
                for step, values in epoch.steps:
                    record.log_metrics({f"step/{name}": number for name, number in values.items()}, step=step)
                if epoch.metrics:
                    record.log_metrics(epoch.metrics, step=epoch.number)
                    print(line(epoch, of=config.trainer.max_epochs), flush=True)
                finished.append(epoch)
                return bool(stop and epoch.metrics and stop(record, finished))

            try:
                fitted = fit(predictor, training, validation, config=config, folder=unfinished.folder, on_epoch=on_epoch)
            except KeyboardInterrupt as error:
                error.add_note("the finished epochs are kept: the same command goes on from there, under the same MLflow run")
                raise
            best = runs.best(fitted.epochs[fitted.best_epoch].metrics)
            state = "pruned" if fitted.pruned else "done"
            if main:
                digests = write(out, fitted, config=config, card=dataclasses.asdict(card) | scaled)
                if out == root:
                    record.set_tags({MODELS: folder_md5(out / "models")})
                summary = {"best_epoch": fitted.best_epoch, "epochs": len(fitted.epochs) - 1, "training/seconds": fitted.seconds}
                record.log_metrics(summary | best | {"training/images_per_second": fitted.images / fitted.seconds})
                record.set_tags({"device": fitted.device, "precision": fitted.precision, "filterlab.state": state})
                if fitted.device == "cpu":  # their number decides the order of sums, and so the last bits
                    record.set_tags({promotion.THREADS: fitted.threads})
                if provenance.tags(root)["filterlab.code"] != tags["filterlab.code"]:
                    record.set_tags({"filterlab.dirty": "true"})
                    print("NOTE: the code was edited while this training ran: its run is marked as dirty, and can't be promoted")
                runs.log_model(record, out, digests=digests, example=training.images[:2])
                record.log_artifact(out / curves.CURVES)
        if main:  # last of all: where it is, the training is finished
            write_facts(out, fitted, record)
    names = [name for name in fitted.epochs[-1].metrics if name.startswith("validation/")]
    return {**best, "state": state, "curves": {name: [epoch.metrics[name] for epoch in fitted.epochs[1:]] for name in names}}


def prepared(config: schema.Config, root: Path) -> tuple[Card, LabelledImages, LabelledImages]:
    """Card, training and validation images: a sweep's own copy, or the pipeline's; see `training_data`."""
    if sweep := sweeps.current():
        return frozen.training_data(sweep, config.data)
    return training_data(config.data, raw=root / "data/raw", processed=root / "data/processed")


def write(out: Path, fitted: "Fitted", *, config: schema.Config, card: dict[str, Any]) -> dict[str, str]:
    """The curves, the model, its first layer by epoch; each file whole or not at all.

    Gives the SHA-256 (hex) of models/'s files by name. Raises DataError naming the file that can't be written.
    """
    import torch

    from filterlab.models import artifact

    finished = fitted.epochs[1:]
    rows = [[epoch.number, *epoch.metrics.values(), int(epoch.number == fitted.best_epoch)] for epoch in finished]
    digest = files.write_table(out / curves.CURVES, ["epoch", *finished[0].metrics, "chosen"], rows)
    return artifact.save(
        out / "models",
        fitted.predictor.network,
        model=config.model,
        card=card,
        first_layers=torch.stack([epoch.first_layer for epoch in fitted.epochs]),
        beside={curves.CURVES.name: digest},
    )


def write_facts(out: Path, fitted: "Fitted", record: tracking.NullRun) -> None:
    """results/run.json: where the run is, times and the device. Raises DataError where it can't be written."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # Linux counts in KiB
    facts = {
        "run_id": record.id,
        "experiment_id": record.experiment,
        "server": record.server,
        "models": folder_md5(out / "models"),
        "seconds": round(fitted.seconds, 2),
        "images_per_second": round(fitted.images / fitted.seconds, 1),
        "peak_memory_mib": round(peak),
        "device": fitted.device,
        "precision": fitted.precision,
    }
    seal.write(out / results.RUN, facts)


def line(epoch: "Epoch", *, of: int) -> str:
    parts = [
        f"{part}: loss {epoch.metrics[f'{part}/loss']:.4f}, accuracy {epoch.metrics[f'{part}/accuracy']:.2%}"
        for part in ("train", "validation")
    ]
    return f"epoch {epoch.number:>{len(str(of))}}/{of}  " + "  ".join(parts)
