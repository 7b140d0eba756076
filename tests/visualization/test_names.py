"""Names of any script: drawn where a font has their letters, else numbered; never the same box for all."""

import warnings

import matplotlib
import pytest
from matplotlib import font_manager

from filterlab.visualization import style


@pytest.fixture(autouse=True)
def usual_font() -> None:
    matplotlib.rcParams["font.family"] = ["sans-serif"]


def test_what_every_font_has_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager, "findfont", lambda _: pytest.fail("no font is looked at"))
    assert style.drawable(["no", "01", "Ärzte", "Ŝipo"]) == ["no", "01", "Ärzte", "Ŝipo"]


def test_greek_and_cyrillic_are_drawn() -> None:
    names = ["αβγ", "мята", "naïve"]
    assert style.drawable(names) == names


def test_letters_that_no_font_has_give_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["\U000f0000 private", "basil", "mint"]  # of a plane for private use
    shown = style.drawable(names)
    assert shown == ["0", "1", "2"]
    figure = style.sheet(shown[0], caption=", ".join(shown), width=3, height=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()


def test_another_installed_font_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual one is made to lack Greek; DejaVu Serif has it."""
    plain = font_manager.findfont("cmsy10")
    monkeypatch.setattr(font_manager, "findfont", lambda _: plain)
    assert style.drawable(["αβγ"]) == ["αβγ"]
    usual, other = matplotlib.rcParams["font.family"]
    assert usual == "DejaVu Sans" and other.startswith("DejaVu")
