"""Hydra's sweep syntax becomes Optuna's distributions, and each value the words that Hydra reads back."""

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from filterlab.errors import ConfigError
from filterlab.sweeps.space import corners, read_space, read_value, to_text
from filterlab.sweeps.sweep import swept_values

PARSER = OverridesParser.create()
OPTIONS = ["cnn", "lenet5", "mlp", "softmax"]


def searched(*words: str) -> dict[str, BaseDistribution]:
    return read_space(PARSER.parse_overrides(list(words)), options=lambda group: OPTIONS if group == "model" else [])[0]


def fault(*words: str) -> str:
    with pytest.raises(ConfigError) as error:
        searched(*words)
    (sentence,) = error.value.faults
    return sentence


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("1,2", CategoricalDistribution(["1", "2"])),
        ("choice(mlp,cnn)", CategoricalDistribution(["mlp", "cnn"])),
        ("1e-3,true,null,[8,16]", CategoricalDistribution(["0.001", "True", "null", "[8,16]"])),
        ("'a, b',plain", CategoricalDistribution(["'a, b'", "plain"])),
        ("choice('a, b',\"it's\",'32','true',32)", CategoricalDistribution(["a\\,\\ b", "'it\\'s'", "'32'", "'true'", "32"])),
        ("sort(3,1,2)", CategoricalDistribution(["1", "2", "3"])),
        ("range(1,10)", IntDistribution(1, 9)),
        ("range(5)", IntDistribution(0, 4)),
        ("range(0,10,3)", IntDistribution(0, 9, step=3)),
        ("range(9,0,-4)", IntDistribution(1, 9, step=4)),
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("range(1.5,0.1,-0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("interval(0,1)", FloatDistribution(0, 1)),
        ("interval(-1,1e3)", FloatDistribution(-1, 1000)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("float(range(1,4))", FloatDistribution(1, 3, step=1)),
        ("tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("tag(log,range(1,65))", IntDistribution(1, 64, log=True)),
    ],
)
def test_sweeps_are_distributions(sweep: str, expected: BaseDistribution) -> None:
    assert searched(f"key={sweep}") == {"key": expected}


def test_globs_choose_from_a_config_group() -> None:
    assert searched("model=glob(*)")["model"] == CategoricalDistribution(OPTIONS)
    assert searched("model=glob([*n*,softmax],exclude=lenet*)")["model"] == CategoricalDistribution(["cnn", "softmax"])


@pytest.mark.parametrize("sweep", ["range(1,10)", "range(0,10,3)", "range(9,0,-4)", "range(0.5,3,0.5)", "range(1,-1,-0.25)"])
def test_ranges_hold_what_hydras_grid_holds(sweep: str) -> None:
    (override,) = PARSER.parse_overrides([f"key={sweep}"])
    kind = searched(f"key={sweep}")["key"]
    assert isinstance(kind, (IntDistribution, FloatDistribution)) and kind.step
    count = round((kind.high - kind.low) / kind.step) + 1
    assert sorted(override.sweep_iterator()) == [kind.low + index * kind.step for index in range(count)]


def test_what_is_not_swept_stays_as_it_was_said() -> None:
    words = [
        "model=mlp",
        "optimizer.lr=interval(0,1)",
        "trainer.precision='32'",
        "model.hidden=[8,16]",
        "~schedule",
        "+note='a, b'",
    ]
    found, fixed = read_space(PARSER.parse_overrides(words))
    assert list(found) == ["optimizer.lr"]
    assert fixed == [word for word in words if "interval" not in word]


def test_the_later_of_two_counts() -> None:
    found, fixed = read_space(PARSER.parse_overrides(["a=interval(0,1)", "b=interval(0,1)", "a=interval(2,3)", "b=0.5"]))
    assert found == {"a": FloatDistribution(2, 3)}
    assert fixed == ["b=0.5"]


@pytest.mark.parametrize(
    ("sweep", "complaint"),
    [
        ("range(5,5)", "range(5, 5, 1) is empty"),
        ("range(1,10,-1)", "is empty"),
        ("range(1,10,0)", "a step other than 0"),
        ("range(0,inf,0.5)", "finite numbers"),
        ("interval(1,1)", "interval(1.0, 1.0) is empty"),
        ("interval(2,1)", "lower end first"),
        ("interval(0,inf)", "endless"),
        ("interval(nan,1)", "endless"),
        ("tag(log,interval(0,1))", "reaches 0.0: expected numbers > 0"),
        ("tag(log,interval(-1,1))", "reaches -1.0"),
        ("tag(log,range(0,8))", "reaches 0"),
        ("tag(log,range(1,9,2))", "write tag(log, interval(1, 7))"),
        ("tag(log,range(0.5,2,0.5))", "has steps"),
        ("tag(log,choice(1,2))", "choices have no scale"),
        ("tag(lin,interval(0,1))", "no tag lin; there is: log"),
        ("shuffle(1,2,3)", "shuffle() means nothing"),
        ("shuffle(range(1,5))", "shuffle() means nothing"),
        ("choice(1,2,1)", "1 stands there more than once"),
        ("glob(*)", "key is none; list the values"),
    ],
)
def test_what_cannot_be_searched(sweep: str, complaint: str) -> None:
    sentence = fault(f"key={sweep}")
    assert sentence.startswith("key: ")
    assert complaint in sentence


@pytest.mark.parametrize("key", ["seed", "data.seed", "+seed"])
def test_seeds_are_repeated_not_searched(key: str) -> None:
    assert "a seed is not searched, it is repeated" in fault(f"{key}=range(5)")


def test_a_glob_that_matches_nothing() -> None:
    assert fault("model=glob(vgg*)") == "model: glob() matches none of cnn, lenet5, mlp, softmax"


def test_nothing_to_search() -> None:
    assert "nothing to search" in fault("model=mlp")


def test_all_faults_are_told_together() -> None:
    with pytest.raises(ConfigError) as error:
        searched("a=range(1,1)", "b=interval(0,1)", "c=interval(1,0)")
    assert [sentence[0] for sentence in error.value.faults] == ["a", "c"]


@given(low=st.floats(1e-12, 1e6), factor=st.floats(1.001, 1e6), share=st.floats(0, 1))
def test_hydra_reads_numbers_back_to_the_bit(low: float, factor: float, share: float) -> None:
    kind = FloatDistribution(low, low * factor, log=True)
    value = math.exp(math.log(low) + share * math.log(factor))
    (override,) = PARSER.parse_overrides([f"key={to_text(kind, value)}"])
    assert override.value() == value
    assert read_value(kind, to_text(kind, value)) == value


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ("1,1.0,'1',true,'true',null,'null'", [1, 1.0, "1", True, "true", None, "null"]),
        ("choice(1,1.0,'1',true,'true','null')", [1, 1.0, "1", True, "true", "null"]),
        ("'a, b',\"it's\",'x=y',a b,[1,2],{a:1}", ["a, b", "it's", "x=y", "a b", [1, 2], {"a": 1}]),
        ("choice('a, b',\"it's\",'x=y',a b,[1,2],{a:1},'')", ["a, b", "it's", "x=y", "a b", [1, 2], {"a": 1}, ""]),
        ("1e-5,1e22,-3", [1e-5, 1e22, -3]),
    ],
)
def test_hydra_reads_choices_back(choices: str, expected: list[object]) -> None:
    """Choices that Python holds equal (1, 1.0 and True) stay apart, and so do numbers from their names."""
    kind = searched(f"key={choices}")["key"]
    assert isinstance(kind, CategoricalDistribution)
    printed = [PARSER.parse_override(f"key={to_text(kind, choice)}").value() for choice in kind.choices]
    assert [(type(value), value) for value in printed] == [(type(value), value) for value in expected]
    assert [read_value(kind, choice) for choice in kind.choices] == list(kind.choices)


