"""One page that shows what was done and what came of it: offline, one file, nothing linked outside itself."""

import base64
import json
from pathlib import Path
from typing import Any

import jinja2

from filterlab.config import compose, schema
from filterlab.errors import DataError
from filterlab.models import shapes
from filterlab.stages import curves, runs

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def run(root: Path) -> None:
    """Write results/report.html from what the other stages left in results/; add it to the run.

    Raises DataError: something that the page shows is missing.
    """
    config = compose.load(root)
    with runs.resumed(config, root) as record:
        path = root / "results/report.html"
        path.write_text(render(config, root / "results"), encoding="utf-8")
        record.log_artifact(path)


def render(config: schema.Config, results: Path) -> str:
    """The page; the same text for the same results."""
    data = config.data
    table = curves.read(results / "curves.csv")
    kept = table["chosen"].index(1)
    layers = shapes.layers(config.model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        config=config,
        receipt=read(results / "config.yaml"),
        metrics=json.loads(read(results / "metrics.json")),
        epochs=len(table["epoch"]),
        kept={name: column[kept] for name, column in table.items()},
        layers=layers,
        parameters=shapes.parameter_count(layers),
        figures=figures(results / "figures", layers),
    )


def figures(folder: Path, layers: list[shapes.LayerShape]) -> dict[str, Any]:
    """The pictures as data URIs, by the section they stand in; lists for the sections whose number depends on the network."""
    order = [layer.name for layer in layers]
    weights = [path for path in folder.glob("filters/*.png") if path.stem in order]
    maps = folder.glob("feature_maps/class_*.png")
    single = ["training/examples", "training/curves", "filters/by_epoch"]
    single += [f"evaluation/{name}" for name in ("confusion_matrix", "mistakes", "calibration", "per_class")]
    return {
        **{name.rpartition("/")[2]: uri(folder / f"{name}.png") for name in single},
        "filters": [uri(path) for path in sorted(weights, key=lambda path: order.index(path.stem))],
        "feature_maps": [uri(path) for path in sorted(maps, key=lambda path: int(path.stem.removeprefix("class_")))],
    }


def uri(path: Path) -> str:
    if not path.exists():
        raise DataError(f"{path} is missing: `dvc repro report` makes what the report needs")
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def read(path: Path) -> str:
    if not path.exists():
        raise DataError(f"{path} is missing: `dvc repro report` makes what the report needs")
    return path.read_text(encoding="utf-8")
