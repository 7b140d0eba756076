"""evaluate, visualize and report in turn, on a small network and small data: what they write, and that it repeats."""

import csv
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from filterlab import files, seal
from filterlab.config import compose, resolved, schema
from filterlab.data import arrays
from filterlab.data.arrays import Card, LabelledImages, digest
from filterlab.data.prepare import made_from
from filterlab.errors import DataError, UserError
from filterlab.evaluation import summary
from filterlab.models import artifact, registry
from filterlab.repository import folder_md5
from filterlab.runs import facts
from filterlab.stages import evaluate, play, report, visualize
from filterlab.visualization import maximise

CONF = Path(__file__).parents[2] / "conf"
NETWORKS = {
    "softmax": ["model=softmax"],
    "mlp": ["model=mlp", "model.hidden=[12]"],
    "lenet5": ["model=lenet5"],
    "tutorial_cnn": ["model=tutorial_cnn", "model.filters=4", "model.kernel=16"],
    "conv_net": ["model=conv_net", "model.layers=[{filters:4,kernel:3,pool:2,batch_norm:true}]", "model.head=global_max"],
    "resnet": ["model=resnet", "model.depth=8", "model.width=4"],
}


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maximise, "OF_CHANNELS", maximise.Ascent(steps=2, starts=1))
    monkeypatch.setattr(maximise, "OF_CLASSES", maximise.Ascent(steps=2, starts=1))


def make(root: Path, overrides: list[str], *, conf: Path = CONF) -> schema.Config:
    """A root as the stages before evaluate leave it, without training."""
    config = compose.compose(conf, ["data=fashion_mnist", "tracking=off", *overrides])
    (root / "results").mkdir()
    (root / resolved.RESOLVED).write_text(resolved.dump(config), encoding="utf-8")
    draw = np.random.default_rng(0)
    data = config.data
    for folder, counts in [("train", {"train": 60, "validation": 30}), ("test", {"test": 1005})]:
        parts = {}
        for name, n in counts.items():
            labels = draw.permutation(np.arange(n, dtype=np.uint8) % 10)
            parts[name] = LabelledImages(images=draw.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), labels=labels)
        card = Card(data.name, data.classes, 1, 28, 28, counts, 0.5, 0.3, digest(parts), made_from(data))
        arrays.save(root / "data/processed" / folder, parts, card)
    network = registry.build(config.model, channels=1, height=28, width=28, classes=10, seed=0)
    weights = [m.weight.detach() for kind in (torch.nn.Conv2d, torch.nn.Linear) for m in network.modules() if isinstance(m, kind)]
    layers = torch.stack([weights[0], weights[0] + 0.1, weights[0] - 0.1])
    curves = files.write(
        root / "results/curves.csv",
        "epoch,lr,train/loss,train/accuracy,validation/loss,validation/accuracy,chosen\n1,0.1,1.5,0.5,1.25,0.625,1\n2,0.1,1.0,0.7,1.5,0.5,0\n",
    )
    described = dataclasses.asdict(card)
    beside = {"curves.csv": curves}
    artifact.save(root / "models", network, model=config.model, card=described, first_layers=layers, beside=beside)
    seal.write(root / "results/run.json", {"run_id": "", "models": folder_md5(root / "models")})
    return config


def run(root: Path) -> dict[str, bytes]:
    for stage in (evaluate, visualize, play, report):
        stage.run(root)
    found = [path for path in sorted((root / "results").rglob("*")) if path.is_file() and path != root / facts.SECONDS]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


