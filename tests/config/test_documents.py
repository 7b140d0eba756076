"""Files that can't be read, mislead, or would never end: one sentence that names the file, at once."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlab.config import compose, document
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
    for path in (tmp_path / "params.yaml", own_conf / "model/mine.yaml", tmp_path / compose.RESOLVED):
        path.write_bytes(content)
    assert expected in (fault := told(lambda: compose.read_parameters(tmp_path / "params.yaml")))
    assert fault.startswith(f"{tmp_path / 'params.yaml'} is no valid YAML: ")
    assert expected in (fault := told(lambda: compose.compose(own_conf, ["model=mine"])))
    assert fault.startswith("conf/model/mine.yaml: ")
    assert expected in (fault := told(lambda: compose.load(tmp_path)))
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
    for path in (tmp_path / "params.yaml", own_conf / "model/mine.yaml", tmp_path / compose.RESOLVED):
        make(path)
    assert (
        told(lambda: compose.read_parameters(tmp_path / "params.yaml"))
        == f"{tmp_path / 'params.yaml'} is no valid YAML: {expected}"
    )
    assert told(lambda: compose.compose(own_conf, ["model=mine"])) == f"conf/model/mine.yaml: {expected}"
    assert told(lambda: compose.load(tmp_path)).startswith(f"results/config.yaml is no configuration ({expected}): ")


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
        ("3\n", "Invalid loaded object type: int"),
        ("on: 1\n", "True: a key is True, expected text"),
        ("1: 2\n", "1: a key is 1, expected text"),
        ("# @package\na: 1\n", "Expected header format"),
        ("defaults: [{a: 1, b: 2}]\n", "defaults has {'a': 1, 'b': 2}, expected options such as mnist"),
        ("defaults: [{data: off}]\n", "defaults has {'data': False}, expected options such as mnist"),
        ("defaults: mnist\n", "defaults is 'mnist', expected a list such as [mnist, _self_]"),
        ("defaults: [3]\n", "defaults has 3, expected options such as mnist"),
        ("hidden: 0x_\n", "invalid literal for int()"),
    ],
)
def test_file_of_conf(own_conf: Path, text: str, expected: str) -> None:
    (own_conf / "model/mine.yaml").write_text(text)
    assert told(lambda: compose.compose(own_conf, ["model=mine"])).startswith("conf/model/mine.yaml: ")
    assert expected in told(lambda: compose.compose(own_conf, ["model=mine"]))


def test_primary_config_without_its_schema(own_conf: Path) -> None:
    (own_conf / "config.yaml").write_text("seed: 3\n")
    assert told(lambda: compose.compose(own_conf, [])).startswith(
        "conf/config.yaml is no primary config: its defaults have to begin with"
    )


def test_date_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 2026-99-99\n")
    assert "is no valid YAML: month must be in 1..12" in told(lambda: compose.read_parameters(tmp_path / "params.yaml"))


def test_limits_leave_room() -> None:
    """A thousand classes and files, the most there may be, are read."""
    text = "classes:\n" + "".join(f"  - n{n:08} a long name\n" for n in range(1000))
    assert len(document.yaml_1_2(text)["classes"]) == 1000
