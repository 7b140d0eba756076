"""`filterlab compare RUN RUN ...`: one page of what tells some runs apart: configuration, curves, filters, maps, mistakes."""

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filterlab import console, files, seal, tracking
from filterlab.commands import of_run
from filterlab.config import document, schema
from filterlab.data import arrays
from filterlab.data.arrays import LabelledImages
from filterlab.errors import DataError, UserError
from filterlab.evaluation import results
from filterlab.models import folder, shapes
from filterlab.pages import page
from filterlab.pages.chart import COLORS, Line, chart
from filterlab.runs import folder as folders
from filterlab.runs.logging import DATA
from filterlab.study import statistics, table
from filterlab.sweeps import trained
from filterlab.sweeps.trained import Trained
from filterlab.training import curves
from filterlab.visualization import side_by_side

FOLDER = Path("results/compare")
PICTURES = 60  # of those on which runs differ, at most


@dataclass(frozen=True)
class Compared:
    """A run, and what was measured of it.

    Attributes:
        letter: what the page calls it.
        said: (N,) the class that it gives to each test picture.
        data: the folder of its data; test_set: the digest of its test pictures.
    """

    letter: str
    chosen: Trained
    metrics: dict[str, Any]
    said: np.ndarray
    data: Path
    test_set: str


def run(root: Path, runs: Sequence[str]) -> None:
    """Write results/compare/<ids>.html, add it to each run, and print where it lies.

    Raises UserError: these are not two runs or more, or more than the page has colors for; and as `trained.bring` does.
    """
    if not 2 <= len(runs) <= COLORS:
        raise UserError(f"compare takes 2 to {COLORS} runs, and {len(runs)} {'was' if len(runs) == 1 else 'were'} given")
    chosen = trained.bring_all(root, runs)
    if len({each.run.id for each in chosen}) < len(chosen):
        raise UserError(f"compare was given the same run twice: {', '.join(each.run.id[:8] for each in chosen)}")
    compared = [measured(root, each, letter) for letter, each in zip("ABCDEF", chosen, strict=False)]
    path = root / FOLDER / f"{'_'.join(each.run.id[:8] for each in chosen)}.html"
    files.write(path, render(compared))
    for each in chosen:
        with tracking.resume(each.settings, root=root, run_id=each.run.id, restore=lambda _: None) as record:
            record.log_artifact(path, folder="compare")
    lines = {f"run {each.letter}": f"{each.chosen.name}, {each.metrics['accuracy']:.2%} of the test set" for each in compared}
    print(console.facts({**lines, "page": str(path.relative_to(root))}))


def measured(root: Path, chosen: Trained, letter: str) -> Compared:
    """Measured on the test set now, unless this very network was on these very pictures."""
    data, note = trained.find_data(root, chosen), chosen.out / of_run.MEASURED
    with folders.alone(chosen.out):
        known = note.exists() and seal.read(note, remedy="remove it") == of_run.measured_on(chosen, data)
        if not known:
            print(f"run {letter}, {chosen.name}, is measured on the test set, and marked as measured on it", flush=True)
            of_run.add(root, chosen, "evaluate")
    card = arrays.Card.load(data / "test" / arrays.CARD)
    metrics = results.metrics(chosen.out)
    return Compared(letter, chosen, metrics, predictions(chosen.out, card.classes, metrics), data, card.digest)


def predictions(out: Path, classes: list[str], metrics: Mapping[str, Any]) -> np.ndarray:
    """(N,) the class given to each test picture. Raises DataError: evaluate's file is damaged, or not of its metrics."""
    path, number = out / results.PER_CLASS.parent / "predictions.csv", {name: k for k, name in enumerate(classes)}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [(number[row["actual"]], number[row["predicted"]]) for row in csv.DictReader(lines)]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): remove {out}, and it is made anew") from error
    found = np.array(rows).reshape(-1, 2)
    if (len(found), int((found[:, 0] != found[:, 1]).sum())) != (metrics["examples"], metrics["errors"]):
        raise DataError(f"{path} does not agree with {out / results.METRICS}: remove {out}, and both are made anew")
    return found[:, 1]


def render(compared: Sequence[Compared]) -> str:
    """The page; the same text for the same runs."""
    first = compared[0]
    same_test = len({each.test_set for each in compared}) == 1
    test = arrays.load(first.data / "test")[1]["test"]
    learned = [curves.read(each.chosen.out) for each in compared]
    pairs = [pair(a, b, test) for a, b in itertools.combinations(compared, 2)] if same_test else []
    differ = different(compared, test) if same_test else np.array([], dtype=int)
    return page.render(
        "compare.html.jinja",
        runs=[about(each, place, table) for place, (each, table) in enumerate(zip(compared, learned, strict=True))],
        differing=differing([each.chosen.config for each in compared]),
        other_data=len({each.chosen.run.tags.get(DATA) for each in compared}) > 1,
        charts=[overlaid(what, compared, learned) for what in ("accuracy", "loss")],
        sides=sides(compared, test.images[differ[0] if len(differ) else 0] if same_test else None),
        pairs=pairs,
        examples=len(test),
        pictures=pictures(compared, test, differ[:PICTURES]),
        differ=len(differ),
    )