class Links(HTMLParser):
    """Everything a page loads or points to."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data", "poster")]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture(name: str, tmp_path: Path) -> None:
    make(tmp_path, NETWORKS[name])
    written = run(tmp_path)
    page = written["results/report.html"].decode()
    links = Links(page)
    assert all(link.startswith(("data:", "#")) or link == "play.html" for link in links.found), links.found
    assert links.tags.count("script") == 1 and "fetch" not in page and "@import" not in page and "url(" not in page
    pictures = [path for path in written if path.startswith("results/figures/") and path.endswith(".png")]
    weights = [path for path in pictures if re.search(r"/filters/(?!by_epoch|development)", path)]
    network = artifact.load(tmp_path / "models").network
    tiles = [Path(path).stem for path in written if path.startswith("results/tiles/")]
    assert len(tiles) >= 2 and all(f'"{name}":"data:image/png' in written["results/play.html"].decode() for name in tiles)
    assert len(weights) == max(1, sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())), "every convolution's"
    shown = links.tags.count("img")
    assert len(re.findall(r'<img src="data:image/png;base64,[^"]+" width="\d+" height="\d+"', page)) == shown
    assert shown == len([link for link in links.found if link.startswith("data:image")])
    assert shown == len(pictures) - max(0, len(weights) - report.FILTERS) - 1, "the curves are drawn by the page"
    assert page.count("<polyline") == 4 and page.count("<h2>") > 8 and "<small>fashion_mnist" not in page
    assert "taught to be unsure" in page and "best that it could say of a training image was\n91 %" in page
    assert (f"({len(weights) - report.FILTERS} more in results/figures/filters/)" in page) == (name == "resnet")
    assert sum(path.startswith("results/figures/feature_maps/") for path in pictures) == (0 if name in ("softmax", "mlp") else 10)
    assert "fashion_mnist" in page and f"validation images the network had {62.5:.2f} %" in " ".join(page.split())
    assert len(written["results/report.html"]) < 10e6


def test_reruns_give_the_same_bytes_and_count_every_test_image(tmp_path: Path) -> None:
    make(tmp_path, NETWORKS["conv_net"])
    first = run(tmp_path)
    assert run(tmp_path) == first
    metrics = json.loads(first["results/metrics.json"])
    rows = list(csv.DictReader(first["results/evaluation/predictions.csv"].decode().splitlines()))
    assert metrics["examples"] == len(rows) == 1005
    assert metrics["errors"] == sum(row["actual"] != row["predicted"] for row in rows)
    scores = list(csv.DictReader(first["results/evaluation/per_class.csv"].decode().splitlines()))
    assert [int(score["support"]) for score in scores] == [
        sum(row["actual"] == score["class"] for row in rows) for score in scores
    ]
    assert sum(int(score["support"]) for score in scores) == 1005
    assert sum(float(score["f1"]) for score in scores) / 10 == pytest.approx(metrics["macro"]["f1"], rel=1e-12)
    page = first["results/report.html"].decode()
    for score in scores:
        numbers = "".join(f"<td>{float(score[name]):.4f}</td>" for name in ("precision", "recall", "f1"))
        assert f"<tr><td>{score['class']}</td><td>{int(score['support']):,}</td>{numbers}</tr>" in page
    bins = list(csv.DictReader(first["results/evaluation/calibration.csv"].decode().splitlines()))
    assert len(bins) == 15 and sum(int(row["count"]) for row in bins) == 1005
    assert all((row["accuracy"] == "") == (row["count"] == "0") for row in bins)


def test_only_evaluate_reads_the_test_set(tmp_path: Path) -> None:
    make(tmp_path, NETWORKS["conv_net"])
    evaluate.run(tmp_path)
    for path in (tmp_path / "data/processed/test").iterdir():
        path.unlink()
    visualize.run(tmp_path)
    report.run(tmp_path)


def test_what_users_wrote_is_escaped(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    own = tmp_path / "conf/data/fashion_mnist.yaml"
    own.write_text(own.read_text().replace("name: fashion_mnist", "name: <b>&"))
    make(tmp_path, NETWORKS["softmax"], conf=tmp_path / "conf")
    assert "<b>" not in run(tmp_path)["results/report.html"].decode()


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    make(tmp_path, NETWORKS["softmax"])
    with pytest.raises(DataError, match=r"evaluation/digests\.json is missing: `dvc repro evaluate` makes it anew"):
        report.run(tmp_path)
    evaluate.run(tmp_path)
    (tmp_path / "results/evaluation/per_class.csv").unlink()
    with pytest.raises(DataError, match=r"per_class\.csv is missing"):
        report.run(tmp_path)
    (tmp_path / "results/metrics.json").write_text('{"data": ')
    with pytest.raises(DataError, match=r"metrics\.json is damaged"):
        report.run(tmp_path)
    (tmp_path / "results/curves.csv").write_text("")
    with pytest.raises(DataError, match=r"curves\.csv is damaged"):
        report.run(tmp_path)
    (tmp_path / "results/curves.csv").unlink()
    with pytest.raises(DataError, match=r"curves\.csv is missing"):
        report.run(tmp_path)


def test_a_damaged_file_of_first_layers_is_one_sentence(tmp_path: Path) -> None:
    make(tmp_path, NETWORKS["softmax"])
    path = tmp_path / "models/filters.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"filters\.safetensors is damaged, or not the file that was written: .*; train a model"):
        visualize.run(tmp_path)
    assert not (tmp_path / "results/figures").exists()


@pytest.mark.parametrize(
    ("words", "said"), [(["model=mlp"], r"model is \{'name': 'softmax'\}"), (["data=mnist"], "data is fashion_mnist")]
)
def test_a_model_of_another_configuration_is_not_shown_as_its_own(tmp_path: Path, words: list[str], said: str) -> None:
    """The parameters were changed, compose was run, and no training since."""
    make(tmp_path, NETWORKS["softmax"])
    names = [word.partition("=")[0] for word in words]
    base = [word for word in ["data=fashion_mnist", *NETWORKS["softmax"]] if word.partition("=")[0] not in names]
    config = compose.compose(CONF, ["tracking=off", *base, *words])
    (tmp_path / resolved.RESOLVED).write_text(resolved.dump(config), encoding="utf-8")
    for stage in (evaluate, visualize, play, report):
        with pytest.raises(
            DataError, match=rf"^models/ holds another network than results/config.yaml says \({said}\): `dvc repro`"
        ):
            stage.run(tmp_path)


@pytest.mark.parametrize(
    ("yielded", "expected"),
    [
        ([("FOLDER/mine", Figure()), ("FOLDER/mine", Figure())], "yields the key 'FOLDER/mine', which another figure has"),
        ([("mine/x", Figure())], "yields the key 'mine/x', expected .*FOLDER/NAME.*: no other figure is kept"),
        ([("x", Figure())], "yields the key 'x', expected .*FOLDER/NAME"),
        ([("FOLDER/../x", Figure())], r"yields the key 'FOLDER/\.\./x', expected .*FOLDER/NAME"),
        ([Figure()], "yields Figure: it has to yield each figure with its key"),
        (("FOLDER/mine", Figure()), "returns tuple: it has to yield each figure with its key"),
        (None, "returns NoneType: it has to yield each figure with its key"),
    ],
)
@pytest.mark.parametrize(("stage", "folder"), [(visualize, "training"), (evaluate, "evaluation")])
def test_a_figure_that_would_be_lost(
    stage: ModuleType, folder: str, yielded: Any, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a function that is added, which yields a list's entries, or returns what it is given; nothing is written then."""
    make(tmp_path, NETWORKS["softmax"])

    def mine(subject: object) -> object:
        filled = [(g[0].replace("FOLDER", folder), g[1]) if isinstance(g, tuple) else g for g in yielded or []]
        return iter(filled) if isinstance(yielded, list) else yielded

    monkeypatch.setattr(stage, "FIGURES", [*stage.FIGURES, mine])
    with pytest.raises(UserError, match="mine " + expected.replace("FOLDER", folder)):
        stage.run(tmp_path)
    assert [path.name for path in (tmp_path / "results").iterdir() if path.is_dir()] == []


