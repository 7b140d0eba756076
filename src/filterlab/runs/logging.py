"""What is logged to an MLflow run: by train, and by the stages after it, which add to it."""

import dataclasses
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterlab import tracking
from filterlab.config import resolved, schema
from filterlab.config.document import leaves
from filterlab.config.groups import is_within
from filterlab.config.section import plain
from filterlab.data import arrays
from filterlab.data.arrays import Card
from filterlab.errors import DataError
from filterlab.evaluation import results
from filterlab.models import folder
from filterlab.repository import folder_md5
from filterlab.runs import facts
from filterlab.runs.description import describe
from filterlab.tracking.store import MODELS
from filterlab.training import curves, devices

if TYPE_CHECKING:
    import numpy as np

    from filterlab.training.fit import Fitted

CONFIG = "filterlab.config"  # the tag of a training's `resolved.key`
DATA = "filterlab.data"  # the tag of the data set that a run learned from: its digest
PROCESSOR = "filterlab.processor"  # the tag of what the machine of a training computes with
TESTED = "filterlab.test_set"  # the tag of a run that was measured on the test set: the digest of that
THREADS = "filterlab.threads"  # of the CPU: their number decides the order of sums, and so the last bits
RULES = {  # of a picture, see data/own/picture.py
    "pad": "scaled until all of it is in, centred, zeros around it",
    "crop": "scaled until it fills the whole, of which the centre is kept",
    "mnist": "a digit's ink, light on dark, its longer side 20 of 28 pixels, its centre of mass in the middle",
}
LONG = ["data.mirrors", "data.files", "data.classes"]  # in the configuration's artifact; too long for a table's column


def resumed(config: schema.Config, root: Path) -> AbstractContextManager[tracking.NullRun]:
    """The run that trained the model in `root`, to add to; made anew from results/ where the store doesn't know it.

    Raises DataError: results/run.json is damaged; entering it, TrackingError as `tracking.resume` does.
    """
    if (root / "models").exists():
        check(config, root)
    run_id = facts.run_id(root)
    return tracking.resume(config.tracking, root=root, run_id=run_id, restore=lambda run: restore(run, config, root))


def check(config: schema.Config, root: Path) -> None:
    """Raises DataError where the model in `root` is another one than the resolved config says, or was trained on other data."""
    described = folder.describe(root / "models")
    asked = {"model": plain(config.model), "data": config.data.name}
    found = {"model": described["model"], "data": described["data"]["name"]}
    if differ := [name for name in asked if asked[name] != found[name]]:
        differences = ", ".join(f"{name} is {found[name]}" for name in differ)
        raise DataError(
            f"models/ holds another network than {resolved.RESOLVED} says ({differences}): `dvc repro` brings them together"
        )


def restore(run: tracking.NullRun, config: schema.Config, root: Path) -> None:
    """Fill a run from what DVC brought: the configuration, the curves, the metrics, the pictures, the model.

    Raises DataError: some of it is missing or damaged.
    """
    description = describe(config, root / "conf")
    run.set_tags({MODELS: folder_md5(root / "models"), tracking.NAME: description.name, tracking.NOTE: description.note})
    run.log_params(parameters(config))
    run.log_artifact(root / resolved.RESOLVED)
    table = curves.read(root)
    for row in zip(*table.values(), strict=True):
        metrics = dict(zip(table, row, strict=True))
        epoch, chosen = int(metrics.pop("epoch")), metrics.pop("chosen") == 1
        run.log_metrics(metrics, step=epoch)
        if chosen:
            run.log_metrics({"best_epoch": epoch} | best(metrics))
    card, parts = arrays.load(root / "data/processed/train")
    run.set_tags({DATA: card.digest})
    example = parts["train"].images[:1]
    log_model(run, root, rule=config.data.rule, digests=folder.digests(root / "models"), example=example)
    if results.has_metrics(root):
        run.log_metrics(test_metrics(results.metrics(root)))
        if (path := root / "data/processed/test" / arrays.CARD).exists():
            run.set_tags({TESTED: Card.load(path).digest})
    figures = root / "results/figures"
    for path in sorted(figures.rglob("*.png")):
        run.log_image(path.relative_to(figures).with_suffix("").as_posix(), path)
    for path in [figures, root / "results/evaluation", root / "results/report.html", root / "results/play.html"]:
        if path.exists():
            run.log_artifact(path, folder=path.name if path.is_dir() else "")


