"""Where the network puts images before its last decision: the last layer's input, laid out in a plane."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from filterlab.visualization.style import INK, LETTER, MARGIN, MUTED, bare, letters, panel, sheet

POINTS = 600  # images that are laid out at most
PERPLEXITY = 30.0
NAMED, SHORT = 60, 8  # classes that are named in the plane, where there are more than colors, and letters of a name
NEAREST = 10


@dataclass(frozen=True)
class Embedding:
    """pca, tsne: (N, 2); explained: the share of the variance that the two axes of pca have; together: the share of the NEAREST
    neighbors of a point, in the full space and in tsne, that are of its class.
    """

    pca: NDArray[np.float64]
    tsne: NDArray[np.float64]
    explained: float
    together: dict[str, float]


def embed(features: NDArray[np.floating], labels: NDArray[np.integer], *, seed: int) -> Embedding:
    """features: (N, D), labels: (N,). Of less than four images, who is next to whom is what PCA shows."""
    from sklearn.manifold import TSNE

    moved = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, lengths, axes = np.linalg.svd(moved, full_matrices=False)
    left, lengths = (np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, max(0, 2 - part.shape[-1]))]) for part in (left, lengths))
    signs = np.ones(2)
    for axis, row in enumerate(axes[:2]):  # a decomposition's sign is of no meaning: the largest weight is positive
        signs[axis] = np.sign(row[np.abs(row).argmax()]) or 1.0
    pca = left[:, :2] * lengths[:2] * signs
    total = float((lengths**2).sum())
    spread = float(pca[:, 0].std())
    begin = (pca / spread * 1e-4 if spread > 0 else pca).astype(np.float32)
    near = pca
    if len(features) >= 4:
        perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
        layout = TSNE(perplexity=perplexity, init=begin, learning_rate="auto", random_state=seed, n_jobs=1)
        near = layout.fit_transform(moved.astype(np.float32)).astype(np.float64)
    return Embedding(
        pca=pca,
        tsne=near,
        explained=float((lengths[:2] ** 2).sum()) / total if total > 0 else 0.0,
        together={"full": together(moved, labels), "plane": together(near, labels)},
    )


def together(points: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The share of each point's NEAREST others that have its label, mean over points (N, D)."""
    squares = (points**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * points @ points.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(NEAREST, len(points) - 1)]
    return float((labels[nearest] == labels[:, None]).mean())


def draw_embedding(
    found: Embedding, labels: NDArray[np.integer], wrong: NDArray[np.bool_], *, of: int, names: list[str], subject: str
) -> Figure:
    """Both planes, a point an image, coloured by its class; a ring around those that the network gets wrong.

    of: how many images there are in all, of which all that it gets wrong are shown.
    """
    present = np.unique(labels)
    palette = colormaps["tab10" if len(present) <= 10 else "tab20"]
    repeated = len(present) > palette.N  # a legend would give several classes one color
    named = present[:NAMED] if repeated else present
    colors = ""
    if repeated:
        some = "each" if len(named) == len(present) else f"{len(named)} of them"
        colors = f". {len(present)} classes in {palette.N} colors, {some} named at its middle"
    drawn = sheet(
        "Where the network puts the images",
        caption=f"{subject}. {len(labels):,} of {of:,} validation images, as the last layer sees them. Ringed: "
        f"all {int(wrong.sum())} that it gets wrong{colors}",
        width=13.2 if repeated else max(13.2, 12.2 + LETTER * max(letters(names[k]) for k in present)),
        height=5.9,
    )
    for place, (points, title) in enumerate(
        (
            (found.pca, f"PCA: {found.explained:.0%} of the variance"),
            (found.tsne, "t-SNE: who is next to whom; distances mean little"),
        )
    ):
        axes = panel(drawn, left=MARGIN + place * 5.7, bottom=0.3, width=5.4, height=5.2)
        bare(axes)
        axes.set_title(title, fontsize=11, color=INK, loc="left")
        for order, k in enumerate(present):
            here = labels == k
            color = palette(order % palette.N)
            axes.scatter(
                points[here, 0],
                points[here, 1],
                s=9,
                color=color,
                linewidths=0,
                alpha=0.75,
                label=names[k],
            )
            if place and repeated and k in named:
                x, y = np.median(points[here], axis=0)
                text = axes.text(x, y, names[k][:SHORT], fontsize=8, color=INK, ha="center", va="center", zorder=5)
                text.set_bbox({"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.5})
        axes.scatter(points[wrong, 0], points[wrong, 1], s=60, facecolors="none", edgecolors=INK, linewidths=1.2)
        if place and not repeated:
            shown = axes.legend(frameon=False, fontsize=10, loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=2.5)
            for text in shown.get_texts():
                text.set_color(MUTED)
    return drawn
