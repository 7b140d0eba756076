"""dvc.lock and results/promoted.json that are damaged, or not what they were."""

from pathlib import Path

import pytest

from filterlab import seal
from filterlab.config import compose, resolved
from filterlab.errors import DataError, UserError
from filterlab.runs import promoted
from filterlab.sweeps import lineage

CONF = Path(__file__).parents[2] / "conf"
SOUND = "stages:\n  train:\n    outs:\n    - {path: models, md5: MD5.dir}\n"


def test_the_digest_is_text_whatever_its_digits_are(tmp_path: Path) -> None:
    """YAML would read a number: 0123 as 83, 12e3 as it stands or not."""
    for md5 in ("01234567012345670123456701234567", "12345678901234567890123456789012", "d41d8cd98f00b204e9800998ecf8427e"):
        (tmp_path / "dvc.lock").write_text(SOUND.replace("MD5", md5))
        assert lineage.locked_md5(tmp_path) == md5


@pytest.mark.parametrize(
    ("content", "printed"),
    [
        (b"", "TypeError"),
        (b"stages: {train: [", "expected the node content"),
        (b"\xff\xfe\xfa", "UnicodeDecodeError"),
        (b"schema: '2.0'\n", "KeyError: 'stages'"),
        (b"stages: 3\n", "AttributeError"),
        (b"[" * 5000, "RecursionError"),
    ],
)
def test_a_damaged_lock_is_one_sentence(tmp_path: Path, content: bytes, printed: str) -> None:
    (tmp_path / "dvc.lock").write_bytes(content)
    with pytest.raises(
        UserError, match=rf"^dvc\.lock is damaged \({printed}.*\): `git checkout dvc\.lock` or `dvc repro` "
    ) as raised:
        lineage.locked_md5(tmp_path)
    assert "\n" not in str(raised.value)


def test_the_mark_of_a_promotion_is_checked(tmp_path: Path) -> None:
    config = compose.compose(CONF, [])
    assert promoted.tags(tmp_path, config) == {}
    path = tmp_path / promoted.MARK
    seal.write(path, {"run": "abc", "trial": resolved.key(config)})
    assert promoted.tags(tmp_path, config) == {promoted.PROMOTED: "abc"}
    written = path.read_text()
    for damaged in ("", "{", "[]", "{}", written.replace("abc", "abd"), written.replace('"trial"', '"tral"')):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"promoted\.json is damaged: .*; `filterlab promote` writes it anew, or remove it"):
            promoted.tags(tmp_path, config)
