"""lecture/dvc.yaml: a stage a topic, each with what decides its results."""

import subprocess
import sys
from pathlib import Path

import yaml

from filterlab.lecture import topic as topics

ROOT = Path(__file__).parents[2]


def stages() -> dict[str, dict]:
    """As DVC resolves them, by command."""
    listed: dict[str, dict] = {}
    for stage in yaml.safe_load((ROOT / "lecture/dvc.yaml").read_text())["stages"].values():
        for key, item in stage.get("foreach", {"": {}}).items():
            text = yaml.safe_dump(stage.get("do", stage))
            text = text.replace("${key}", key).replace("${item.number}", str(item.get("number")))
            resolved = yaml.safe_load(text.replace("${item.module}", str(item.get("module"))))
            listed[resolved["cmd"]] = resolved
    return listed


def test_every_topic_has_a_stage_and_the_page_has_every_topic() -> None:
    found = stages()
    worked_out = [topic for topic in topics.all_topics() if topic.compute]
    assert sorted(found) == sorted([f"filterlab lecture {topic.number}" for topic in worked_out] + ["filterlab lecture page"])
    for topic in worked_out:
        stage = found[f"filterlab lecture {topic.number}"]
        assert stage["outs"] == [f"results/lecture/{topic.name}"]
        needed = [f"{topic.module}.py", "result.py", f"topics/{topic.name}.md"]
        assert {f"src/filterlab/lecture/{name}" for name in needed} <= set(stage["deps"])
    results = [path for path in found["filterlab lecture page"]["deps"] if path.startswith("results/")]
    assert results == [f"results/lecture/{topic.name}" for topic in worked_out]


def test_what_a_topic_imports_of_the_lecture_is_a_dependency() -> None:
    for command, stage in stages().items():
        if command.endswith("page"):
            continue
        modules = [path for path in stage["deps"] if path.startswith("src/filterlab/lecture/")]
        for path in modules:
            for line in (ROOT / path).read_text().splitlines():
                if line.startswith("from filterlab.lecture.") and not path.endswith(("topic.py", "context.py")):
                    imported = f"src/filterlab/lecture/{line.split()[1].rpartition('.')[2]}.py"
                    # The context decides the results of what is trained in it alone.
                    assert imported in modules or imported.endswith("/context.py"), f"{command}: {path} imports {imported}"


def test_dvc_reads_it_and_the_main_pipeline_does_without() -> None:
    asked = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]
    main = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert main == ["compose", "download", "preprocess", "train", "evaluate", "visualize", "report"]
    whole = subprocess.run([*asked, "lecture/dvc.yaml"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(whole) == len(stages())
