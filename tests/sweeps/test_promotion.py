"""From a sweep's winner to params.yaml, by `dvc repro` to the same metric, and back by lineage. The tests build on each other."""

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from filterlab.config import compose, resolved
from filterlab.data import arrays
from filterlab.errors import UserError
from filterlab.runs import logging, promoted
from filterlab.sweeps import promotion
from filterlab.tracking import Found
from filterlab.tracking.store import RESTORED

CONF = Path(__file__).parents[2] / "conf"
PARAMETERS = """\
data: mnist            # noise here, under that name
model: tutorial_cnn
optimizer: adam
schedule: constant
augment: none
trainer: cpu
tracking: local
experiment: none
seed: 0
override:
  model: {filters: 4, kernel: 5}
  trainer: {max_epochs: 2, batch_size: 32, precision: "32", channels_last: false}
  tracking: {system_metrics: false}
"""
DVC = """\
stages:
  compose:
    cmd: python -m filterlab.cli stage compose
    deps: [params.yaml, conf]
    outs: [{results/config.yaml: {cache: false}}]
  train:
    cmd: OMP_NUM_THREADS=$THREADS python -m filterlab.cli stage train
    params:
      - results/config.yaml: [model, optimizer, schedule, augment, trainer, seed]
    outs: [models, results/curves.csv]
"""

pytestmark = pytest.mark.usefixtures("python")


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Any]) -> Any:
    """The sweep's trainings have one thread, the `dvc repro` that repeats one has two: how many is left to the machine."""
    project = make_project()
    (project.root / "params.yaml").write_text(PARAMETERS)
    project.run("train", "-m", "--sweep", "widths", "model.filters=2,4", "seed=3,4", "optimizer.lr=0.004", OMP_NUM_THREADS="1")
    (project.root / "dvc.yaml").write_text(DVC)
    (project.root / "results/config.yaml").unlink()
    subprocess.run([project.python, "-m", "dvc", "init", "--quiet"], cwd=project.root, env=project.environment, check=True)
    return project