def about(compared: Compared, place: int, learned: Mapping[str, list[float]]) -> dict[str, Any]:
    """A run's row in the first table."""
    run, config, kept = compared.chosen.run, compared.chosen.config, learned["chosen"].index(1)
    data = config.data
    layers = shapes.layers(config.model, channels=data.channels, height=data.height, width=data.width, classes=len(data.classes))
    return {
        "letter": compared.letter,
        "color": place,
        "id": run.id,
        "name": run.name,
        "data": data.name,
        "commit": run.tags.get("mlflow.source.git.commit", "")[:10],
        "parameters": shapes.parameter_count(layers),
        "epoch": f"{learned['epoch'][kept]:.0f} of {len(learned['epoch'])}",
        "seconds": run.metrics.get("training/seconds"),
        "validation": learned["validation/accuracy"][kept],
        "metrics": compared.metrics,
    }


def differing(configs: Sequence[schema.Config]) -> list[tuple[str, list[str]]]:
    """The keys whose values differ, and the values; where the history lives, and where data are fetched from, is left out."""
    trees = [dict(flat(asdict(config))) for config in configs]
    keys = [key for key in dict.fromkeys(itertools.chain(*trees)) if not key.startswith(("tracking.", "data.mirrors"))]
    rows = [(key, [written(tree[key]) if key in tree else "" for tree in trees]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def flat(tree: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; what a list of layers says of each, too, by the layer's place in it, from 1."""
    for key, leaf in document.leaves(tree):
        if isinstance(leaf, list) and leaf and isinstance(leaf[0], dict):
            for place, each in enumerate(leaf, start=1):
                yield from document.leaves(each, f"{key}.{place}.")
        else:
            yield key, leaf


def written(leaf: Any) -> str:
    return "none" if leaf == [] else table.short_value(str(leaf))


def overlaid(what: str, compared: Sequence[Compared], learned: Sequence[Mapping[str, list[float]]]) -> dict[str, Any]:
    """The curves of all on validation and, of two or three, on training."""
    parts = ("validation", "train") if len(compared) <= 3 else ("validation",)
    lines = [
        Line(f"{each.letter} {'training' if part == 'train' else part}", table[f"{part}/{what}"], place, part == "train")
        for place, (each, table) in enumerate(zip(compared, learned, strict=True))
        for part in parts
    ]
    return chart(what.capitalize(), lines, share=what == "accuracy")


def sides(compared: Sequence[Compared], common: np.ndarray | None) -> list[dict[str, Any]]:
    """What the first layer of each looks like, and its maps of the image (C, H, W), or else of a validation image of its own."""
    from filterlab.models import artifact
    from filterlab.visualization.trained import typical

    found = []
    for place, each in enumerate(compared):
        predictor = artifact.load(each.chosen.out / "models")
        image = typical(arrays.load(each.data / "train")[1]["validation"]) if common is None else common
        filters, shown = side_by_side.first_filters(folder.first_layers(each.chosen.out / "models")[-1], shape=predictor.shape)
        found.append(
            {
                "letter": each.letter,
                "color": place,
                "name": each.chosen.run.name,
                "filters": page.picture(filters),
                "shown": shown,
                "image": page.picture(side_by_side.picture(image)),
                "maps": [(name, n, page.picture(drawn)) for name, n, drawn in side_by_side.maps(predictor, image)],
            }
        )
    return found


def pair(a: Compared, b: Compared, test: LabelledImages) -> dict[str, Any]:
    """McNemar's test of two runs."""
    found = statistics.mcnemar(a.said == test.labels, b.said == test.labels)
    return {"a": a.letter, "b": b.letter, "found": found, "better": a.letter if found.difference > 0 else b.letter}


def different(compared: Sequence[Compared], test: LabelledImages) -> np.ndarray:
    """The places of the test pictures that are not given the same class by all: first those that some have right."""
    said = np.stack([each.said for each in compared])
    places = np.flatnonzero((said != said[0]).any(axis=0))
    none_right = ~(said[:, places] == test.labels[places]).any(axis=0)
    return places[np.argsort(none_right, kind="stable")]


def pictures(compared: Sequence[Compared], test: LabelledImages, places: np.ndarray) -> list[dict[str, Any]]:
    """Those test pictures, what they are, and what each run says and how sure it is of that."""
    if not len(places):
        return []
    from filterlab.evaluation.metrics import softmax
    from filterlab.evaluation.predict import predict
    from filterlab.models import artifact

    classes, images = compared[0].chosen.config.data.classes, np.ascontiguousarray(test.images[places])
    sure = [softmax(predict(artifact.load(each.chosen.out / "models"), images)) for each in compared]
    return [
        {
            "picture": page.picture(side_by_side.picture(images[row])),
            "place": int(place),
            "actual": classes[test.labels[place]],
            "said": [
                (
                    each.letter,
                    classes[each.said[place]],
                    float(shares[row, each.said[place]]),
                    each.said[place] == test.labels[place],
                )
                for each, shares in zip(compared, sure, strict=True)
            ],
        }
        for row, place in enumerate(places)
    ]
