"""Files that can't be read, mislead, or would never end: one sentence that names the file, at once."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

from filterlab.config import compose, document, resolved
from filterlab.errors import ConfigError

BOMB = b"a0: &a0 [1, 1]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
MERGED = b"a0: &a0 {x: 1}\n" + b"".join(
    b"a%d: &a%d {<<: [*a%d, *a%d], y%d: *a%d}\n" % (n, n, n - 1, n - 1, n, n - 1) for n in range(1, 60)
)
BAD = [
    pytest.param(BOMB, "more than 10,000 values by line 1", id="alias bomb"),
    pytest.param(MERGED, "more than 10,000 values by line", id="merged bomb"),
    pytest.param(b"a: &a [*a]\n", "*a in line 1 stands inside of what it stands for", id="in itself"),
    pytest.param(b"a: " + b"[" * 5000, "more than 20 lists and mappings inside of each other in line 1", id="deep"),
    pytest.param(b"".join(b" " * n + b"a:\n" for n in range(300)), "more than 20 lists and mappings inside", id="deep block"),
    pytest.param(b"a: [" + b"1, " * 12000 + b"]", "more than 10,000 values by line 1", id="long list"),
    pytest.param(b"a: " + b"x" * 2000, "a value of more than 1,000 characters in line 1", id="long value"),
    pytest.param(b"a: " + b"9" * 5000, "a value of more than 1,000 characters in line 1", id="long number"),
    pytest.param(b"a: 1\n" * 20000, "it is larger than 65,536 bytes", id="large"),
    pytest.param(b"a: 1\nb: \xff\n", "byte 0xff in line 2 is no UTF-8; save it as UTF-8", id="no UTF-8"),
    pytest.param("a: ä".encode("utf-16"), "byte 0xff in line 1 is no UTF-8", id="UTF-16"),
    pytest.param(b"a: 1\0\n", "unacceptable character #x0000: special characters are not allowed", id="NUL"),
    pytest.param(b"\xef\xbb\xbfa: 1\n", "it begins with a byte order mark; save it as UTF-8 without one", id="BOM"),
    pytest.param(b"a:\n\tb: 1\n", "cannot start any token in line 2", id="tab"),
    pytest.param(
        b"a: !!python/object/apply:os.system [x]\n", "the tag tag:yaml.org,2002:python/object/apply:os.system", id="python"
    ),
    pytest.param(b"a: !!set {b}\n", "the tag tag:yaml.org,2002:set in line 1", id="set"),
    pytest.param(b"a: !!binary aGk=\n", "the tag tag:yaml.org,2002:binary in line 1", id="binary"),
    pytest.param(b"a: !mine 3\n", "the tag !mine in line 1", id="own tag"),
    pytest.param(b"a: 1\nb: 2\na: 3\n", "duplicate key 'a' in line 3", id="duplicate"),
    pytest.param(b"a: {b: 1, b: 2}\n", "duplicate key 'b' in line 1", id="inner duplicate"),
    pytest.param(b"a: 1\n---\nb: 2\n", "but found another document", id="two documents"),
    pytest.param(b"a: *b\n", "found undefined alias", id="undefined alias"),
]


def told(make: Callable[[], object]) -> str:
    start = time.monotonic()
    with pytest.raises(ConfigError) as raised:
        make()
    assert time.monotonic() - start < 20
    [fault] = raised.value.faults
    assert "\n" not in fault and len(fault) < 600
    return fault


@pytest.mark.parametrize(("content", "expected"), BAD)
def test_content(tmp_path: Path, own_conf: Path, content: bytes, expected: str) -> None:
    """In params.yaml, in conf/ and in the resolved config alike."""
    (tmp_path / "results").mkdir()
    for path in (tmp_path / "params.yaml", own_conf / "model/mine.yaml", tmp_path / resolved.RESOLVED):
        path.write_bytes(content)
    assert expected in (fault := told(lambda: compose.read_parameters(tmp_path / "params.yaml")))
    assert fault.startswith(f"{tmp_path / 'params.yaml'} is no valid YAML: ")
    assert expected in (fault := told(lambda: compose.compose(own_conf, ["model=mine"])))
    assert fault.startswith("conf/model/mine.yaml: ")
    assert expected in (fault := told(lambda: resolved.load(tmp_path)))
    assert fault.startswith("results/config.yaml is no configuration (")


def folder(path: Path) -> None:
    path.mkdir()


def nothing(path: Path) -> None:
    path.symlink_to("nothing")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (folder, "it is a folder"),
        (os.mkfifo, "it is no regular file"),
        (loop, "it can't be read: Too many levels of symbolic links"),
    ],
)
def test_no_file(tmp_path: Path, own_conf: Path, make: Callable[[Path], None], expected: str) -> None:
    (tmp_path / "results").mkdir()
    for path in (tmp_path / "params.yaml", own_conf / "model/mine.yaml", tmp_path / resolved.RESOLVED):
        make(path)
    assert (
        told(lambda: compose.read_parameters(tmp_path / "params.yaml"))
        == f"{tmp_path / 'params.yaml'} is no valid YAML: {expected}"
    )
    assert told(lambda: compose.compose(own_conf, ["model=mine"])) == f"conf/model/mine.yaml: {expected}"
    assert told(lambda: resolved.load(tmp_path)).startswith(f"results/config.yaml is no configuration ({expected}): ")


def test_link_to_nothing(own_conf: Path) -> None:
    nothing(own_conf / "model/mine.yaml")
    assert told(lambda: compose.compose(own_conf, ["model=mine"])) == "conf/model/mine.yaml is a link to nothing"


def test_aliases_may_be_used(own_conf: Path) -> None:
    """They are YAML, as long as they stay small."""
    (own_conf / "model/mine.yaml").write_text(
        "defaults: [conv_net, _self_]\nlayers: [&a {filters: 8, kernel: 3}, *a, {<<: *a, filters: 9}]\n"
    )
    assert [layer.filters for layer in compose.compose(own_conf, ["model=mine"]).model.layers] == [8, 8, 9]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1\n", "holds a list, expected `key: value` lines"),
        ("3\n", "holds a int, expected `key: value` lines"),
        ("true: 1\n", "True: a key is True, expected text"),
        ("1: 2\n", "1: a key is 1, expected text"),
        ("# @package\na: 1\n", "Expected header format"),
        ("defaults: [{a: 1, b: 2}]\n", "defaults has {'a': 1, 'b': 2}, expected options such as mnist"),
        ("defaults: [{data: false}]\n", "defaults has {'data': False}, expected options such as mnist"),
        ("defaults: mnist\n", "defaults is 'mnist', expected a list such as [mnist, _self_]"),
        ("defaults: [3]\n", "defaults has 3, expected options such as mnist"),
    ],
)
def test_file_of_conf(own_conf: Path, text: str, expected: str) -> None:
    (own_conf / "model/mine.yaml").write_text(text)
    assert told(lambda: compose.compose(own_conf, ["model=mine"])).startswith("conf/model/mine.yaml: ")
    assert expected in told(lambda: compose.compose(own_conf, ["model=mine"]))


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "experiment/small",
            "# @package _global_\nexperiment: small\ndefaults: [fats, _self_]\n",
            "experiment has no option 'fats'",
        ),
        ("model/mine", "defaults: [con_net, _self_]\n", "model has no option 'con_net'"),
    ],
)
def test_a_base_that_there_is_not(own_conf: Path, file: str, text: str, expected: str) -> None:
    """The sentence names the file, what it has, and what there is."""
    (own_conf / f"{file}.yaml").write_text(text)
    group, name = file.split("/")
    said = told(lambda: compose.compose(own_conf, [f"{group}={name}"]))
    assert said.startswith(f"conf/{file}.yaml: defaults has '") and f": {expected}; there are: " in said
    assert said.endswith(f". Did you mean {'fast' if group == 'experiment' else 'conv_net'}?")


def test_primary_config_without_its_defaults(own_conf: Path) -> None:
    (own_conf / "config.yaml").write_text("seed: 3\n")
    assert told(lambda: compose.compose(own_conf, [])).startswith(
        "conf/config.yaml is no primary config: its defaults choose no data, model, optimizer,"
    )


YAML_1_2 = [
    ("no", "no"),
    ("yes", "yes"),
    ("on", "on"),
    ("Off", "Off"),
    ("y", "y"),
    ("01", "01"),
    ("0x10", "0x10"),
    ("0o14", "0o14"),
    ("1_000", "1_000"),
    ("12:30", "12:30"),
    ("2020-01-01", "2020-01-01"),
    ("2026-99-99", "2026-99-99"),
    ("=", "="),
    ("0b1", "0b1"),
    ("3", 3),
    ("-3", -3),
    ("0", 0),
    ("1e3", 1000.0),
    ("1.10", 1.1),
    (".5", 0.5),
    ("1.", 1.0),
    ("-1e-3", -0.001),
    (".inf", float("inf")),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
]


@pytest.mark.parametrize(("written", "value"), YAML_1_2, ids=lambda part: repr(part))
def test_yaml_1_2(written: str, value: object) -> None:
    """What YAML 1.1 takes for a boolean, a number in another base or a time is text; a zero before a number makes it text."""
    found = document.values(f"a: [{written}, {written}]\nb: {written}\n" if written else "a: [~, ~]\nb:\n")
    assert found == {"a": [value, value], "b": value}
    assert {type(each) for each in (*found["a"], found["b"])} == {type(value)}


@given(st.text() | st.sampled_from([written for written, _ in YAML_1_2]))
def test_text_is_written_for_both_versions(text: str) -> None:
    """The resolved config is read here as YAML 1.2; MLflow's and a reader's own tools may read YAML 1.1."""
    written = document.written({"a": text})
    assert yaml.safe_load(written) == {"a": text} == document.values(written)


CLASSES = "[no, yes, on, 01, 02, 12:30, 0x1F, 2020-01-01, 7, ~x]"


def test_names_of_classes_are_text(own_conf: Path) -> None:
    """Those of conf/data/*.yaml, whatever YAML 1.1 would take them for; a number's digits where it is written plainly."""
    (own_conf / "data/mine.yaml").write_text(f"defaults: [mnist, _self_]\nclasses: {CLASSES}\n")
    names = ["no", "yes", "on", "01", "02", "12:30", "0x1F", "2020-01-01", "7", "~x"]
    assert compose.compose(own_conf, ["data=mine"]).data.classes == names


@pytest.mark.parametrize("written", ["1.10", "true", "null", "1e3"])
def test_a_name_that_is_no_text_is_refused(own_conf: Path, written: str) -> None:
    """Rather than converted: of 1.10 the zero would be lost."""
    (own_conf / "data/mine.yaml").write_text(f"defaults: [mnist, _self_]\nclasses: [a, {written}]\n")
    assert told(lambda: compose.compose(own_conf, ["data=mine"])).startswith(
        f"data.classes.1 is {document.values(written)!r}, expected 1 to 255 bytes of visible text"
    )


def test_option_named_off(own_conf: Path) -> None:
    """`tracking: off` chooses that option in a defaults list, too."""
    (own_conf / "experiment/quiet.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /tracking: off\nexperiment: quiet\n"
    )
    assert compose.compose(own_conf, ["experiment=quiet"]).tracking.backend == "off"


def test_limits_leave_room() -> None:
    """A thousand classes and files, the most there may be, are read."""
    text = "classes:\n" + "".join(f"  - n{n:08} a long name\n" for n in range(1000))
    assert len(document.values(text)["classes"]) == 1000
