"""The list of topics, and how a check is judged."""

from pathlib import Path

import pytest

from filterlab.errors import UserError
from filterlab.lecture import topic, topics
from filterlab.study.statistics import paired

WORKED_OUT = [*range(1, 16), 18]


def test_twenty_topics_in_the_lectures_order() -> None:
    assert [entry.number for entry in topics.TOPICS] == list(range(1, 21))
    assert [entry.number for entry in topics.TOPICS if entry.module] == WORKED_OUT
    assert len({entry.module for entry in topics.TOPICS if entry.module}) == len(WORKED_OUT)


@pytest.mark.parametrize("number", WORKED_OUT)
def test_every_topic_says_something_and_cites_its_formulas(number: int) -> None:
    page = topics.find(number).load().PAGE
    assert page.says.strip() and page.formulas
    assert all(formula.tex.strip() and formula.source.strip() for formula in page.formulas)
    assert page.says.count("`") % 2 == page.correction.count("`") % 2 == 0


def test_topics_without_checks_written_elsewhere_have_tests() -> None:
    here = Path(__file__).parent
    assert [entry.module for entry in topics.TOPICS if entry.module and not (here / f"test_{entry.module}.py").exists()] == []


@pytest.mark.parametrize("asked", [21, "0", "edges"])
def test_an_unknown_topic_lists_the_topics(asked: int | str) -> None:
    with pytest.raises(UserError, match="no topic") as error:
        topics.find(asked)
    assert "10  The edge filter (s37-52)" in str(error.value)


def test_a_topic_that_comes_later_says_so() -> None:
    with pytest.raises(UserError, match=r"topic 16 \(What learned filters look like\) comes later"):
        topics.find("16")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (topic.equal("", 7, 7), True),
        (topic.equal("", 7, 8), False),
        (topic.equal("", 1, True), False),
        (topic.equal("", [[1, 2]], [[1, 2]]), True),
        (topic.close("", 1.00005, 1.0, tolerance=1e-4), True),
        (topic.close("", 1.00015, 1.0, tolerance=1e-4), False),
        (topic.close("", [1.0, 2.0], [1.0], tolerance=1.0), False),
        (topic.close("", float("nan"), 1.0, tolerance=1.0), False),
        (topic.between("", 0.97, 0.96, 0.98), True),
        (topic.between("", 0.99, 0.96, 0.98), False),
        (topic.between("", 3.0, 2.0), True),
        (topic.below("", 3.0, 2.0), False),
        (topic.below("", 2.0, 2.0), True),
    ],
)
def test_a_check_is_judged(check: topic.Check, passed: bool) -> None:
    assert check.passed is passed


def test_a_hypothesis_may_hold_fail_or_stay_open() -> None:
    seeds = [str(seed) for seed in range(5)]
    up = dict(zip(seeds, [0.91, 0.93, 0.92, 0.94, 0.95], strict=True))
    down = dict(zip(seeds, [0.90, 0.91, 0.91, 0.92, 0.94], strict=True))
    found = topic.hypothesis("up beats down", paired(up, down), unit="points", scale=100)
    assert found.verdict == "holds" and found.n == 5
    assert found.difference == pytest.approx(1.4) and found.low == pytest.approx(100 * paired(up, down).low)
    assert topic.hypothesis("down beats up", paired(down, up), unit="").verdict == "fails"
    same = topic.hypothesis("up beats up", paired(up, up), unit="")
    assert same.verdict == "can't be told"
