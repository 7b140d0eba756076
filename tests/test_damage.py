"""Every kind of file that is read, damaged: what comes of it is an error in one sentence, or exactly what the sound file gives.

FILTERLAB_MUTATIONS=200 tries so many of each (a minute); the table of what came out is printed with -s.
"""

import dataclasses
import gzip
import hashlib
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from filterlab import files, seal, tracking
from filterlab.config import compose, resolved, schema
from filterlab.data import arrays, idx, sources
from filterlab.data.formats import idx as idx_format
from filterlab.data.prepare import prepare
from filterlab.data.progress import Progress
from filterlab.errors import UserError
from filterlab.evaluation import results
from filterlab.models import artifact, folder, registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.repository import folder_md5
from filterlab.runs import facts, promoted
from filterlab.study.trial import Trial
from filterlab.sweeps import frozen, lineage, record
from filterlab.sweeps import sweep as sweeps
from filterlab.sweeps.sweep import Sweep
from filterlab.tracking.spool import Spool
from filterlab.training import curves
from mutations import KINDS, mutations

CONF = Path(__file__).parents[1] / "conf"
COUNT = int(os.environ.get("FILTERLAB_MUTATIONS", "24"))
FIRST, LABELS = idx_format.FILES["train"].images, idx_format.FILES["train"].labels
MODEL = ConvNet("conv_net", [ConvLayer(3, 3, batch_norm=True)], "flatten", [], 0.0)
LOCK = """\
schema: '2.0'
stages:
  compose:
    cmd: filterlab stage compose
    deps:
    - path: conf
      hash: md5
      md5: 0b6a1b5c6d2f0d8b1ad0c9a6ea3d1a11.dir
      size: 9000
      nfiles: 45
  train:
    cmd: filterlab stage train
    params:
      results/config.yaml:
        seed: 0
        optimizer: {lr: 0.05, name: sgd}
    outs:
    - path: models
      hash: md5
      md5: {md5}.dir
      size: 123456
      nfiles: 3
    - path: results/curves.csv
      hash: md5
      md5: 5f0c1d1b8b1d6ad7d1f1a0a1b7c3d9aa
      size: 200
"""


