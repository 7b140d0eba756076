"""Pictures as they were given, what the network saw of them, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from filterlab.visualization.gallery import visible
from filterlab.visualization.style import BLUE, FAINT, INK, MARGIN, MUTED, ORANGE, bare, panel, sheet

PICTURE, TILE, PITCH = 2.3, 1.15, 2.0  # inches: the picture's side, that of what the network saw, and a column of these
COLUMNS = 5  # beside a picture
WIDE = 15.0  # inches that a row of pictures has at most, but for one alone
BARS = 3  # of the most probable classes
WORDS = 0.95  # inches, for these
RULES = {
    "mnist": "a digit's ink, light on dark, its longer side 20 of 28 pixels, centred by mass",
    "pad": "all of the picture, scaled, zeros around it",
    "crop": "the middle of the picture, scaled",
}


class Seen(Protocol):
    """box: left, top, right, bottom in the picture's pixels. image: (C, H, W) uint8. strange: why it looks like nothing known."""

    box: tuple[int, int, int, int]
    image: np.ndarray
    strange: str
    probabilities: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Answer:
    """copy: the picture, (h, w, 3) uint8, perhaps smaller than `size` (width, height) says."""

    name: str
    copy: np.ndarray
    size: tuple[int, int]
    pieces: Sequence[Seen]


def draw(answers: Sequence[Answer], *, classes: list[str], rule: str, subject: str) -> Figure:
    """Pictures from the left, as many as there is room for, in rows."""
    across = [PICTURE + 0.4 + PITCH * min(COLUMNS, max(1, len(answer.pieces))) for answer in answers]
    down = [max(PICTURE + 0.45, -(-len(answer.pieces) // COLUMNS) * (TILE + WORDS)) + 0.25 for answer in answers]
    rows: list[list[int]] = []
    for place, width in enumerate(across):
        if not rows or sum(across[other] for other in rows[-1]) + width > WIDE:
            rows.append([])
        rows[-1].append(place)
    drawn = sheet(
        "What the network says",
        caption=f"Trained on {subject}. Left: as it was given. Right: what the network saw ({RULES[rule]}), and its best classes",
        width=2 * MARGIN + max(sum(across[place] for place in row) for row in rows),
        height=sum(max(down[place] for place in row) for row in rows) + 0.1,
    )
    top = drawn.get_size_inches()[1] - 1.0
    for row in rows:
        left = MARGIN
        for place in row:
            draw_answer(drawn, answers[place], classes, left=left, top=top)
            left += across[place]
        top -= max(down[place] for place in row)
    return drawn


def draw_answer(drawn: Figure, answer: Answer, classes: list[str], *, left: float, top: float) -> None:
    draw_picture(drawn, answer, left=left, top=top)
    beside = left + PICTURE + 0.25
    for place, piece in enumerate(answer.pieces):
        row, column = divmod(place, COLUMNS)
        draw_piece(drawn, piece, classes, left=beside + column * PITCH, top=top - row * (TILE + WORDS))
    if not answer.pieces:
        width, height = drawn.get_size_inches()
        words = "no ink:\nlooks like nothing\nit knows"
        drawn.text(beside / width, (top - 0.05) / height, words, fontsize=11, color=ORANGE, va="top")


def draw_picture(drawn: Figure, answer: Answer, *, left: float, top: float) -> None:
    height, width = answer.copy.shape[:2]
    scale = PICTURE / max(height, width)
    axes = panel(drawn, left=left, bottom=top - height * scale, width=width * scale, height=height * scale)
    smooth = "nearest" if max(height, width) < 100 else "antialiased"
    axes.imshow(answer.copy, extent=(0, answer.size[0], answer.size[1], 0), interpolation=smooth, aspect="auto")
    bare(axes)
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    whole = (0, 0, *answer.size)
    for number, piece in enumerate(answer.pieces, start=1):
        if tuple(piece.box) == whole:
            continue
        x0, y0, x1, y1 = piece.box
        color = ORANGE if piece.strange else BLUE
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color=color, linewidth=1.2, clip_on=False))
        if len(answer.pieces) > 1:
            axes.annotate(str(number), (x0, y0), (0, 1), textcoords="offset points", fontsize=9, color=color, va="bottom")
    name = answer.name if len(answer.name) <= 30 else f"…{answer.name[-29:]}"
    axes.annotate(name, (0, 0), (0, -5), xycoords="axes fraction", textcoords="offset points", fontsize=10, color=MUTED, va="top")


def draw_piece(drawn: Figure, piece: Seen, classes: list[str], *, left: float, top: float) -> None:
    assert piece.probabilities is not None
    height, width = piece.image.shape[1:]
    scale = TILE / max(height, width)
    axes = panel(drawn, left=left, bottom=top - height * scale, width=width * scale, height=height * scale)
    axes.imshow(visible(piece.image[None])[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    bare(axes)
    below = panel(drawn, left=left, bottom=top - TILE - 0.72, width=PITCH - 0.2, height=0.66)
    bare(below)
    below.patch.set_visible(False)
    order = np.argsort(-piece.probabilities, kind="stable")[:BARS]
    for row, place in enumerate(order):
        share = float(piece.probabilities[place])
        color = FAINT if row else ORANGE if piece.strange else BLUE
        below.barh(-row, share, height=0.72, color=color, alpha=0.9 if row else 0.45)
        label = f"{classes[place]}  {share:.1%}"
        below.text(0.02, -row, label, fontsize=9.5, weight="normal" if row else "bold", color=MUTED if row else INK, va="center")
    below.set(xlim=(0, 1), ylim=(-BARS + 0.4, 0.6))
    if piece.strange:
        below.annotate(
            "looks like nothing it knows",
            (0, 0),
            (0, -3),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8.5,
            color=ORANGE,
            va="top",
        )
