"""dvc.yaml names every module that a stage's result depends on, as the imports say, and none that it doesn't."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[1]
# What the stages import and no result depends on, and why.
EXCLUDED = {
    "filterlab.console": "what is printed",
    "filterlab.data.remedy": "what is said where there is no result",
    "filterlab.errors": "what is said where there is no result",
    "filterlab.extras": "what is said where there is no result",
    "filterlab.files": "brings bytes to the disk as they are",
    "filterlab.repository": "finds the root, and names what is logged",
    "filterlab.runs": "what is logged to a run, which is no output of a stage",
    "filterlab.tracking": "what is logged to a run, which is no output of a stage",
}
# The same of single stages.
RESOLVED = "a stage names the sections of the resolved config that it uses"
PREPARED = "what preprocess wrote is a dependency, and is checked against its digest when it is read"
OF_A_STAGE = {
    "download": {
        "filterlab.config": RESOLVED,
        "filterlab.data.download": "whichever way a file comes, it is the one with the published checksum",
        "filterlab.data.progress": "what is printed",
    },
    "preprocess": {"filterlab.config": RESOLVED, "filterlab.data.progress": "what is printed"},
    "train": {"filterlab.config": RESOLVED}
    | {f"filterlab.data.{name}": PREPARED for name in ("arrays", "idx", "prepare", "published", "ready", "split")},
    "evaluate": {"filterlab.config": RESOLVED, "filterlab.data.arrays": PREPARED},
    "visualize": {
        "filterlab.config": RESOLVED,
        "filterlab.data.arrays": PREPARED,
        "filterlab.data.progress": "what is printed",
    },
    "play": {"filterlab.config": RESOLVED, "filterlab.data.arrays": PREPARED},
    "report": {"filterlab.config": RESOLVED},
}
# What imports the first has the modules of the second, which are found, not imported by name.
FOUND = {
    "filterlab.models.plan": "filterlab.models.architectures",  # a plan comes with the resolved config
    "filterlab.models.architectures": "filterlab.models.architectures",
    "filterlab.data.formats": "filterlab.data.formats",
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("filterlab", "hydra_plugins", cache_dir=None, exclude_type_checking_imports=True)


def stages(path: str) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((ROOT / path).read_text())["stages"])


def covers(path: str, module: str) -> bool:
    """Whether a dependency, a file or a folder, holds the module."""
    place = f"src/{module.replace('.', '/')}"
    return path == f"{place}.py" or f"{place}/".startswith(f"{path}/")


def needed(graph: grimp.ImportGraph, module: str, *, excluded: dict[str, str]) -> set[str]:
    """The module and all that it imports, directly or not, without what is excluded and what only that imports."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        module = ahead.pop()
        if module in found or any(module == name or module.startswith(f"{name}.") for name in excluded):
            continue
        found.add(module)
        ahead += graph.find_modules_directly_imported_by(module)
        ahead += graph.find_descendants(FOUND[module]) if module in FOUND else []
    return found


def faults(graph: grimp.ImportGraph, module: str, deps: list[str], *, excluded: dict[str, str]) -> Iterator[str]:
    modules = needed(graph, module, excluded=excluded)
    named = [path for path in deps if path.startswith("src/")]
    yield from (f"lacks {name}" for name in sorted(modules) if not any(covers(path, name) for path in named))
    yield from (f"{path} is no part of the result" for path in named if not any(covers(path, name) for name in modules))
    yield from (f"there is no {path}" for path in named if not (ROOT / path).exists())


@pytest.mark.parametrize("stage", stages("dvc.yaml"))
def test_a_stage_names_what_its_result_depends_on(graph: grimp.ImportGraph, stage: str) -> None:
    excluded = EXCLUDED | OF_A_STAGE.get(stage, {})
    assert [*faults(graph, f"filterlab.stages.{stage}", stages("dvc.yaml")[stage]["deps"], excluded=excluded)] == []
