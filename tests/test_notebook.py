"""The notebook: runs from top to bottom, quickly where its parameters say so; Git holds it without outputs."""

import base64
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks/exercise.ipynb"
QUICK = 'filters, images, epochs, also = 8, 200, 1, ["tracking=off"]'
FIGURES = {"images", "train", "filters", "by-epoch", "maps", "mistakes", "confusion", "drawing"}  # the cells that end in one


@pytest.fixture(scope="module")
def ran(raw: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    """The outputs of each cell, run in a repository without anything prepared."""
    root = tmp_path_factory.mktemp("exercise")
    for name in ("conf", "dvc.yaml", "params.yaml"):
        (root / name).symlink_to(ROOT / name)
    (root / "data").mkdir()
    (root / "data/raw").symlink_to(raw)
    (root / "notebooks").mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += f"\n{QUICK}"
    (printed,) = re.findall(
        r"^    from filterlab import lab\n(?:(?:    .*)?\n)+", (ROOT / "docs/python.md").read_text(), re.MULTILINE
    )
    quick = '"data.take_n=200", "trainer.max_epochs=1", "tracking=off"'
    notebook.cells.append(new_code_cell(textwrap.dedent(printed).replace('"data.take_n=1000"', quick), id="docs"))
    kernel = root / "jupyter/kernels/preloaded/kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [str(programs / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "preloaded", "language": "python"}))
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"JUPYTER_PATH": "jupyter", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}.items():
            patched.setenv(name, str(root / value))
        patched.setenv("PYTHONPATH", str(ROOT / "src"))
        place = {"metadata": {"path": str(root / "notebooks")}}
        NotebookClient(notebook, kernel_name="preloaded", timeout=120, resources=place).execute()
    return {cell.id: cell.get("outputs", []) for cell in notebook.cells}


def said(outputs: list[dict]) -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def test_it_runs_and_draws_inline(ran: dict[str, list[dict]]) -> None:
    pictures = {name: [output for output in outputs if "image/png" in output.get("data", {})] for name, outputs in ran.items()}
    assert {name: len(found) for name, found in pictures.items() if found} == dict.fromkeys(FIGURES, 1)
    if folder := os.environ.get("FILTERLAB_SCREENSHOTS"):
        for name in FIGURES:
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(pictures[name][0]["data"]["image/png"]))


def test_it_says_what_came_out(ran: dict[str, list[dict]]) -> None:
    assert "mnist: 160 images to train, 40 to validate" in said(ran["images"])
    assert "37,890 parameters in all" in said(ran["network"])
    assert said(ran["compare"]).endswith("of the validation images   8 filters of 3x3, 200 images, seed 0\n")
    shares = [float(line.partition(": ")[2].rstrip("%")) for line in said(ran["drawing"]).splitlines()]
    assert len(shares) == 3 and shares == sorted(shares, reverse=True) and sum(shares) <= 100.1
    assert {"filters/conv1", "filters/by_epoch"} <= {line.partition(" ")[0] for line in said(ran["docs"]).splitlines()}
    assert [output for outputs in ran.values() for output in outputs if output.get("name") == "stderr"] == []


def test_git_holds_it_without_outputs() -> None:
    """As `jupyter nbconvert --clear-output --inplace` leaves it."""
    for notebook in NOTEBOOK.parent.glob("*.ipynb"):
        for cell in json.loads(notebook.read_text())["cells"]:
            assert cell.get("outputs", []) == [] and cell.get("execution_count") is None, f"{notebook.name}: {cell['id']}"


def test_importing_what_it_uses_is_cheap() -> None:
    heavy = "{'torch', 'pytorch_lightning', 'mlflow', 'matplotlib', 'sklearn'}"
    command = f"import sys, filterlab.lab; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout == "[]\n"