def dvc(project: Any, *words: str, threads: int = 1) -> str:
    command = [project.python, "-m", "dvc", *words]
    done = subprocess.run(
        command,
        cwd=project.root,
        env=project.environment | {"THREADS": str(threads)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def best(project: Any) -> str:
    """The widths' best run by the store itself: of the better setting by its mean, the better seed."""
    found = project.ask(
        "select m.run_uuid, m.value, t.value from latest_metrics m join tags t on t.run_uuid = m.run_uuid "
        "where m.key = 'best/validation/accuracy' and t.key = 'swept.model.filters'"
    )
    means: dict[str, list[float]] = {}
    for _, number, setting in found:
        means.setdefault(setting, []).append(number)
    setting = max(means, key=lambda each: sum(means[each]))
    return max((number, run_id) for run_id, number, each in found if each == setting)[1]


def test_the_best_becomes_the_parameters(project: Any) -> None:
    dvc(project, "repro", "compose")
    winner = best(project)
    printed = project.here("promote", "--best", "accuracy", "--sweep", "widths")
    assert winner in printed
    parameters = yaml.safe_load((project.root / "params.yaml").read_text())
    seed = project.tags(winner)["swept.seed"]
    assert (parameters["seed"], parameters["override"]["optimizer"], parameters["model"]) == (
        int(seed),
        {"lr": 0.004},
        "tutorial_cnn",
    )
    assert parameters["override"]["trainer"]["threads"] == 1, "as the run had, though it asked for one per core"
    assert f"+seed: {seed}" in printed and "-seed: 0" in printed, "what changes is shown"
    assert "# noise here, under that name" in (project.root / "params.yaml").read_text()


def test_the_pipeline_repeats_it_to_the_last_bit_and_lineage_leads_back(project: Any) -> None:
    dvc(project, "repro", threads=2)
    printed = project.here("lineage")
    assert f"promoted    {best(project)}" in printed and "sweep       widths" in printed
    validated = [f"best/validation/{name}" for name in ("accuracy", "balanced_accuracy", "loss", "macro_f1")]
    assert f"bit for bit: best/train/accuracy, best/train/loss, {', '.join(validated)}\n" in printed


def test_other_parameters_are_not_marked(project: Any) -> None:
    path = project.root / "params.yaml"
    kept = path.read_text()
    path.write_text(kept.replace("max_epochs: 2", "max_epochs: 1"))
    dvc(project, "repro")
    assert "promoted " not in project.here("lineage").replace("promoted to", "")
    path.write_text(kept)


def test_what_cannot_be_reproduced_is_refused(project: Any) -> None:
    run_id, path = best(project), project.root / "params.yaml"
    before = path.read_text()
    code = project.root / "src/filterlab/models/architectures/softmax.py"
    kept = code.read_text()
    code.write_text(kept + "\n")
    assert "other code than what is here" in project.run("promote", run_id, code=2)
    project.run("train", "trainer.max_epochs=1")
    dirty = [each for each in project.ask("select run_uuid from tags where key = 'filterlab.dirty' and value = 'true'")][-1][0]
    code.write_text(kept)
    assert promoted.PROMOTED not in project.tags(dirty), "the pipeline's own training alone is marked"
    assert "was never committed" in project.here("promote", dirty, code=2)
    folder = project.root / "data/processed/train"
    card, parts = arrays.load(folder)
    other = parts | {"train": dataclasses.replace(parts["train"], labels=parts["train"].labels[::-1].copy())}
    arrays.save(folder, other, card)
    assert "the arrays are damaged, or not those that card.json describes" in project.here("promote", run_id, code=3)
    arrays.save(folder, other, dataclasses.replace(card, digest=arrays.digest(other)))
    assert "learned from other data" in project.here("promote", run_id, code=2)
    arrays.save(folder, parts, card)
    assert "no run in this store" in project.here("promote", "zzz", code=2)
    assert "no choice is made on the test set" in project.here("promote", "--best", "test/accuracy", "--sweep", "widths", code=2)
    assert path.read_text() == before


@pytest.fixture(scope="module")
def options() -> dict[str, dict[str, Any]]:
    """Composed once: it takes seconds."""
    return promotion.read_options(CONF)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["model=resnet", "model.depth=14", "optimizer=adamw", "augment=affine", "augment.degrees=3", "seed=7"],
        ["experiment=tutorial", "model.kernel=9"],
        ["experiment=fast", "data.take=per_class", "data.take_n=20", "trainer=ddp"],
        ["model=conv_net", "schedule=step", "optimizer=adadelta"],
    ],
    ids=lambda words: " ".join(words) or "defaults",
)
def test_any_configuration_can_be_said_as_parameters(
    words: list[str], options: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "read_options", lambda conf: options)
    config = compose.compose(CONF, words)
    text = promotion.edit_parameters((CONF.parent / "params.yaml").read_text(), promotion.to_parameters(CONF, config, prefer={}))
    (tmp_path / "params.yaml").write_text(text)
    again = compose.compose(CONF, compose.to_overrides(compose.read_parameters(tmp_path / "params.yaml")))
    assert resolved.key(again) == resolved.key(config)
    comments = [line.partition("#")[2] for line in (CONF.parent / "params.yaml").read_text().splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in text.splitlines() if "#" in line] == comments


class Kept:
    """A store whose only artifact is this text."""

    def __init__(self, text: str):
        self.text = text

    def read_artifact(self, run_id: str, path: str) -> str:
        return self.text


def test_a_configuration_that_was_edited_in_the_store_is_refused() -> None:
    """It reads well, and is another than the run was trained with."""
    config = compose.compose(CONF, ["model=softmax"])
    text, tags = resolved.dump(config), {logging.CONFIG: resolved.key(config)}
    run = Found("a" * 32, "a", "FINISHED", started=0, ended=1, params={}, metrics={}, tags=tags)
    assert promotion.read_config(Kept(text), run) == config
    with pytest.raises(UserError, match=r"config\.yaml of run a{32} is damaged: it is not the one that the run was trained with"):
        promotion.read_config(Kept(text.replace("lr: 0.", "lr: 0.0")), run)


def test_a_run_that_was_restored_names_the_ways_out(tmp_path: Path) -> None:
    """What DVC brought tells neither by which code nor on which data it was trained."""
    run = Found("b" * 32, "b", "FINISHED", started=0, ended=1, params={}, metrics={}, tags={RESTORED: "a" * 32})
    with pytest.raises(UserError, match=r"restored from results that DVC brought.*`git log dvc\.lock`.* can be promoted"):
        promotion.check_run(tmp_path, run)
