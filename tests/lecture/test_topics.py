"""The list of topics, and how a check is judged."""

from pathlib import Path

import pytest

from filterlab.errors import UserError
from filterlab.lecture import result, topic
from filterlab.study.statistics import paired

WORKED_OUT = [*range(1, 16), 18]


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


def test_a_hypothesis_may_hold_fail_or_stay_open() -> None:
    seeds = [str(seed) for seed in range(5)]
    up = dict(zip(seeds, [0.91, 0.93, 0.92, 0.94, 0.95], strict=True))
    down = dict(zip(seeds, [0.90, 0.91, 0.91, 0.92, 0.94], strict=True))
    found = result.compare("up beats down", up, down, unit="points", scale=100)
    assert found.verdict == "holds" and found.n == 5
    assert found.difference == pytest.approx(1.4) and found.low == pytest.approx(100 * paired(up, down).low)
    assert result.compare("down beats up", down, up, unit="").verdict == "fails"
    same = result.compare("up beats up", up, list(up.values()), unit="")
    assert same.verdict == "can't be told"
