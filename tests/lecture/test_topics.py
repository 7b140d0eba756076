"""The list of topics, and how a check is judged."""

import re
import shutil
from pathlib import Path

import pytest

from filterlab.errors import UserError
from filterlab.lecture import result, topic
from filterlab.lecture.context import Context
from filterlab.stages import lecture_page

ROOT = Path(__file__).parents[2]
WORKED_OUT = [*range(1, 19)]
PARTS = {"algorithm": ["tutorial", "variants", "noisy_labels"], "coding_or_discovery": ["learning_curves"]}


def test_twenty_topics_in_the_lectures_order() -> None:
    assert [entry.number for entry in topic.all_topics()] == list(range(1, 21))
    assert [entry.number for entry in topic.all_topics() if entry.module] == WORKED_OUT
    assert len({entry.module for entry in topic.all_topics() if entry.module}) == len(WORKED_OUT)


@pytest.mark.parametrize("entry", [entry for entry in topic.all_topics() if entry.compute], ids=lambda entry: entry.name)
def test_every_topic_says_something_and_cites_its_formulas(entry: topic.Topic) -> None:
    assert topic.find(entry.number) == entry
    assert entry.text and entry.formulas and entry.figures
    assert all(formula.tex.strip() and formula.source.strip() for formula in entry.formulas)
    assert all(figure.caption for figure in entry.figures.values())
    assert entry.text.count("`") % 2 == entry.correction.count("`") % 2 == 0
    assert callable(entry.load())


@pytest.mark.parametrize("entry", [entry for entry in topic.all_topics() if entry.compute], ids=lambda entry: entry.name)
def test_what_the_text_names_is_made(entry: topic.Topic) -> None:
    """Each figure, table and conclusion, by its name, in the topic's own modules."""
    package = Path(topic.__file__).parent
    modules = [entry.module, *PARTS.get(entry.module, [])]
    code = "".join((package / f"{module}.py").read_text() for module in modules)
    for name in (*entry.figures, *entry.tables, *entry.conclusions):
        assert f'"{name}"' in code, name


def test_a_table_and_a_conclusion_have_the_values_in_their_places() -> None:
    table = result.new_table("universal", "boolean", [["XOR"]], hidden=4)
    assert (table.header[-1], table.rows) == ("MLPs, 4 hidden units", [["XOR"]])
    values = {"top": 1.5, "end": 1.0, "reach": 5.0, "far": 30.0, "excess": 1e-9}
    assert result.conclude("bump", "sum", **values).startswith("The sum of a rising and a falling unit peaks at 1.5000")
    with pytest.raises(KeyError, match="hidden"):
        result.new_table("universal", "boolean", [])


