"""The lecture's stage: what a topic leaves, the page and the table of all of them, and what goes wrong."""

import base64
import contextlib
import dataclasses
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from dvc.repo import Repo
from matplotlib.figure import Figure
from PIL import Image

from filterlab.cli import main
from filterlab.errors import DataError, UserError
from filterlab.lecture import topic as topics
from filterlab.lecture.result import Result, Table, equal
from filterlab.lecture.topic import Topic
from filterlab.stages import lecture, lecture_page
from filterlab.study.claims import Hypothesis

REPOSITORY = Path(__file__).parents[2]
ONLY = [topic for topic in topics.all_topics() if topic.number in (1, 19)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose lecture has one topic, and one that comes later."""
    for name in ("conf", "dvc.yaml"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "params.yaml").write_text("tracking: off\n")
    monkeypatch.setattr(topics, "all_topics", lambda: ONLY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "lecture/dvc.yaml:page")
    return tmp_path


class Parsed(HTMLParser):
    """Tags, and every address a page loads or points to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [given for name, given in attributes if name in ("src", "href") and given]


def written(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted((root / "results").rglob("*")) if path.is_file()}


def test_a_topic_and_its_page(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lecture.run(root, "all", quick=False)
    first = written(root)
    assert list(first) == [
        "results/lecture/01_line/findings.json",
        "results/lecture/01_line/line.png",
        "results/lecture/kept/01_line/findings.json",
        "results/lecture/kept/01_line/line.png",
        "results/lecture/lecture.html",
        "results/lecture/lecture.json",
    ]
    told = json.loads(first["results/lecture/lecture.json"])
    assert list(told) == ["1"] and told["1"]["budget"] == "full"
    assert [check["passed"] for check in told["1"]["checks"]] == [True, True]
    assert all({"says", "value", "expected"} <= check.keys() for check in told["1"]["checks"])
    text = first["results/lecture/lecture.html"].decode()
    page = Parsed(text)
    assert page.tags.count("math") == len(ONLY[0].formulas) and page.tags.count("img") == 1
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "filterlab lecture 1</pre>" in text and "Comes later." in text and "quick" not in text
    assert 'name="viewport"' in text
    lecture.run(root, "all", quick=False)
    assert written(root) == first
    assert "topic 1  Fitting a line (full)" in capsys.readouterr().out


def test_the_small_budget_lies_elsewhere_and_says_so(root: Path) -> None:
    lecture.run(root, "all", quick=True)
    folder = root / "results/lecture-quick"
    assert json.loads((folder / "lecture.json").read_text())["1"].keys() == {"title", "budget", "checks"}
    text = (folder / "lecture.html").read_text()
    assert "<b>quick</b> budget" in text and text.count("Quick budget: its numbers mean little.") == 1
    assert not (root / "results/lecture").exists()


def test_what_git_keeps_of_the_full_run_makes_the_page_without_a_training(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lecture.run(root, "all", quick=False)
    results, whole = root / "results/lecture", (root / "results/lecture/lecture.json").read_bytes()
    findings = (results / "kept/01_line/findings.json").read_bytes()
    picture, small = ((results / folder / "01_line/line.png").read_bytes() for folder in (".", "kept"))
    with Image.open(io.BytesIO(picture)) as drawn, Image.open(io.BytesIO(small)) as reduced:
        assert np.abs(np.asarray(drawn.convert("RGB"), int) - np.asarray(reduced.convert("RGB"), int)).mean() < 1
    assert len(small) < 0.4 * len(picture) and findings == (results / "01_line/findings.json").read_bytes()
    (results / "kept/17_gone").mkdir()
    (results / "kept/17_gone/findings.json").touch()
    lecture.run(root, "page", quick=False)
    assert not (results / "kept/17_gone/findings.json").exists()

    monkeypatch.delenv("DVC_STAGE")
    shutil.rmtree(results / "01_line")  # as in a clone
    lecture.run(root, "page", quick=False)
    assert (root / "results/lecture-by-hand/lecture.json").read_bytes() == whole
    assert base64.b64encode(small).decode() in (root / "results/lecture-by-hand/lecture.html").read_text()


def test_the_small_budget_shows_the_full_run_and_claims_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    claim = Hypothesis("a beats b", "points", 1.5, 1.0, 2.0, 9)
    told = Table("A table.", ["share"], [["77.00 ± 0.25 %"]])

    def topic(context: Any) -> Result:
        few = dataclasses.replace(claim, difference=279.5, low=float("nan"), high=float("nan"), n=1)
        drawn = Figure(figsize=(1 + context.quick, 1))
        return Result([equal("one", 1, 1)], {"line": drawn}, [few if context.quick else claim], [told], f"{context.quick}")

    monkeypatch.setattr(Topic, "load", lambda self: topic)
    lecture.run(root, "all", quick=True)
    alone = (root / "results/lecture-quick/lecture.html").read_text()
    assert "279.5" not in alone and "a beats b" not in alone and "± 0.25" not in alone and 'class="conclusion"' not in alone
    assert "1 claims: the full budget decides them" in capsys.readouterr().out and "Quick budget:" in alone

    lecture.run(root, "all", quick=False)
    lecture.run(root, "page", quick=True)
    beside = (root / "results/lecture-quick/lecture.html").read_text()
    assert "279.5" not in beside and "1 to 2" in beside and "± 0.25" in beside and ">False</p>" in beside
    assert "1 of 1 checks hold (quick budget)" in beside and "Quick budget:" not in beside
    full = (root / "results/lecture/kept/01_line/line.png").read_bytes()
    assert base64.b64encode(full).decode() in beside

    shutil.rmtree(root / "results/lecture/kept")  # what lecture.json says is left
    lecture.run(root, "page", quick=True)
    rest = (root / "results/lecture-quick/lecture.html").read_text()
    assert "1 to 2" in rest and "± 0.25" not in rest and "Quick budget:" in rest
    monkeypatch.delenv("DVC_STAGE")
    lecture.run(root, "page", quick=False)
    assert (
        "not its figures and tables: <code>filterlab lecture 1</code>"
        in (root / "results/lecture-by-hand/lecture.html").read_text()
    )


def test_git_keeps_what_lecture_json_says() -> None:
    """And small: the whole below 3 MB."""
    folder = REPOSITORY / "results/lecture"
    numbers = json.loads((folder / "lecture.json").read_text())
    kept = {path.parent.name: json.loads(path.read_text()) for path in (folder / "kept").glob("*/findings.json")}
    assert kept.keys() <= {topic.name for topic in topics.all_topics() if topic.compute}
    for name, findings in kept.items():
        told = numbers[str(int(name.partition("_")[0]))]
        assert {key: findings[key] for key in told if key != "title"} == {key: told[key] for key in told if key != "title"}
        assert {path.stem for path in (folder / "kept" / name).glob("*.png")} == findings["figures"].keys()
    assert sum(path.stat().st_size for path in (folder / "kept").rglob("*")) < 3_000_000


def test_by_hand_it_lies_where_dvc_keeps_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`dvc exp run` deletes what lies at a place of DVC's and is not in its cache."""
    monkeypatch.delenv("DVC_STAGE")
    lecture.run(root, "all", quick=False)
    names = ["01_line/findings.json", "01_line/line.png", "lecture.html", "lecture.json"]
    assert list(written(root)) == [f"results/lecture-by-hand/{name}" for name in names]
    said = capsys.readouterr().out
    assert "results/lecture-by-hand/01_line/\n" in said and "results/lecture-by-hand/lecture.html" in said
    kept = {out for stage in stages(REPOSITORY) for out in stage}
    assert not [out for out in kept if out.startswith(("results/lecture-by-hand", "results/lecture-quick"))]
    assert "results/lecture/01_line" in kept


def stages(root: Path) -> list[list[str]]:
    """The outputs of each stage of both pipelines."""
    with contextlib.chdir(root), Repo() as repository:
        return [[Path(out.fs_path).relative_to(root).as_posix() for out in stage.outs] for stage in repository.index.stages]


def failing(context: Any) -> Result:
    """A topic's function whose check fails; text that is no markup."""
    assert (matplotlib.rcParams["axes.labelsize"], matplotlib.rcParams["legend.frameon"]) == (11.0, False)  # lecture.mplstyle
    return Result(
        checks=[equal("one", 2, 1), equal("rows", [[1, 2], [3, 4]], [[1, 2], [3, 4]])],
        figures={},
        hypotheses=[Hypothesis("a beats b", "points", 1.5, float("nan"), float("nan"), 2)],
        tables=[Table("A table.", ["name", "n"], [["<i>", "1"]])],
        costs=[Table("Seconds.", ["s"], [["0.5"]])],
    )


def test_a_failed_check_is_an_error_and_nothing_is_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Topic, "load", lambda self: failing)
    marked = dataclasses.replace(ONLY[0], text="Is `1 < 2`? <b>", correction="No, `a` & b.")
    monkeypatch.setattr(topics, "all_topics", lambda: [marked, ONLY[1]])
    with pytest.raises(UserError, match="topic 1, one: 2, expected 1"):
        lecture.run(root, "all", quick=False)
    text = (root / "results/lecture/lecture.html").read_text()
    assert "1 of 2" in text and ">fails</td>" in text and "<td>Seconds." not in text
    assert "Is <code>1 &lt; 2</code>? &lt;b&gt;" in text and "<code>a</code> &amp; b." in text and "&lt;i&gt;" in text
    assert "can&#39;t be told" in text and "Seconds." in text
    assert re.search(r'class="number">1, 2\n3, 4<', text)
    assert (root / "results/lecture/01_line/costs.json").exists()


def test_a_figure_without_a_caption_is_named_and_what_was_there_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lecture.run(root, "all", quick=False)
    before = written(root)
    monkeypatch.setattr(Topic, "load", lambda self: lambda context: Result(checks=[], figures={"lime": Figure()}))
    with pytest.raises(UserError, match=r"topics/01_line\.md: no key 'lime' in figures; there are: line\. Did you mean line\?"):
        lecture.run(root, "1", quick=False)
    assert written(root) == before


def test_a_page_of_what_was_not_run_names_the_command(root: Path) -> None:
    with pytest.raises(DataError, match=re.escape("`filterlab lecture 1 --quick` makes it")):
        lecture.run(root, "page", quick=True)


def test_the_command_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["lecture", "--list"])
    assert capsys.readouterr().out.splitlines() == [
        "   1  Fitting a line (s5-6)",
        "  19  The zoo (s76)  (comes later)",
    ]
    with pytest.raises(SystemExit) as ended:
        main(["lecture", "3"])
    assert ended.value.code == 2
    assert "there is no topic '3'; there are:" in capsys.readouterr().err
    main(["lecture", "1"])
    assert "2 of 2 checks hold" in capsys.readouterr().out
    assert not (root / "results/lecture/lecture.html").exists()


def test_values_are_written_as_they_are_read() -> None:
    shown = {True: "yes", 7: "7", 157_386: "157,386", 0.1: "0.1", 1 / 3: "0.333333", "a": "a"}
    assert {given: lecture_page.value(given) for given in shown} == shown
    assert lecture_page.value([1, 2]) == "1, 2"
