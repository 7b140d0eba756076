"""Train the network that the configuration describes, as one MLflow run."""

import contextlib
import dataclasses
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import tracking
from filterlab.config import resolved, schema
from filterlab.data import ready
from filterlab.data.arrays import Card, LabelledImages
from filterlab.repository import folder_md5
from filterlab.runs import facts, folder, logging, promoted
from filterlab.runs.description import describe
from filterlab.runs.unfinished import Unfinished
from filterlab.tracking import process, provenance
from filterlab.tracking.store import MODELS
from filterlab.training import curves, devices

if TYPE_CHECKING:
    from filterlab.training.fit import Fitted
    from filterlab.training.history import Epoch

Images = tuple[Card, LabelledImages, LabelledImages]  # the data set's card, training images, validation images


def run(root: Path) -> None:
    """The pipeline's stage: see `train`. A run of the configuration that was promoted last is marked with where it came from."""
    config = resolved.load(root)
    with folder.alone(root) if devices.is_main(config.trainer) else contextlib.nullcontext():
        tags = provenance.tags(root) | promoted.tags(root, config)
        train(config, root=root, out=root, tags=tags)


def load(config: schema.Config, root: Path) -> Images:
    """The prepared data, by preprocess or else beside the pipeline's, in data/sets/. Raises DataError."""
    return ready.load(config.data, root)


def train(
    config: schema.Config,
    *,
    root: Path,
    out: Path,
    images: Images | None = None,
    tags: Mapping[str, str] | None = None,
    title: str = "",
    conf: Path | None = None,
    parent: str = "",
    stop: "Callable[[tracking.NullRun, list[Epoch]], bool] | None" = None,
) -> dict[str, Any]:
    """Train; write models/, results/curves.csv and results/run.json below `out`; log the run.

    A training that was interrupted goes on from its last checkpoint, as the same MLflow run, when the same thing is
    trained again: same configuration, data, code and, in a sweep, same sweep.

    Args:
        out: already holds results/config.yaml, this training's resolved config; see folder.alone.
        images: None: the prepared data in `root`.
        tags: of the run, the provenance of the code among them; None: of the repository as it is now.
        title: the run's name; empty: what differs from `conf`.
        conf: what the configuration was composed from; None: conf/ in `root`.
        parent: identity of the run that the training's is shown below: it is a trial, one of many, and leaves no more than
            its model, its curves and the first layer of its best epoch.
        stop: given the run and the finished epochs, whether the training ends here: it is "pruned".

    Returns:
        "best/" + name -> metric of the best epoch; "state": "done" or "pruned"; "run_id"; "metrics": see logging.outcome;
        "curves": by name, the validation metrics epoch by epoch.

    Raises:
        DataError: the data are missing or damaged, or a file can't be written.
        TrackingError: tracking.require is set and the store can't be reached; nothing has been computed then.
        UserError: this machine lacks the devices asked for, another process runs this very training, or as `fit` does.
    """
    devices.check(config.trainer)  # before a run is begun that could only fail
    tags = provenance.tags(root) if tags is None else tags
    card, training, validation = images or load(config, root)
    main = devices.is_main(config.trainer)
    commit = tags.get("mlflow.source.git.commit", "")
    code, sweep = tags["filterlab.code"], tags.get("filterlab.sweep", "")
    tags = {**tags, **process.tags(), logging.DATA: card.digest, logging.CONFIG: resolved.key(config)}
    unfinished = Unfinished(root, config, data=card.digest, code=code, sweep=sweep)
    description = describe(config, conf or root / "conf")
    settings = config.tracking if main else dataclasses.replace(config.tracking, backend="off")
    with unfinished.alone() if main else contextlib.nullcontext():
        identity = unfinished.begin(resolved.dump(config)) if main else ""
        name = title or description.name
        with tracking.start(settings, root=root, name=name, tags=tags, identity=identity, parent=parent) as record:
            from filterlab.models import registry
            from filterlab.models.predictor import scaling
            from filterlab.runs.callbacks import CALLBACKS, LogFirstLayer, Training
            from filterlab.training.fit import fit

            scaled = scaling(config.trainer.scaling, mean=card.mean, std=card.std)
            predictor = registry.predictor(config, **scaled)
            begun_with = unfinished.folder / resolved.RESOLVED.name
            logging.log_inputs(record, config, card, resolved_config=begun_with, note=description.note)
            known = Training(record, config, card, folder=unfinished.folder, trial=bool(parent), stop=stop)
            callbacks = [callback(known) for callback in CALLBACKS]
            try:
                fitted = fit(
                    predictor,
                    training,
                    validation,
                    config=config,
                    folder=unfinished.folder,
                    callbacks=callbacks,
                    every_first_layer=not parent,
                )
            except KeyboardInterrupt as error:
                error.add_note("its checkpoints are kept: the same command goes on from the last one, under the same MLflow run")
                raise
            if main:
                if parent:  # where MLflow's pages open; a sweep's report compares the best epochs' first layers
                    LogFirstLayer(known).add_picture(fitted.epochs[fitted.best_epoch], step=0)
                digests = write(out, fitted, config=config, card=dataclasses.asdict(card) | scaled, trial=bool(parent))
                if out == root:
                    record.set_tags({MODELS: folder_md5(out / "models")})
                example, rule = training.images[:1], config.data.rule
                logging.log_outcome(record, fitted, out, rule=rule, digests=digests, example=example, trial=bool(parent))
                if provenance.tags(root)["filterlab.code"] != code:
                    record.set_tags({"filterlab.dirty": "true"})
                    print("NOTE: the code was edited while this training ran: its run is marked as dirty, and can't be promoted")
        if main:  # last of all: where it is, the training is finished
            facts.write(out, record, measured=costs(fitted) | {"commit": commit, "dirty": tags.get("filterlab.dirty", "true")})
    by_epoch = [epoch.metrics for epoch in fitted.epochs[1:]]
    validated = [name for name in by_epoch[-1] if name.startswith("validation/")]
    return {
        **logging.best(fitted.epochs[fitted.best_epoch].metrics),
        "state": fitted.state,
        "run_id": record.id,
        "metrics": logging.outcome(fitted),
        "curves": {name: [metrics[name] for metrics in by_epoch] for name in validated},
    }


def write(out: Path, fitted: "Fitted", *, config: schema.Config, card: dict[str, Any], trial: bool) -> dict[str, str]:
    """The curves, the model, its first layer by epoch, of a trial that of the best one; each file whole or not at all.

    Gives the SHA-256 (hex) of models/'s files by name. Raises DataError naming the file that can't be written.
    """
    import torch

    from filterlab.models import artifact

    digest = curves.write(out, fitted.epochs[1:], best_epoch=fitted.best_epoch, monitor=config.trainer.monitor)
    return artifact.save(
        out / "models",
        fitted.predictor.network,
        model=config.model,
        card=card,
        first_layers=torch.stack(
            [epoch.first_layer for epoch in ([fitted.epochs[fitted.best_epoch]] if trial else fitted.epochs)]
        ),
        beside={curves.CURVES.name: digest},
    )


def costs(fitted: "Fitted") -> dict[str, Any]:
    """What no rerun repeats."""
    return {
        "seconds": round(fitted.seconds, 2),
        "images_per_second": round(fitted.images / fitted.seconds, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),  # Linux counts in KiB
        "device": fitted.device,
        "precision": fitted.precision,
        "processor": devices.processor(),
    }
