"""The list of topics, and how a check is judged."""

from pathlib import Path

import pytest

from filterlab.errors import UserError
from filterlab.lecture import result, topic

WORKED_OUT = [*range(1, 16), 18]
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
    table = result.new_table("05_universal", "boolean", [["XOR"]], hidden=4)
    assert (table.header[-1], table.rows) == ("MLPs, 4 hidden units", [["XOR"]])
    values = {"top": 1.5, "end": 1.0, "reach": 5.0, "far": 30.0, "excess": 1e-9}
    assert result.conclude("03_bump", "sum", **values).startswith("The sum of a rising and a falling unit peaks at 1.5000")
    with pytest.raises(KeyError, match="hidden"):
        result.new_table("05_universal", "boolean", [])


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
    with pytest.raises(UserError, match=r"topic 16 \(What learned filters look like\) comes later"):
        topic.find("16")


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
