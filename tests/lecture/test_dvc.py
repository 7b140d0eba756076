"""lecture/dvc.yaml: a stage a topic, each with what decides its results."""

import dataclasses
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import grimp
import pytest
import yaml

from filterlab.errors import UserError
from filterlab.lecture import coding_or_discovery
from filterlab.lecture import topic as topics
from filterlab.lecture.context import Context
from filterlab.lecture.topic import Topic
from filterlab.stages import lecture_stages

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "lecture/dvc.yaml").read_text())["stages"]
COMPUTED = [topic for topic in topics.all_topics() if topic.compute]
EVERY = {f"lecture/{name}" for name in ("context.py", "lecture.mplstyle", "plots.py", "result.py", "topic.py")}
EVERY |= {"data/prepare.py", "data/split.py", "study/statistics.py", "visualization/style.py"}
TRAINED = {"data/augment.py", "data/datamodule.py", "evaluation/predict.py", "lecture/trainings.py", "models/architectures"}
TRAINED |= {"models/layers.py", "models/predictor.py", "models/registry.py", "training"}
NETWORK = {"models/architectures", "models/plan.py", "models/shapes.py"}
# Beside its Markdown, its own module and what every topic has. Of those that train, some of it.
WORKED = {
    "01_line": set(),
    "02_logistic": set(),
    "03_bump": {"lecture/logistic.py"},
    "04_composition": {"lecture/logistic.py"},
    "05_universal": {"lecture/logistic.py", "study/claims.py"},
    "06_perceptron": NETWORK | {"lecture/logistic.py", "models/layers.py", "models/predictor.py", "models/registry.py"},
    "07_propagation": {"lecture/logistic.py"},
    "09_cheat_sheet": {"lecture/logistic.py", "study/claims.py"},
    "10_edge_filter": set(),
    "14_color": NETWORK,
}
TRAINING = {
    "08_algorithm": {"lecture/noisy_labels.py", "lecture/tutorial.py", "lecture/variants.py", "study/scale.py"},
    "11_engineered": {"visualization/mosaic.py"},
    "12_relu": set(),
    "13_hyperparameters": set(),
    "15_large_networks": set(),
    "16_learned_filters": {"visualization/maximise.py", "visualization/attribution.py"},
    "17_layers": {"lecture/learned_filters.py", "visualization/compared.py", "visualization/receptive.py"},
    "18_coding_or_discovery": {"lecture/learning_curves.py", "baselines/svm.py", "baselines/features.py"},
}


def named(topic: Topic) -> set[str]:
    """What its stage names below src/filterlab/."""
    deps = STAGES[topic.name]["deps"]
    return {path.removeprefix("src/filterlab/") for path in deps if path.startswith("src/filterlab/")}


