"""data/source/: what DVC sees of the chosen data set."""

from pathlib import Path

import pytest

import herbs
from filterlab.config import compose, document
from filterlab.data import origin
from filterlab.errors import DataError

CONF = Path(__file__).parents[2] / "conf"
MNIST = compose.compose(CONF, ["experiment=none", "data=mnist"]).data


def settings(root: Path) -> object:
    return document.values((root / "data/source/settings.yaml").read_text())


def test_it_follows_the_choice(tmp_path: Path) -> None:
    """A link for a user's own images, a note for files that are fetched; and back."""
    root, link = tmp_path / "root", tmp_path / "root/data/source/files"
    herbs.grow(tmp_path / "herbs", each=1)
    own = herbs.option(Path("../herbs"))
    origin.lay_out(MNIST, root)
    assert (link.read_text(), settings(root)) == (origin.NOTE, {})
    origin.lay_out(own, root)
    assert link.is_symlink() and link.resolve() == tmp_path / "herbs"
    assert settings(root) == {
        "source": "pictures",
        "fit": "pad",
        "on_broken": "stop",
        "test": 0.2,
        "roles": {},
        "set": "none",
        "variant": "none",
        "transpose": False,
    }
    other = herbs.option(herbs.grow(tmp_path / "others", each=1))
    origin.lay_out(other, root)
    assert link.resolve() == tmp_path / "others"
    origin.lay_out(MNIST, root)
    assert not link.is_symlink() and link.read_text() == origin.NOTE
    assert len([*(tmp_path / "herbs").rglob("*.png")]) == len([*(tmp_path / "others").rglob("*.png")]) == 3


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        origin.lay_out(herbs.option(Path("../nowhere")), tmp_path / "root")
    assert str(raised.value).startswith("data.path of herbs is '../nowhere', which is not there (seen from ")
    assert not (tmp_path / "root").exists()