@dataclass(frozen=True)
class Place:
    """A repository with one of each file; `data` are those of the files in data/raw/MNIST."""

    root: Path
    data: schema.Data
    sweep: Sweep


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root, draw = tmp_path_factory.mktemp("place"), np.random.Generator(np.random.PCG64(0))
    raw, contents = root / "data/raw", {}
    for part, count in [("train", 60), ("test", 20)]:
        contents[idx_format.FILES[part].images] = idx.encode(draw.integers(0, 256, (count, 8, 8), np.uint8))
        contents[idx_format.FILES[part].labels] = idx.encode(np.arange(count, dtype=np.uint8) % 10)
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in contents.items()}
    for name, content in packed.items():
        files.write(root / "mirror" / name, content)
    md5 = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in packed.items()}
    config = compose.compose(CONF, ["model=softmax"])
    data = dataclasses.replace(config.data, height=8, width=8, files=md5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(sources.VARIABLE, str(root / "mirror"))
        sources.download(data, raw=raw, partial=root / "data/partial", progress=Progress())
    made = prepare(data, raw=raw)
    arrays.save(root / "data/processed/train", {"train": made.train, "validation": made.validation}, made.train_card)

    network = registry.build(MODEL, channels=1, height=8, width=8, classes=10, seed=0)
    card, layers = dataclasses.asdict(made.train_card), torch.rand(3, 3, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    table = ",".join(curves.COLUMNS) + "\n1,0.1,1.5,0.5,1.25,0.625,1\n2,0.1,1.0,0.75,1.5,0.5,0\n"
    beside = {curves.CURVES.name: files.write(root / curves.CURVES, table)}
    artifact.save(root / "models", network, model=MODEL, card=card, first_layers=layers, beside=beside)
    models = folder_md5(root / "models")
    seal.write(root / facts.RUN, {"run_id": "a1" * 16, "models": models, "seconds": 1.25})
    numbers = dict.fromkeys(results.SHOWN, 0.9375) | {"data": "mnist", "macro": {"f1": 0.5}}
    results.write_measured(root, numbers, by_class=[["0", 0.5, 0.25, 0.75, 7], ["1", 0.5, 1.0, 0.75, 9]], mistakes={})
    (root / "dvc.lock").write_text(LOCK.replace("{md5}", models))
    files.write(root / resolved.RESOLVED, resolved.dump(config))

    sweep = Sweep(root / "runs/s", swept=["seed"], trials={"a": ["seed=0"], "b": ["seed=1"]})
    sweep.save()
    sweeps.record_jobs(sweep.folder, [(["seed=0"], "7_0"), (["seed=1"], "7_1")])
    frozen.freeze_data(sweep, [data], root=root)
    trial = Trial("a", {"seed": "0"}, "done", 1.0, "d4" * 16, {"best/validation/accuracy": 0.5}, [0.25, 0.5])
    seal.write(sweep.trial_folder("a") / record.RECORD, dataclasses.asdict(trial) | {"process": {}})
    settings = dataclasses.replace(config.tracking, backend="offline", system_metrics=False)
    with tracking.start(settings, root=root, name="n", tags={"a": "b"}, identity="e5" * 16) as run:
        run.log_params({"seed": 0})
        run.log_metrics({"loss": 0.5}, step=1)
        run.log_artifact(root / resolved.RESOLVED)
    seal.write(root / promoted.MARK, {"run": "c3" * 16, "trial": resolved.key(config)})
    return Place(root, data, sweep)


def prepared(place: Place) -> Any:
    card, parts = arrays.load(place.root / "data/processed/train")
    return card, {name: (part.images.tolist(), part.labels.tolist()) for name, part in parts.items()}


def made(place: Place) -> Any:
    found = prepare(place.data, raw=place.root / "data/raw")
    return found.train_card, found.test_card, arrays.digest({"train": found.train, "test": found.test})


def of_the_sweep(place: Place) -> Any:
    card, *parts = frozen.load_data(place.sweep, place.data)
    return card, [part.images.tolist() for part in parts]


def downloaded(place: Place) -> Any:
    """Into an empty repository, from the mirror."""
    fresh = place.root / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(sources.VARIABLE, str(place.root / "mirror"))
        data = dataclasses.replace(place.data, mirrors=[])
        sources.download(data, raw=fresh / "raw", partial=fresh / "partial", progress=Progress())
    return tree(fresh / "raw")


def mended(place: Place) -> Any:
    """Downloaded once more, over what is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(sources.VARIABLE, str(place.root / "mirror"))
        sources.download(place.data, raw=place.root / "data/raw", partial=place.root / "partial", progress=Progress())
    return tree(place.root / "data/raw")


def tree(top: Path) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def answers(place: Place) -> Any:
    images = torch.from_numpy(arrays.load(place.root / "data/processed/train")[1]["train"].images)
    predictor = artifact.load(place.root / "models")
    with torch.inference_mode():
        return predictor.classes, predictor.data_name, predictor.shape, predictor(images).tolist()


def first_layers(place: Place) -> Any:
    return folder.first_layers(place.root / "models").tolist()


def lineage_of(place: Place) -> Any:
    """As `filterlab lineage` begins: the model that dvc.lock names."""
    if (locked := lineage.locked_md5(place.root)) != folder_md5(place.root / "models"):
        raise UserError("not the folder that dvc.lock names")
    return locked


RAW, PROCESSED, MODELS, RUNS = "data/raw/MNIST", "data/processed/train", "models", "runs/s"
SPOOL = Path("spool") / ("e5" * 16)
KIND: dict[str, tuple[str, Callable[[Place], Any]]] = {
    "npy images": (f"{PROCESSED}/train_images.npy", prepared),
    "npy labels": (f"{PROCESSED}/validation_labels.npy", prepared),
    "card.json": (f"{PROCESSED}/card.json", prepared),
    "IDX images": (f"{RAW}/raw/{FIRST}", made),
    "IDX labels": (f"{RAW}/raw/{LABELS}", made),
    "digests.json": (f"{RAW}/digests.json", made),
    "IDX images of a sweep": (f"{RUNS}/frozen/{RAW}/raw/{FIRST}", of_the_sweep),
    "gz images of a mirror": (f"mirror/{FIRST}.gz", downloaded),
    "gz labels of a mirror": (f"mirror/{LABELS}.gz", downloaded),
    "gz labels in place": (f"{RAW}/raw/{LABELS}.gz", mended),
    "IDX labels in place": (f"{RAW}/raw/{LABELS}", mended),
    "model.safetensors": (f"{MODELS}/model.safetensors", answers),
    "model.json": (f"{MODELS}/model.json", answers),
    "filters.safetensors": (f"{MODELS}/filters.safetensors", first_layers),
    "metrics.json": (str(results.METRICS), lambda place: results.metrics(place.root)),
    "per_class.csv": (str(results.PER_CLASS), lambda place: results.per_class(place.root)),
    "digests.json of both": (str(results.DIGESTS), lambda place: (results.metrics(place.root), results.per_class(place.root))),
    "run.json": (str(facts.RUN), lambda place: facts.run_id(place.root)),
    "curves.csv": (str(curves.CURVES), lambda place: curves.read(place.root)),
    "dvc.lock": ("dvc.lock", lineage_of),
    "sweep.json": (f"{RUNS}/sweep.json", lambda place: sweeps.find(place.root, "s")),
    "trial.json": (f"{RUNS}/trials/a/trial.json", lambda place: record.read_trials(place.sweep)),
    "a spool's records": (f"{SPOOL}/records", lambda place: list(Spool(place.root / SPOOL).read())),
    "submitted.json": (f"{RUNS}/submitted.json", lambda place: list(sweeps.submitted_jobs(place.sweep))),
    "promoted.json": (str(promoted.MARK), lambda place: promoted.tags(place.root, resolved.load(place.root))),
}


@pytest.mark.parametrize("kind", KIND)
def test_damage_is_refused_or_changes_nothing(place: Place, kind: str) -> None:
    name, read = KIND[kind]
    path = place.root / name
    sound = path.read_bytes()
    expected = read(place)
    assert expected
    came_out: Counter[str] = Counter()
    try:
        for damaged in mutations(sound, seed=int.from_bytes(kind.encode()), count=COUNT):
            path.unlink()  # not in place: a sweep's copy is a link
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's and Python's, of headers that are no Python
                try:
                    found = read(place)
                except UserError as error:
                    assert str(error).count("\n") == 0 or "mirror" in kind, error
                    came_out["refused"] += 1
                else:
                    # A spool that is cut off is what a process leaves that was killed while it wrote.
                    assert found == (expected[: len(found)] if "records" in kind else expected), damaged
                    came_out["the same"] += 1
    finally:
        path.unlink()
        path.write_bytes(sound)
    print(f"{kind:<24} {COUNT} tried, {came_out['refused']} refused, {came_out['the same']} the same result")
    assert sum(came_out.values()) == COUNT
    assert read(place) == expected


@pytest.mark.parametrize("content", [b"a", b"ab", bytes(range(256)) * 5], ids=len)
def test_mutations_are_as_many_as_asked_repeat_and_differ_from_the_content(content: bytes) -> None:
    drawn = list(mutations(content, seed=7, count=160))
    assert len(drawn) == 160 and content not in drawn
    assert list(mutations(content, seed=7, count=160)) == drawn != list(mutations(content, seed=8, count=160))
    if len(content) > 99:
        assert len(set(drawn)) > 120 and {len(damaged) - len(content) for damaged in drawn} > {0, 1, -1, 512}
        assert len(KINDS) == 8