def log_inputs(run: tracking.NullRun, config: schema.Config, card: Card, *, resolved_config: Path, note: str) -> None:
    """What a training begins with: its description, parameters, resolved config (a file) and data."""
    run.set_tags({tracking.NOTE: note})
    run.log_params(parameters(config))
    run.log_artifact(resolved_config)
    log_dataset(run, config, card, context="training")


def log_dataset(run: tracking.NullRun, config: schema.Config, card: Card, *, context: str) -> None:
    """context: training or evaluation."""
    data = config.data
    source = data.path if isinstance(data, schema.Own) and not data.files else f"data/raw/{data.folder}"
    run.log_dataset(name=card.name, digest=card.digest, source=source, context=context, profile=card.counts)


def log_outcome(
    run: tracking.NullRun,
    fitted: "Fitted",
    out: Path,
    *,
    rule: str,
    digests: Mapping[str, str],
    example: "np.ndarray",
    trial: bool,
) -> None:
    """What a training ends with: its results, times and device, and the model and the curves in `out`; see `log_model`.

    trial: the run has the curves by its metrics, and the first layer by a picture: their files are not logged again.
    """
    run.log_metrics(outcome(fitted))
    run.set_tags({"device": fitted.device, "precision": fitted.precision, "filterlab.state": fitted.state})
    run.set_tags({PROCESSOR: devices.processor()})
    if fitted.device == "cpu":
        run.set_tags({THREADS: fitted.threads})
    kept = {name: digest for name, digest in digests.items() if not (trial and name == folder.FIRST_LAYERS)}
    log_model(run, out, rule=rule, digests=kept, example=example, linked=trial)
    if not trial:
        run.log_artifact(out / curves.CURVES)


def outcome(fitted: "Fitted") -> dict[str, float]:
    """The training in numbers: those of the best epoch, and how long it took."""
    summary = {"best_epoch": fitted.best_epoch, "epochs": len(fitted.epochs) - 1, "training/seconds": fitted.seconds}
    rate = {"training/images_per_second": fitted.images / fitted.seconds}
    return summary | best(fitted.epochs[fitted.best_epoch].metrics) | rate


def best(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of the epoch that was chosen, as the run's results."""
    return {f"best/{name}": number for name, number in metrics.items() if name != "lr"}


def test_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of results/metrics.json as the run's metrics."""
    return {f"test/{name.replace('.', '/')}": number for name, number in leaves(dict(metrics)) if not isinstance(number, str)}


def log_model(
    run: tracking.NullRun, out: Path, *, rule: str, digests: Mapping[str, str], example: "np.ndarray", linked: bool = False
) -> None:
    """The network in out/models.

    Args:
        rule: by which a picture is brought to what the network takes, see `schema.Data.rule`.
        digests: SHA-256 (hex) by name of the files that the training wrote there.
        example: an image (1, C, H, W) uint8, whose answer makes the signature.
        linked: see `NullRun.log_model`.
    """
    from importlib.metadata import version

    import numpy as np

    from filterlab.models import packed, pyfunc

    loader, code = packed.pack()
    data = folder.describe(out / "models")["data"]
    # In sixteenths, which are short as text: MLflow writes it twice, and a pixel of float32 takes up to 20 characters.
    scaled = np.round(example / 255 * 16).astype(np.float32) / np.float32(16)
    run.log_model(
        out / "models",
        digests=digests,
        loader=loader,
        code=code,
        example=scaled,
        output=pyfunc._load_pyfunc(str(out / "models")).predict(scaled),
        linked=linked,
        metadata={
            "classes": data["classes"],
            "input": f"(N, {data['channels']}, {data['height']}, {data['width']}): whole numbers in 0..255, or floats in [0, 1]",
            "rule": f"{rule}: {RULES[rule]}",
        },
        requirements=[f"{package}=={version(package)}" for package in ("torch", "numpy", "safetensors", "omegaconf")],
    )


def parameters(config: schema.Config) -> dict[str, Any]:
    """The configuration as MLflow's parameters: dotted names, without what is too long for a column."""
    return {name: leaf for name, leaf in leaves(dataclasses.asdict(config)) if not is_within(name, LONG)}