def test_a_figure_of_ones_own_is_shown_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, NETWORKS["lenet5"])
    keys = ["training/mine", "filters/my_norms", "feature_maps/class_mean"]
    monkeypatch.setattr(visualize, "FIGURES", [*visualize.FIGURES, lambda subject: ((key, Figure()) for key in keys)])
    page = run(tmp_path)["results/report.html"].decode()
    for name in ("mine", "my norms", "class mean"):
        assert f'alt="{name}, fashion_mnist, lenet5"' in page


def test_a_metric_that_is_no_number_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, NETWORKS["softmax"])
    monkeypatch.setitem(summary.METRICS, "mine", lambda evaluation: float("nan"))
    with pytest.raises(UserError, match="the metric mine is nan, expected a finite number"):
        evaluate.run(tmp_path)
    assert not (tmp_path / "results/metrics.json").exists()


def test_what_the_views_measured_is_said_as_it_is() -> None:
    measured = {
        "filters": {
            "layers": {"conv1": {"channels": 8, "silent": 1, "twins": 0}, "conv2": {"channels": 12, "silent": 2, "twins": 3}}
        },
        "optimised": {
            "layers": {"conv1": {"channels": 8, "above": 0.5}, "conv2": {"channels": 12, "above": 1.0}},
            "classes": {"least_probability": 0.4567},
        },
        "explained": {
            "images": 40,
            "by_method": {
                "occlusion": {"deletion": 0.1, "insertion": 0.7},
                "Grad-CAM": {"deletion": 0.1, "insertion": 0.2},
                "guided backpropagation": {"deletion": 0.9, "insertion": 0.2},
                "random": {"deletion": 0.3, "insertion": 0.4},
            },
        },
    }
    said = report.found(measured)
    assert "of 20 filters 3 answer none of them (they are dead), and 3 are much like an earlier one" in said["filters"]
    assert "a probability of 45.7% or more, and 16 of 20 filters answer their picture more" in said["optimised"]
    assert said["explained"] == (
        "On 40 validation images: better than random in both: occlusion; in one of the two: Grad-CAM; in neither: "
        "guided backpropagation."
    )