GOOD = """---
title: Two dice
slides: "78"
compute: line.fit_line
figures:
  sums: {caption: Seven is the most frequent.}
---
Text.
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title: Two dice", "titel: Two dice", "no key 'titel' in its front matter; there are: title, slides, compute,"),
        ("title: Two dice", "title: Two dice\nname: dice", "no key 'name' in its front matter"),
        ("title: Two dice\n", "", "title has no value"),
        ('"78"', "78", "slides is 78, expected text (in quotes"),
        ("caption:", "captoin:", "no key 'captoin' in figures.sums; there are: caption, title, subtitle. Did you mean caption?"),
        ("caption:", "title:", "figures.sums.caption has no value"),
        ("{caption: Seven is the most frequent.}", "Seven.", "figures.sums is 'Seven.', expected `key: value` lines"),
        ("compute:", "reads: data/raw\ncompute:", "reads is 'data/raw', expected a list"),
        ("compute:", "reads: [3]\ncompute:", "reads.1 is 3, expected text"),
        ("compute:", "formulas: [{tex: x}]\ncompute:", "formulas.1.source has no value"),
        (
            "line.fit_line",
            "lines.fit_line",
            "compute is 'lines.fit_line', and src/filterlab/lecture/lines.py has no function fit_line",
        ),
        ("line.fit_line", "line.fit", "compute is 'line.fit', and src/filterlab/lecture/line.py has no function fit"),
        ("line.fit_line", "line", "compute is 'line', and src/filterlab/lecture/line.py has no function "),
        ("---\n", "", "it has to begin with its front matter, between two lines of ---"),
        ("title: Two dice", "title: [", "its front matter is no valid YAML: expected ',' or ']'"),
        (GOOD, "---\n---\nText.", "its front matter is None, expected `key: value` lines"),
    ],
)
def test_a_mistake_in_a_topics_file_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "21_dice.md"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(UserError) as raised:
        topic.read(path)
    assert str(raised.value).startswith(f"topics/21_dice.md: {expected}") and "\n" not in str(raised.value)


def test_a_topics_file_has_a_number_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dice.md", "21.md", "x1_dice.md"):
        (tmp_path / name).write_text(GOOD)
        with pytest.raises(UserError, match=rf"topics/{name}: expected a number and a name, e\.g\. 21_dice\.md"):
            topic.read(tmp_path / name)
    package = tmp_path / "lecture"
    shutil.copytree(topic.FOLDER.parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "topics/10_dice.md").write_text(GOOD)
    monkeypatch.setattr(topic, "FOLDER", package / "topics")
    with pytest.raises(UserError, match=r"topics/10_dice\.md and topics/10_edge_filter\.md have one number, 10: give one"):
        topic.all_topics.__wrapped__()


def test_a_topics_file_may_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else says its name: the code finds its texts by the module that the file names."""
    package = tmp_path / "lecture"
    shutil.copytree(topic.FOLDER.parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "topics/03_bump.md").rename(package / "topics/21_two_steps.md")
    monkeypatch.setattr(topic, "FOLDER", package / "topics")
    topic.all_topics.cache_clear()
    try:
        assert topic.computed_in("bump").name == "21_two_steps"
        assert topic.find(21).load()(Context(ROOT, quick=True, record=lambda record: None)).conclusion
        twice = (package / "topics/01_line.md").read_text()
        (package / "topics/22_again.md").write_text(twice)
        topic.all_topics.cache_clear()
        with pytest.raises(UserError, match=r"^topics/01_line\.md and topics/22_again\.md: compute names a function of line\.py"):
            topic.computed_in("line")
        with pytest.raises(UserError, match=r"^no topic: compute names a function of dice\.py, expected just one topic"):
            topic.computed_in("dice")
    finally:
        topic.all_topics.cache_clear()


@pytest.mark.parametrize("kind", ["figures", "tables", "conclusions"])
def test_a_text_that_is_not_there_is_named(kind: str) -> None:
    with pytest.raises(UserError, match=rf"topics/05_universal\.md: no key 'bolean' in {kind}; there are: "):
        topic.computed_in("universal").find_text(kind, "bolean")


def test_topics_without_checks_written_elsewhere_have_tests() -> None:
    here = Path(__file__).parent
    computed = {entry.module for entry in topic.all_topics() if entry.compute}
    assert [module for module in computed if not (here / f"test_{module}.py").exists()] == []


@pytest.mark.parametrize("asked", [21, "0", "edges"])
def test_an_unknown_topic_lists_the_topics(asked: int | str) -> None:
    with pytest.raises(UserError, match="no topic") as error:
        topic.find(asked)
    assert "10  The edge filter (s37-52)" in str(error.value)


def test_a_topic_that_comes_later_says_so() -> None:
    with pytest.raises(UserError, match=r"topic 19 \(The zoo\) comes later"):
        topic.find("19")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (result.equal("", 7, 7), True),
        (result.equal("", 7, 8), False),
        (result.equal("", 1, True), False),
        (result.equal("", [[1, 2]], [[1, 2]]), True),
        (result.close("", 1.00005, 1.0, tolerance=1e-4), True),
        (result.close("", 1.00015, 1.0, tolerance=1e-4), False),
        (result.close("", [1.0, 2.0], [1.0], tolerance=1.0), False),
        (result.close("", float("nan"), 1.0, tolerance=1.0), False),
        (result.between("", 0.97, 0.96, 0.98), True),
        (result.between("", 0.99, 0.96, 0.98), False),
        (result.between("", 3.0, 2.0), True),
        (result.below("", 3.0, 2.0), False),
        (result.below("", 2.0, 2.0), True),
    ],
)
def test_a_check_is_judged(check: result.Check, passed: bool) -> None:
    assert check.passed is passed


@pytest.mark.parametrize("entry", topic.all_topics(), ids=lambda entry: entry.name)
def test_every_command_of_a_formula_is_known_to_what_draws_it(entry: topic.Topic) -> None:
    """Of another one latex2mathml keeps the text."""
    for formula in entry.formulas:
        assert "\\" not in re.sub(r"<[^>]*>", "", str(lecture_page.math(formula.tex))), formula.tex
