"""lecture/dvc.yaml: a stage a topic, which depends on the topic's Markdown, the modules that it imports, and what it reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from filterlab import files
from filterlab.errors import UserError
from filterlab.lecture.topic import Topic, all_topics

if TYPE_CHECKING:
    from grimp import ImportGraph

PATH = "lecture/dvc.yaml"
HEADER = """\
# The lecture, a stage a topic: `make lecture` runs what has to be rerun. (Plain `dvc repro` is the main pipeline's alone.)
# Written by `filterlab lecture stages`, which `make lecture` begins with: do not edit. src/filterlab/stages/lecture_stages.py
# says what a topic depends on.
"""
LECTURE = "src/filterlab/lecture"
LOOK = f"{LECTURE}/lecture.mplstyle"
TRAINING = "filterlab.training"  # a topic that imports it depends on these besides:
TRAINED_FROM = ["conf/augment", "conf/model", "conf/optimizer", "conf/schedule", "conf/trainer", "data/raw/MNIST"]
PAGE = [LECTURE, *(f"src/filterlab/pages/{name}" for name in ("lecture.html.jinja", "page.css", "page.py", "play", "widgets"))]
PAGE += ["src/filterlab/stages/lecture_page.py"]
# What topics import and no result depends on, and why.
MNIST = "MNIST's files are a dependency, and are checked against their published digests"
EXCLUDED = {
    "filterlab.config": "what a topic takes from conf/ is a dependency",
    "filterlab.console": "what is printed",
    "filterlab.data.arrays": MNIST,
    "filterlab.data.format": MNIST,
    "filterlab.data.formats": MNIST,
    "filterlab.data.idx": MNIST,
    "filterlab.data.published": MNIST,
    "filterlab.pages.page": "the page is a stage of its own",
    "filterlab.errors": "what is said where there is no result",
    "filterlab.extras": "what is said where there is no result",
    "filterlab.files": "brings bytes to the disk as they are",
    "filterlab.repository": "finds the root",
    "filterlab.seal": MNIST,
}
# Who has a plan may have that of any architecture: they are found, not imported by name.
PLAN, ARCHITECTURES = "filterlab.models.plan", "filterlab.models.architectures"
WHOLE = [ARCHITECTURES, TRAINING]  # named as a folder: the resolved config chooses which architecture, optimizer, ... of it


def write(root: Path) -> None:
    """lecture/dvc.yaml, as the topics are now. Raises UserError as `check_reads` does."""
    files.write(root / PATH, HEADER + yaml.safe_dump({"stages": stages(root)}, sort_keys=False, width=130))


def stages(root: Path) -> dict[str, dict[str, Any]]:
    """By name: a stage for each topic that is worked out, and the page of all of them."""
    import grimp
    from grimp.exceptions import SourceSyntaxError

    try:
        graph = grimp.build_graph("filterlab", cache_dir=None, exclude_type_checking_imports=True)
    except SourceSyntaxError as error:
        compile(Path(error.filename).read_bytes(), error.filename, "exec")  # raises Python's SyntaxError, which says more
        raise
    topics = [topic for topic in all_topics() if topic.compute]
    check_reads(topics, root)
    found = {topic.name: stage(topic.number, dependencies(graph, topic, root), topic.name) for topic in topics}
    found["page"] = stage("page", [f"results/lecture/{topic.name}" for topic in topics] + PAGE, "lecture.html")
    found["page"]["outs"] += [{f"results/lecture/{name}": {"cache": False}} for name in ("lecture.json", "kept")]  # Git has them
    return found


def check_reads(topics: list[Topic], root: Path) -> None:
    """Raises UserError where a topic reads what is not there, and what no stage of dvc.yaml makes."""
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    made = [
        out if isinstance(out, str) else next(iter(out))
        for stage in pipeline.values()
        for out in stage["outs"] + stage.get("metrics", [])
    ]
    for topic in topics:
        for path in topic.reads:
            if not (root / path).exists() and not any(f"{path}/".startswith(f"{out}/") for out in made):
                raise UserError(
                    f"topics/{topic.name}.md: reads has {path!r}, which is not there, and no stage of dvc.yaml makes it"
                )


def stage(what: int | str, deps: list[str], out: str) -> dict[str, Any]:
    return {"wdir": "..", "cmd": f"filterlab lecture {what}", "deps": deps, "outs": [f"results/lecture/{out}"]}


def dependencies(graph: "ImportGraph", topic: Topic, root: Path) -> list[str]:
    """The files and folders that decide a topic's result."""
    modules = needed(graph, f"filterlab.lecture.{topic.module}")
    trains = any(inside(module, TRAINING) for module in modules)
    found = {source(module, root) for module in modules} | {LOOK, f"{LECTURE}/topics/{topic.name}.md"}
    return sorted(found.union(topic.reads, TRAINED_FROM if trains else []))


def needed(graph: "ImportGraph", module: str) -> set[str]:
    """The module and all that it imports, directly or not, without what is excluded and what only that imports."""
    found: set[str] = set()
    ahead = {module}
    while ahead:
        module = ahead.pop()
        if any(inside(module, excluded) for excluded in EXCLUDED):
            continue
        found.add(module)
        imported = graph.find_modules_directly_imported_by(module)
        ahead |= (imported | graph.find_descendants(ARCHITECTURES) if module == PLAN else imported) - found
    return found


def inside(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def source(module: str, root: Path) -> str:
    """A module's file, or the folder that is named as a whole."""
    folder = next((package for package in WHOLE if inside(module, package)), None)
    path = f"src/{(folder or module).replace('.', '/')}"
    return path if folder else f"{path}/__init__.py" if (root / path).is_dir() else f"{path}.py"
