"""The look all figures share: a heading, a line that says what was measured on what, and colors every eye can tell apart."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

DPI = 120
LETTER = 0.085  # inches that a letter of ten points takes
MARGIN = 0.45  # inches
HEADER = 1.0  # inches, for the heading and the line below it

SIGNED = "RdBu_r"  # blue negative, white 0, red positive
POSITIVE = "magma"
INK, MUTED, FAINT = "#1b1f24", "#57606a", "#d0d7de"
LATIN = 0x250  # letters below are in every font
BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's palette for color-blind readers


def sheet(title: str, *, caption: str, width: float, height: float) -> Figure:
    """An empty figure of width x (HEADER + height) inches with its heading; width grows to hold the text."""
    width = max(width, 2 * MARGIN + 0.125 * len(title), 2 * MARGIN + 0.081 * len(caption))
    figure = Figure(figsize=(width, HEADER + height), dpi=DPI, facecolor="white")
    left, top = MARGIN / width, HEADER + height
    figure.text(left, 1 - 0.38 / top, title, fontsize=15, weight="bold", color=INK, va="center")
    figure.text(left, 1 - 0.68 / top, caption, fontsize=11, color=MUTED, va="center")
    return figure


def panel(figure: Figure, *, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes placed in inches."""
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    axes.tick_params(labelsize=10, colors=MUTED, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    return axes


def bare(axes: Axes) -> None:
    """No frame, no tick marks: for images. Tick labels stay where they are set afterwards."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.set_yticks([])


def color_scale(figure: Figure, image: AxesImage, *, left: float, bottom: float, height: float, label: str) -> None:
    """A color bar, in inches."""
    bar = figure.colorbar(image, cax=panel(figure, left=left, bottom=bottom, width=0.14, height=height))
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(7, integer=image.get_clim()[1] >= 3)
    bar.update_ticks()
    bar.ax.tick_params(labelsize=10, colors=MUTED, length=3)
    bar.set_label(label, fontsize=11, color=MUTED)


def drawable(names: list[str]) -> list[str]:
    """The names, where an installed font has their letters; else the numbers of all, instead of the same box for each.

    Where the usual font lacks some, one that has them is drawn with from now on.
    """
    from matplotlib import font_manager, ft2font, rcParams

    lacking = {ord(letter) for name in names for letter in name if ord(letter) >= LATIN and not letter.isspace()}

    def without(path: str) -> set[int]:
        try:
            return lacking - ft2font.FT2Font(path).get_charmap().keys()
        except (OSError, RuntimeError):  # a font that is damaged, or of a kind that is not read
            return lacking

    if lacking:
        lacking = without(font_manager.findfont("DejaVu Sans"))
    if not lacking:
        return names
    fonts = font_manager.fontManager.ttflist
    others = sorted({(font.name, font.fname) for font in fonts if not font.name.startswith("Last Resort")})  # boxes for all
    if found := next((name for name, path in others if not without(path)), None):
        rcParams["font.family"] = ["DejaVu Sans", found]
        return names
    return [str(number) for number in range(len(names))]


def letters(name: str) -> int:
    """How many letters' room a name takes: capitals and some scripts are wider than most."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(name, FontProperties(size=10), ismath=False)
    return max(len(name), round(width / (72 * LETTER)))


def spaced(n: int, *, limit: int) -> list[int]:
    """At most `limit` of 0..n-1, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(int)).tolist()


def size(height: int, width: int) -> str:
    """E.g. 28\N{MULTIPLICATION SIGN}28: width before height, as one says of pictures."""
    return f"{width}\N{MULTIPLICATION SIGN}{height}"
