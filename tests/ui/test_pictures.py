"""The pictures of README.md and docs/ are those of this commit."""

import json
import re
from pathlib import Path

import pictures
import pytest


def test_every_picture_is_shown_and_every_one_that_is_shown_is_there() -> None:
    shown = set()
    for page in [pictures.ROOT / "README.md", *(pictures.ROOT / "docs").glob("*.md")]:
        shown |= {(page.parent / link).resolve() for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text())}
    assert shown == {path.resolve() for path in pictures.IMAGES.glob("*.png")}


def test_they_were_made_from_what_is_here() -> None:
    recorded = json.loads(pictures.RECORD.read_text())
    found = pictures.made_from()
    stale = {name: [key for key in now if recorded.get(name, {}).get(key) != now[key]] for name, now in found.items()}
    assert {name: keys for name, keys in stale.items() if keys} == {}, "`make pictures` makes them anew"
    assert recorded == found


@pytest.mark.parametrize("path", ["dvc.lock", *pictures.SHOWN, *pictures.SHOWN_PLAY])
def test_what_shows_is_noticed(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model, another way to draw, another page: each makes some picture stale."""
    before = {name: pictures.sources(name) for name in (pictures.FILTERS, pictures.PLAY, "ui_runs.png")}
    for name in ("dvc.lock", "requirements.lock", *pictures.SHOWN, *pictures.SHOWN_PLAY):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        text = (pictures.ROOT / name).read_text()
        changed = re.sub(r"(path: models\n.*\n.*md5: )\w+", rf"\g<1>{32 * '0'}.dir", text) if name == "dvc.lock" else text + "\n"
        (tmp_path / name).write_text(changed if name == path else text)
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    after = {name: pictures.sources(name) for name in before}
    stale = pictures.FILTERS if path == "dvc.lock" else pictures.PLAY if path in pictures.SHOWN_PLAY else "ui_runs.png"
    assert [name for name in before if before[name] != after[name]] == [stale]
