"""One page that shows what was done and what came of it: offline, one file, nothing linked outside itself."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filterlab import files
from filterlab.config import resolved, schema
from filterlab.data.arrays import CARD, Card
from filterlab.evaluation import results
from filterlab.models import folder, shapes
from filterlab.pages import page
from filterlab.pages.chart import Line, chart
from filterlab.runs import facts, logging
from filterlab.tracking import NullRun
from filterlab.training import curves
from filterlab.visualization import views

PAGE = Path("results/report.html")
MAKER = "dvc repro report"  # makes what the pipeline's report needs, too
FILTERS = 6  # layers whose weights are on the page at most; a deep network has a hundred


def run(root: Path) -> None:
    """Write results/report.html from what the other stages left in results/; add it to the run.

    Raises DataError: something that the page shows is missing or damaged, or the page can't be written.
    """
    config = resolved.load(root)
    with logging.resumed(config, root) as record, facts.timed(root, "report", record):
        data, path = root / "data/processed", root / PAGE
        files.write(path, render(config, data=data, out=root))
        with tempfile.TemporaryDirectory() as scratch:  # DVC's page is the same after each rerun, and knows no times
            whole = Path(scratch) / path.name
            files.write(whole, render(config, data=data, out=root, ran=facts.read(root)))
            record.log_artifact(whole)


def add(config: schema.Config, record: NullRun, *, data: Path, out: Path, ran: Mapping[str, Any], maker: str) -> None:
    """The same for any run: `out` holds its models/ and its results/, which `maker` makes. `data` holds train/.

    ran: what no rerun repeats, as results/run.json has it. Raises DataError as `run` does.
    """
    files.write(out / PAGE, render(config, data=data, out=out, ran=ran, maker=maker))
    record.log_artifact(out / PAGE)


def render(config: schema.Config, *, data: Path, out: Path, ran: Mapping[str, Any] | None = None, maker: str = MAKER) -> str:
    """The page; the same text for the same results."""
    section = config.data
    size = {name: getattr(section, name) for name in ("channels", "height", "width")}
    table = curves.read(out)
    kept = table["chosen"].index(1)
    layers = shapes.layers(config.model, **size, classes=len(section.classes))
    times = facts.times(out, ran or {})
    card = Card.load(data / "train" / CARD)
    return page.render(
        "report.html.jinja",
        config=config,
        resolved=page.read(out / resolved.RESOLVED, maker=maker),
        metrics=results.metrics(out),
        per_class=results.per_class(out),
        numbered=numbered(section.classes),
        epochs=len(table["epoch"]),
        kept={name: column[kept] for name, column in table.items()},
        charts=[draw(what, table, kept=kept) for what in ("accuracy", "loss")],
        layers=layers,
        parameters=shapes.parameter_count(layers),
        notes=card.notes,
        found=found(views.read(out, maker=maker)),
        figures=figures(out / "results/figures", layers, maker=maker),
        known=[
            ("data", f"{section.name}, digest {Card.load(data / 'train' / CARD).digest[:12]}"),
            ("model", f"{folder.WEIGHTS}, SHA-256 {folder.describe(out / 'models')['files'][folder.WEIGHTS][:12]}"),
            ("configuration", f"{resolved.key(config)}, seed {config.seed}"),
        ],
        ran=facts.told(ran or {}),
        other=ran["run_id"][:8] if ran and maker != MAKER else "",
        times=times,
        played=ran is None or (out / "results/play.html").exists(),  # the pipeline makes both
        longest=max((seconds for _, seconds in times), default=1.0),
    )


def draw(what: str, table: Mapping[str, list[float]], *, kept: int) -> dict[str, Any]:
    """The curves of accuracy or loss; `kept`: the place of the epoch whose weights are the network's."""
    lines = [Line("validation", table[f"validation/{what}"]), Line("training", table[f"train/{what}"], color=1)]
    return chart(what.capitalize(), lines, share=what == "accuracy", marked=kept + 1)