@pytest.mark.parametrize(
    ("sweep", "stored", "expected"),
    [
        ("'a, b',c", "a, b", "'a, b'"),
        ("'a, b',c", "c", "c"),
        ("1e-3,1e-2", "0.001", "0.001"),
        ("true,false", "False", "False"),
        ("null,3", "null", "null"),
        ("[8],[8,16]", "[8,16]", "[8,16]"),
        ("1,true", "True", "True"),
        ("1,'2'", "2", "'2'"),
        ("int(interval(1,8))", "3", 3),
        ("interval(0,1)", "1e-3", 0.001),
    ],
)
def test_what_a_store_gives_back(sweep: str, stored: str, expected: object) -> None:
    found = read_value(searched(f"key={sweep}")["key"], stored)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    "sweep", ["1e-3,0.01,TRUE,false,'a, b',\"it's\",[8, 16],{a: 1},x y", "choice(1e-3,true,'a, b',[8, 16],{a: 1})"]
)
def test_what_a_grid_trained_a_search_of_these_choices_knows(sweep: str) -> None:
    """By the text that the store keeps of a grid's trials, in which quotes are taken off."""
    (override,) = PARSER.parse_overrides([f"key={sweep}"])
    kind = searched(f"key={sweep}")["key"]
    assert isinstance(kind, CategoricalDistribution)
    stored = [swept_values([f"key={value}"], ["key"])["key"] for value in override.sweep_string_iterator()]
    assert [read_value(kind, text) for text in stored] == list(kind.choices)


@pytest.mark.parametrize(("sweep", "stored"), [("1,2", "3"), ("int(interval(1,8))", "2.5"), ("interval(0,1)", "mlp")])
def test_what_a_store_cannot_have(sweep: str, stored: str) -> None:
    kind = searched(f"key={sweep}")["key"]
    with pytest.raises(ValueError):
        read_value(kind, stored)


def test_steps_are_the_numbers_that_were_written() -> None:
    """0.30000000000000004 is what the binary numbers give."""
    kind = searched("key=range(0,1,0.1)")["key"]
    assert [to_text(kind, index * 0.1) for index in range(10)] == [f"0.{index}" for index in range(10)]


def test_corners_hold_every_choice_and_both_ends() -> None:
    found = searched("lr=tag(log,interval(1e-3,1))", "model=choice(mlp,cnn,softmax)", "trainer.max_epochs=int(interval(1,8))")
    assert corners(found) == [
        ["lr=0.001", "model=mlp", "trainer.max_epochs=1"],
        ["lr=1.0", "model=cnn", "trainer.max_epochs=8"],
        ["lr=1.0", "model=softmax", "trainer.max_epochs=8"],
    ]
