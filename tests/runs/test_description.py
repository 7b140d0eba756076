"""What runs are called, and what their pages say."""

import shlex
from pathlib import Path

import pytest

from filterlab.config import compose, resolved
from filterlab.runs.description import describe, shell

CONF = Path(__file__).parents[2] / "conf"
EVERYTHING = ["model=resnet", "optimizer=adadelta", "schedule=cosine", "augment=affine", "data=fashion_mnist", "trainer=ddp"]
EVERYTHING += ["trainer.max_epochs=99", "trainer.label_smoothing=0.25", "data.take=first", "data.take_n=777", "model.width=99"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "mnist cnn"),
        (["seed=3"], "cnn seed=3"),
        (["model=mlp", "optimizer.lr=0.01", "seed=3"], "mlp lr=0.01 seed=3"),
        (["data=digits", "optimizer=adam"], "cnn digits adam"),
        (["experiment=fast"], "cnn fast"),
        (["experiment=fast", "trainer.max_epochs=1"], "cnn fast max_epochs=1"),
        (["model=mlp", "model.hidden=[8]"], "mlp hidden=[8]"),
        (["model.layers.0.filters=7"], "cnn layers=[…]"),
        (["trainer.checkpoint_seconds=5"], "mnist cnn"),
        (["tracking=off", "tracking.experiment='an other'"], "mnist cnn"),
    ],
    ids=str,
)
def test_a_run_is_named_by_what_differs(words: list[str], name: str) -> None:
    assert describe(compose.compose(CONF, words), CONF).name == name


@pytest.mark.parametrize(
    "words",
    [[], EVERYTHING, ["experiment=fast", "data=digits"], ["model.layers.0.filters=7"], ["data.mirrors=['http://it.is/a$b;c/']"]],
    ids=str,
)
def test_the_note_says_what_differs_and_how_it_is_done_again(words: list[str]) -> None:
    config = compose.compose(CONF, words)
    told = describe(config, CONF)
    assert len(told.name) <= 100 and len(told.note) <= 8000
    for word in words:
        key = word.partition("=")[0]
        assert "." not in key or f"- `{key.partition('.0')[0]}` is " in told.note, key
    program, verb, *again = shlex.split(told.note.splitlines()[-1])
    assert (program, verb) == ("filterlab", "train")
    assert resolved.key(compose.compose(CONF, again)) == resolved.key(config)


@pytest.mark.parametrize("word", ["a=1", "a='b c'", "a=$b", "a='$b'", "a='b\"c'"])
def test_words_reach_the_program_as_they_are(word: str) -> None:
    assert shlex.split(shell(word)) == [word]