def found(measured: Mapping[str, Any]) -> dict[str, str]:
    """What came of the checks of the views, a sentence each, by view; see views.py."""
    layers = measured["filters"]["layers"].values()
    filters, silent, twins = (sum(layer[what] for layer in layers) for what in ("channels", "silent", "twins"))
    optimised = measured["optimised"]["layers"].values()
    tried, above = sum(each["channels"] for each in optimised), sum(round(each["channels"] * each["above"]) for each in optimised)
    by_method = dict(measured["explained"]["by_method"])
    chance = by_method.pop("random")
    beats: dict[int, list[str]] = {2: [], 1: [], 0: []}
    for name, areas in by_method.items():
        beats[(areas["deletion"] < chance["deletion"]) + (areas["insertion"] > chance["insertion"])].append(name)
    words = {2: "better than random in both", 1: "in one of the two", 0: "in neither"}
    return {
        "filters": f"Over all training images: of {filters:,} filters {silent:,} answer none of them (they are dead), and "
        f"{twins:,} are much like an earlier one of their layer.",
        "optimised": "What came of it: each class's picture is taken for that class with a probability of "
        f"{measured['optimised']['classes']['least_probability']:.1%} or more, and {above:,} of {tried:,} filters answer their "
        "picture more than any training image.",
        "explained": f"On {measured['explained']['images']:,} validation images: "
        + "; ".join(f"{words[count]}: {', '.join(names)}" for count, names in beats.items() if names)
        + ".",
    }


def numbered(classes: list[str]) -> bool:
    """Whether figures number the classes, as no font has their letters; see `style.drawable`."""
    if all(name.isascii() for name in classes):
        return False
    from filterlab.visualization.style import drawable  # brings matplotlib

    return drawable(classes) != classes


def figures(place: Path, layers: list[shapes.LayerShape], *, maker: str) -> dict[str, Any]:
    """The pictures as data URIs, by the section they stand in; lists for the sections whose number depends on the network.

    What else there is stands in a section of its own, with its name.
    Of more than FILTERS layers' weights, as many evenly spaced over the depth, the first and the last among them.
    """
    order = [layer.name for layer in layers]
    weights = sorted(
        (path for path in place.glob("filters/*.png") if path.stem in order), key=lambda path: order.index(path.stem)
    )
    maps = [path for path in place.glob("feature_maps/class_*.png") if path.stem.removeprefix("class_").isdecimal()]
    # A sweep's training has neither, and where filters are no pictures there is no development.
    by_epoch, development = (place / f"filters/{name}.png" for name in ("by_epoch", "development"))
    single = ["training/examples", "layers/compared", "layers/embedding"]
    single += [f"explained/{name}" for name in ("answers", "mistakes", "checks")]
    single += [f"evaluation/{name}" for name in ("confusion_matrix", "mistakes", "calibration", "per_class")]
    optimised = [place / f"optimised/{name}.png" for name in ["classes", *order]]
    optimised = [path for path in optimised if path.exists()]
    others = {*place.glob("*/*.png")} - {
        *weights,
        *maps,
        *optimised,
        by_epoch,
        development,
        place / "training/curves.png",  # which the page draws itself
        *(place / f"{name}.png" for name in single),
    }
    drawn = len(weights)
    if drawn > FILTERS:
        from filterlab.visualization.style import spaced  # brings matplotlib, which only such a network has to wait for

        weights = [weights[number] for number in spaced(drawn, limit=FILTERS)]
    return {
        **{
            (name if name == "explained/mistakes" else name.rpartition("/")[2]): page.image(place / f"{name}.png", maker=maker)
            for name in single
        },
        "others": [(path.stem.replace("_", " "), page.image(path, maker=maker)) for path in sorted(others)],
        "by_epoch": page.image(by_epoch, maker=maker) if by_epoch.exists() else None,
        "optimised": [page.image(path, maker=maker) for path in optimised],
        "development": page.image(development, maker=maker) if development.exists() else "",
        "filters": [page.image(path, maker=maker) for path in weights],
        "filters_left_out": drawn - len(weights),
        "feature_maps": [
            page.image(path, maker=maker) for path in sorted(maps, key=lambda path: int(path.stem.removeprefix("class_")))
        ],
    }