def test_it_is_as_the_topics_and_their_imports_are_now(tmp_path: Path) -> None:
    for name in ("src", "conf", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    lecture_stages.write(tmp_path)
    assert (tmp_path / "lecture/dvc.yaml").read_text() == (ROOT / "lecture/dvc.yaml").read_text(), "`filterlab lecture stages`"


def test_what_a_topic_reads_is_there_or_is_made(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    lecture_stages.check_reads(COMPUTED[:5], tmp_path)
    for path in ("conf/modle", "data/rawest"):
        misspelt = dataclasses.replace(COMPUTED[0], reads=["data/raw/MNIST", "results/metrics.json", path])
        with pytest.raises(UserError, match=rf"topics/01_line\.md: reads has '{path}', which is not there, and no stage"):
            lecture_stages.check_reads([misspelt], tmp_path)


def test_every_topic_has_a_stage_and_the_page_has_every_topic() -> None:
    assert list(STAGES) == [*(topic.name for topic in COMPUTED), "page"]
    for topic in COMPUTED:
        stage = STAGES[topic.name]
        assert (stage["cmd"], stage["outs"]) == (f"filterlab lecture {topic.number}", [f"results/lecture/{topic.name}"])
        assert [path for path in stage["deps"] if not (ROOT / path).exists()] in ([], ["data/raw/MNIST"])
    results = [path for path in STAGES["page"]["deps"] if path.startswith("results/")]
    assert results == [f"results/lecture/{topic.name}" for topic in COMPUTED]


@pytest.mark.parametrize("topic", COMPUTED, ids=lambda topic: topic.name)
def test_a_topic_depends_on_what_it_imports_and_reads(topic: Topic) -> None:
    modules, own = named(topic), {f"lecture/{topic.module}.py", f"lecture/topics/{topic.name}.md"}
    if topic.name not in TRAINING:
        assert modules == EVERY | own | WORKED.get(topic.name, set())
    else:
        assert modules >= EVERY | own | TRAINED | TRAINING[topic.name]
        assert ("visualization/mosaic.py" in modules) == (topic.number in (8, 11, 16, 17))
    written = [path for path in modules - EVERY - TRAINED if re.match(r"lecture/\w+\.py", path)]
    code = "".join((ROOT / "src/filterlab" / path).read_text() for path in written)
    deps = STAGES[topic.name]["deps"]
    assert ("data/raw/MNIST" in deps) == bool(re.search(r"context\.(train|test)\b", code))
    assert ("conf/model" in deps) == bool(re.search(r'"model=', code))
    assert ("conf/trainer" in deps) == bool(re.search(r"compose_training\(|trainer\.max_epochs", code))
    assert {path for path in deps if path.startswith("conf/experiment")} == {
        f"conf/experiment/{name}.yaml" for name in re.findall(r'"experiment=(\w+)"', code)
    }


def test_what_is_imported_by_what_is_imported_counts_and_what_is_excluded_does_not() -> None:
    graph = grimp.ImportGraph()
    chain = ["filterlab.lecture.a", "filterlab.study.b", "filterlab.config.c", "filterlab.study.d"]
    for module in [*chain, "filterlab.models.plan", "filterlab.models.architectures", "filterlab.models.architectures.new"]:
        graph.add_module(module)
    for importer, imported in pairwise(chain):
        graph.add_import(importer=importer, imported=imported)
    assert lecture_stages.needed(graph, chain[0]) == set(chain[:2])
    graph.add_import(importer=chain[1], imported="filterlab.models.plan")
    found = lecture_stages.needed(graph, chain[0]) - set(chain)
    assert {lecture_stages.source(module, ROOT) for module in found} == {
        "src/filterlab/models/architectures",
        "src/filterlab/models/plan.py",
    }


def test_other_defaults_change_no_training(tmp_path: Path) -> None:
    """conf/config.yaml, which names the defaults, is no dependency of a topic."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    text = (tmp_path / "conf/config.yaml").read_text()
    defaults = {"data: digits", "model: resnet", "optimizer: adadelta", "schedule: step", "augment: affine", "trainer: gpu"}
    for default in defaults:
        text, count = re.subn(rf"- {default.split()[0]} \w+", f"- {default}", text)
        assert count == 1
    (tmp_path / "conf/config.yaml").write_text(text)
    here, there = (Context(root, quick=False, record=lambda record: None) for root in (ROOT, tmp_path))
    assert here.compose_training("model=mlp", epochs=3, seed=1) == there.compose_training("model=mlp", epochs=3, seed=1)
    for words in (*coding_or_discovery.NETWORKS.values(), ["experiment=tutorial"]):
        assert here.compose(*words) == there.compose(*words)
    assert here.mnist == there.mnist


def test_dvc_reads_it_and_the_main_pipeline_does_without() -> None:
    asked = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]
    main = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert main == ["compose", "download", "preprocess", "train", "evaluate", "visualize", "play", "report"]
    whole = subprocess.run([*asked, "lecture/dvc.yaml"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [name.rpartition(":")[2] for name in whole] == list(STAGES)
