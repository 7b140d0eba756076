"""One page that shows what was done and what came of it: offline, one file, nothing linked outside itself."""

from pathlib import Path
from typing import Any

from filterlab import files
from filterlab.config import resolved, schema
from filterlab.evaluation import results
from filterlab.models import shapes
from filterlab.pages import page
from filterlab.runs import logging
from filterlab.tracking import NullRun
from filterlab.training import curves

MAKER = "dvc repro report"  # makes what the pipeline's report needs, too
FILTERS = 6  # layers whose weights are on the page at most; a deep network has a hundred


def run(root: Path) -> None:
    """Write results/report.html from what the other stages left in results/; add it to the run.

    Raises DataError: something that the page shows is missing or damaged, or the page can't be written.
    """
    config = resolved.load(root)
    with logging.resumed(config, root) as record:
        add(config, record, out=root)


def add(config: schema.Config, record: NullRun, *, out: Path, maker: str = MAKER) -> None:
    """The same for any run: `out` holds its models/ and its results/, which `maker` makes. Raises DataError as `run` does."""
    path = out / "results/report.html"
    files.write(path, render(config, out, maker=maker))
    record.log_artifact(path)


def render(config: schema.Config, out: Path, *, maker: str = MAKER) -> str:
    """The page; the same text for the same results."""
    data = config.data
    table = curves.read(out)
    kept = table["chosen"].index(1)
    layers = shapes.layers(config.model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes))
    return page.render(
        "report.html.jinja",
        config=config,
        resolved=page.read(out / resolved.RESOLVED, maker=maker),
        metrics=results.metrics(out),
        per_class=results.per_class(out),
        numbered=numbered(data.classes),
        epochs=len(table["epoch"]),
        kept={name: column[kept] for name, column in table.items()},
        layers=layers,
        parameters=shapes.parameter_count(layers),
        figures=figures(out / "results/figures", layers, maker=maker),
    )


def numbered(classes: list[str]) -> bool:
    """Whether figures number the classes, as no font has their letters; see `style.drawable`."""
    if all(name.isascii() for name in classes):
        return False
    from filterlab.visualization.style import drawable  # brings matplotlib

    return drawable(classes) != classes


def figures(folder: Path, layers: list[shapes.LayerShape], *, maker: str) -> dict[str, Any]:
    """The pictures as data URIs, by the section they stand in; lists for the sections whose number depends on the network.

    What else there is stands in a section of its own, with its name.
    Of more than FILTERS layers' weights, as many evenly spaced over the depth, the first and the last among them.
    """
    order = [layer.name for layer in layers]
    weights = sorted(
        (path for path in folder.glob("filters/*.png") if path.stem in order), key=lambda path: order.index(path.stem)
    )
    maps = [path for path in folder.glob("feature_maps/class_*.png") if path.stem.removeprefix("class_").isdecimal()]
    # A sweep's training has neither, and where filters are no pictures there is no development.
    by_epoch, development = (folder / f"filters/{name}.png" for name in ("by_epoch", "development"))
    single = ["training/examples", "training/curves", "layers/compared", "layers/embedding"]
    single += [f"evaluation/{name}" for name in ("confusion_matrix", "mistakes", "calibration", "per_class")]
    optimised = [folder / f"optimised/{name}.png" for name in ["classes", *order]]
    optimised = [path for path in optimised if path.exists()]
    others = {*folder.glob("*/*.png")} - {
        *weights,
        *maps,
        *optimised,
        by_epoch,
        development,
        *(folder / f"{name}.png" for name in single),
    }
    drawn = len(weights)
    if drawn > FILTERS:
        from filterlab.visualization.style import spaced  # brings matplotlib, which only such a network has to wait for

        weights = [weights[place] for place in spaced(drawn, limit=FILTERS)]
    return {
        **{name.rpartition("/")[2]: page.uri(folder / f"{name}.png", maker=maker) for name in single},
        "others": [(path.stem.replace("_", " "), page.uri(path, maker=maker)) for path in sorted(others)],
        "by_epoch": page.uri(by_epoch, maker=maker) if by_epoch.exists() else "",
        "optimised": [page.uri(path, maker=maker) for path in optimised],
        "development": page.uri(development, maker=maker) if development.exists() else "",
        "filters": [page.uri(path, maker=maker) for path in weights],
        "filters_left_out": drawn - len(weights),
        "feature_maps": [
            page.uri(path, maker=maker) for path in sorted(maps, key=lambda path: int(path.stem.removeprefix("class_")))
        ],
    }
