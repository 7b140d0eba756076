"""Every command that README.md and docs/ print, as it is printed, in order, in a fresh clone: or in the test that is named."""

import shutil
from typing import Any

import printed
import pytest

import herbs

SUBSTITUTES = {"docs/sweeps.md": {"promote RUN": "promote {run}"}}  # what a reader has to fill in


@pytest.mark.parametrize("page", printed.PAGES)
def test_what_is_run_elsewhere_is_printed_and_has_its_test(page: str) -> None:
    listed = printed.ELSEWHERE.get(page, {})
    assert set(listed) - {command.text for command in printed.commands(page)} == set(), "the page no longer says it"
    assert [place for place in listed.values() if not (printed.ROOT / place).is_file()] == []
    text = (printed.ROOT / page).read_text()
    blocks = ["\n".join(line[4:] for line in each[0].splitlines()) for each in printed.BLOCK.finditer(text)]
    for begins in printed.NO_COMMANDS.get(page, []):
        assert any(block.startswith(begins) for block in blocks), f"no block of {page} begins with {begins!r}"


def test_every_page_is_run_by_a_test() -> None:
    run_here = {"README.md", "docs/cluster.md", "docs/sweeps.md"}
    run_there = {"docs/storage.md"}  # test_remote.py
    assert {page for page in printed.PAGES if printed.fresh(page)} == run_here | run_there


@pytest.fixture(scope="module")
def clone(make_clone: Any) -> Any:
    clone = make_clone()
    herbs.grow(clone.root.parent / "herbs", width=30, height=28)
    return clone


def follow(clone: Any, page: str, **own: str) -> dict[str, str]:
    """Run what the page says; what each command printed. params.yaml before a promotion is kept, in params.before."""
    said = {}
    for command in printed.fresh(page):
        text = command.text
        for place, filled in SUBSTITUTES.get(page, {}).items():
            text = text.replace(place, filled.format(**own))
        if "promote --best" in text:
            shutil.copyfile(clone.root / "params.yaml", clone.root.parent / "params.before")
        said[command.text] = clone.run("bash", "-euo", "pipefail", "-c", text)
        if text == "make pipeline":  # a reader's results are those that are committed
            clone.commit("results by the conf/ for the impatient")
    return said


def test_the_readme(clone: Any) -> None:
    said = follow(clone, "README.md")
    assert (clone.root / "results/lecture-by-hand/10_edge_filter/findings.json").exists(), "`dvc exp run` deletes nothing"
    (table,) = [told for command, told in said.items() if command.startswith("dvc exp show")]
    assert max(map(len, table.splitlines())) <= 100 and "…" not in table, table
    for column in ("accuracy", "errors", "model.name", "trainer.max_epochs"):
        assert column in table
    assert "accuracy" in said["dvc metrics diff"]
    assert said["dvc plots diff"].startswith("file://")
    assert "is in params.yaml now" in said["filterlab promote --best accuracy --sweep compare && dvc repro"]


def test_sweeps(clone: Any) -> None:
    """After the README, whose sweep it is: with the parameters that it was begun with, all of it is done."""
    shutil.copyfile(clone.root.parent / "params.before", clone.root / "params.yaml")
    rows = clone.run("filterlab", "sweep", "status", "compare").splitlines()[2:]
    assert len(rows) == 20
    said = follow(clone, "docs/sweeps.md", run=rows[0].split()[-1])
    (again,) = [told for command, told in said.items() if command.startswith("filterlab train -m")]
    assert "20 trials, 20 done" in again
    assert "10 trainings: every combination of model, seed" in said["filterlab sweep plan model=cnn,mlp 'seed=range(5)'"]
    assert "compare: 20 done" in said["filterlab sweep status"]
    assert f"promoted    {rows[0].split()[-1]}" in said["filterlab lineage"]


def test_the_cluster_s_login_node(clone: Any) -> None:
    said = follow(clone, "docs/cluster.md")
    assert any("10 trainings" in told for told in said.values())
