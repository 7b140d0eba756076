"""Every figure, for the smallest and for awkward inputs: drawn without a warning, named, and the same bytes twice."""

import base64
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from filterlab.evaluation import metrics
from filterlab.pages.page import image
from filterlab.visualization import (
    calibration,
    confusion,
    curves,
    embedding,
    filters,
    gallery,
    maximise,
    per_class,
    strongest,
    style,
)
from filterlab.visualization.png import write
from filterlab.visualization.style import bare, panel, sheet, spaced

SUBJECT = "fashion_mnist, conv_net"
DRAW = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return DRAW.normal(size=shape).astype(np.float32)


def result(k: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    probabilities = DRAW.dirichlet(np.full(k, 0.2), n)
    return probabilities, probabilities.argmax(1) if k == 2 else DRAW.integers(0, k, n)


def confused(k: int) -> np.ndarray:
    probabilities, labels = result(k)
    return metrics.confusion_matrix(probabilities.argmax(1), labels, classes=k)


def names(k: int) -> list[str]:
    return [f"Ankle boot {i}" for i in range(k)]


def wrong(n: int) -> Figure:
    images = DRAW.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)
    said, sure = ["Ankle boot"] * n, np.linspace(1, 0.5, n)
    return gallery.mistakes(images, predicted=said, actual=["Coat"] * n, sure=sure, errors=n, subject=SUBJECT)


def curve(epochs: int) -> dict[str, list[float]]:
    table = {
        name: [0.5 + e / 100 for e in range(epochs)]
        for part in ("train", "validation")
        for name in (f"{part}/loss", f"{part}/accuracy")
    }
    return {"epoch": [float(e + 1) for e in range(epochs)], "chosen": [0.0] * (epochs - 1) + [1.0], **table}


def layer(*shape: int, image: tuple[int, int, int] = (1, 28, 28)) -> Figure:
    return filters.layer(weights(*shape), shape=image, names=names(10), name="conv1", subject=SUBJECT)


def cut(*shape: int) -> np.ndarray:
    found = DRAW.uniform(0, 255, shape).astype(np.float32)
    found[:, :, :, :1] = np.nan  # beyond the border
    return found


def deeper(k: int, *shape: int, best: int = 9) -> Figure:
    return strongest.draw_layer(cut(k, best, *shape), DRAW.random((k, best)), name="conv3", subject=SUBJECT)


def first(k: int, channels: int, *side: int, maps: bool = True) -> Figure:
    return strongest.draw_first_layer(
        weights(k, channels, *side),
        cut(k, 9, channels, *side),
        image=DRAW.integers(0, 256, (channels, 20, 10), dtype=np.uint8),
        maps=weights(k, 12, 6) if maps else None,
        names=[] if maps else names(k),
        name="conv1",
        subject=SUBJECT,
    )


CASES: dict[str, Callable[[], Figure]] = {
    "one filter": lambda: layer(1, 1, 3, 3),
    "many filters": lambda: layer(200, 1, 5, 5),
    "large filters": lambda: layer(8, 1, 16, 16),
    "colored": lambda: layer(16, 3, 5, 5),
    "patches": lambda: deeper(70, 1, 9, 9),
    "colored patches": lambda: deeper(3, 3, 20, 30),
    "few patches": lambda: deeper(9, 1, 1, 7, best=2),
    "first layer": lambda: first(40, 1, 5, 5),
    "colored first layer": lambda: first(5, 3, 7, 3),
    "units": lambda: first(10, 1, 20, 10, maps=False),
    "dead": lambda: filters.layer(np.zeros((4, 1, 3, 3), np.float32), shape=(1, 28, 28), names=[], name="conv1", subject=SUBJECT),
    "softmax": lambda: layer(10, 784),
    "mlp": lambda: layer(256, 784),
    "colored mlp": lambda: layer(7, 3 * 16 * 8, image=(3, 16, 8)),
    "by epoch": lambda: filters.by_epoch(weights(41, 32, 1, 5, 5), name="conv1", chosen=17, subject=SUBJECT),
    "one epoch": lambda: filters.by_epoch(weights(2, 1, 3, 3, 3), name="conv1", chosen=1, subject=SUBJECT),
    "curves": lambda: curves.draw_curves(curve(20), subject=SUBJECT),
    "one epoch's curves": lambda: curves.draw_curves(curve(1), subject=SUBJECT),
    "curves of a macro F1": lambda: curves.draw_curves({**curve(20), "validation/macro_f1": [0.25] * 20}, subject=SUBJECT),
    "confusion": lambda: confusion.draw_confusion(confused(10), classes=names(10), subject=SUBJECT),
    "no confusion": lambda: confusion.draw_confusion(confused(2), classes=["a", "b"], subject=SUBJECT),
    "100 classes": lambda: confusion.draw_confusion(confused(100), classes=names(100), subject=SUBJECT),
    "mistakes": lambda: wrong(32),
    "one mistake": lambda: wrong(1),
    "no mistakes": lambda: wrong(0),
    "examples": lambda: gallery.examples(
        DRAW.integers(0, 256, (90, 3, 20, 10), dtype=np.uint8), DRAW.integers(0, 14, 90), classes=names(15), subject=SUBJECT
    ),
    "calibration": lambda: calibration.draw_calibration(metrics.reliability(*result(10)), subject=SUBJECT),
    "sure and right": lambda: calibration.draw_calibration(metrics.reliability(np.eye(3), np.arange(3)), subject=SUBJECT),
    "per class": lambda: per_class.draw_per_class(metrics.class_scores(confused(60)), classes=names(60), subject=SUBJECT),
    "absent classes": lambda: per_class.draw_per_class(
        metrics.class_scores(np.eye(4, dtype=int) * [3, 0, 1, 9]), classes=names(4), subject=SUBJECT
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_is_named_and_readable(case: str) -> None:
    figure = CASES[case]()
    words = [text.get_text() for text in figure.texts]
    assert any(SUBJECT in word for word in words)
    for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")):
        assert not text.get_text() or not text.get_visible() or text.get_fontsize() >= 9, text
    assert png(figure)[:4] == b"\x89PNG"
    across = figure.get_window_extent().width
    assert all(text.get_window_extent().x1 <= across for text in figure.texts), words


def test_pictures_are_in_colour_and_gray_stays_gray() -> None:
    red = np.zeros((1, 3, 4, 4), np.uint8)
    red[:, 0] = 255
    drawn = gallery.mistakes(red, predicted=["a"], actual=["b"], sure=np.ones(1), errors=1, subject=SUBJECT)
    np.testing.assert_array_equal(drawn.axes[0].images[0].get_array(), np.broadcast_to([1.0, 0.0, 0.0], (4, 4, 3)))
    drawn = gallery.examples(red, np.zeros(1, int), classes=["a", "b"], subject=SUBJECT)
    shown = drawn.axes[0].images[0].get_array()
    tile = shown[: shown.shape[0] // 6, : shown.shape[1] // 2]
    assert (tile[:4, :4] == [1, 0, 0, 1]).all() and shown[-1, -1, 3] == 0, "nothing, where there is no image"
    assert gallery.visible(red[:, :1]).shape == (1, 4, 4) and gallery.visible(red[:, :1]).max() == 255


def test_colored_filters_are_on_one_scale_about_middle_gray() -> None:
    given = weights(30, 3, 5, 5)
    drawn = filters.layer(given, shape=(3, 32, 32), names=[], name="conv1", subject=SUBJECT)
    patch, parts = drawn.axes[0].images[0].get_array(), drawn.axes[1].images[0]
    limit = np.abs(given).max()
    assert parts.get_clim() == (-limit, limit)
    first = int(drawn.axes[0].get_yticklabels()[0].get_text())
    scale = 8  # of tiles of 5 pixels
    np.testing.assert_allclose(
        patch[: 5 * scale : scale, : 5 * scale : scale, :3], 0.5 + given[first].transpose(1, 2, 0) / (2 * limit)
    )
    np.testing.assert_allclose(parts.get_array()[: 5 * scale : scale, : 5 * scale : scale], given[first, 0])


def test_long_names_do_not_meet() -> None:
    long = [f"{'a name of 25 letters ' * 2}"[:24] + str(number) for number in range(9)]
    images = DRAW.integers(0, 256, (9, 3, 8, 8), np.uint8)
    drawn = gallery.examples(images, np.arange(9), classes=long, subject=SUBJECT)
    png(drawn)
    labels = [label for label in drawn.axes[0].get_xticklabels() if label.get_text()]
    assert len(labels) == 9 and {label.get_rotation() for label in labels} == {40.0}
    assert all(label.get_window_extent().x1 <= drawn.get_window_extent().width for label in labels)
    assert all(label.get_window_extent().y1 <= drawn.get_window_extent().height - 60 for label in labels), "below the caption"


def test_long_names_of_classes_and_points_do_not_meet() -> None:
    long = [f"{'a name of 25 letters ' * 2}"[:23] + f"{number:02d}" for number in range(12)]
    images = DRAW.integers(0, 256, (12, 1, 8, 8), np.uint8)
    made = maximise.Optimised(DRAW.random((12, 1, 8, 8)), np.ones(12))
    drawn = maximise.draw_classes(made, images, np.ones(12), names=long, subject=SUBJECT)
    png(drawn)
    boxes = [text.get_window_extent() for text in drawn.axes[0].texts if text.get_text() in long]
    assert len(boxes) == 12
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes) if a.y0 == b.y0)
    labels, points = np.arange(60) % 12, DRAW.normal(size=(60, 2))
    found = embedding.Embedding(pca=points, tsne=points, explained=0.5, together={})
    drawn = embedding.draw_embedding(found, labels, labels == 3, of=60, names=long, subject=SUBJECT)
    png(drawn)
    legend = drawn.axes[1].get_legend()
    assert legend and legend.get_window_extent().x1 <= drawn.get_window_extent().width


@pytest.mark.parametrize(
    ("classes", "said"), [(20, ""), (21, "21 classes in 20 colors, each"), (90, "90 classes in 20 colors, 60 of")]
)
def test_of_more_classes_than_colors_each_is_named_where_it_is(classes: int, said: str) -> None:
    labels = np.repeat(np.arange(classes), 3)
    points = np.stack([10.0 * labels, np.zeros(len(labels))], axis=1)
    found = embedding.Embedding(pca=points, tsne=points, explained=0.5, together={})
    names = [f"class {k}" for k in range(classes)]
    drawn = embedding.draw_embedding(found, labels, labels == 3, of=300, names=names, subject=SUBJECT)
    png(drawn)
    plane = drawn.axes[1]
    assert (plane.get_legend() is None) == bool(said) and any(said in text.get_text() for text in drawn.texts)
    placed = {text.get_text(): text.get_position() for text in plane.texts}
    assert placed == ({name: (10.0 * k, 0.0) for k, name in enumerate(names[:60])} if said else {})


def test_wide_letters_take_the_room_of_more() -> None:
    assert [style.letters(name) for name in ("", "7", "10", "seven", "a name of 25 letters, oh")] == [0, 1, 2, 5, 24]
    assert style.letters("WM" * 12) > 33


def test_same_weights_give_the_same_bytes() -> None:
    same = weights(8, 1, 3, 3)
    twice = [png(filters.single_channel(same[:, 0], name="conv1", subject=SUBJECT)) for _ in range(2)]
    assert twice[0] == twice[1]


def test_filters_share_one_scale_symmetric_about_zero() -> None:
    given = weights(8, 1, 3, 3)
    image = filters.single_channel(given[:, 0], name="conv1", subject=SUBJECT).axes[0].images[0]
    assert image.get_clim() == (-np.abs(given).max(), np.abs(given).max())


def test_strongest_are_chosen_by_norm_and_kept_in_order() -> None:
    assert filters.strongest(np.array([[1.0], [-5.0], [2.0], [5.0]]), limit=3).tolist() == [1, 2, 3]


def test_what_lies_beyond_the_image_has_a_colour_of_its_own() -> None:
    patch = np.array([[[[np.nan, 0.0, 255.0]]]], np.float32)
    np.testing.assert_array_equal(strongest.shaded(patch)[0, 0], [strongest.OUTSIDE, [0, 0, 0], [1, 1, 1]])


def test_spaced_keeps_both_ends() -> None:
    assert spaced(5, limit=9) == [0, 1, 2, 3, 4]
    assert spaced(109, limit=6) == [0, 22, 43, 65, 86, 108]
    assert spaced(1, limit=6) == [0]


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, metadata={"Software": None})
    return buffer.getvalue()


def test_a_small_picture_shows_the_same_in_a_quarter_of_the_bytes(tmp_path: Path) -> None:
    figure, shown, sizes = layer(10, 784), [], []
    for small in (False, True):
        write(figure, tmp_path / "drawn.png", small=small)
        sizes.append((tmp_path / "drawn.png").stat().st_size)
        with Image.open(tmp_path / "drawn.png") as drawn:
            shown.append(np.asarray(drawn.convert("RGB").resize((200, 100), Image.Resampling.BOX), float))
    assert np.abs(shown[0] - shown[1]).mean() < 6  # of 255; letters are set on other pixels
    assert sizes[1] < sizes[0] / 3


def test_a_picture_says_where_the_images_in_it_are(tmp_path: Path) -> None:
    """All of an image's pixels, black and white ones too, and neither paper nor ink."""
    figure = sheet("Title", caption="caption", width=4, height=2)
    axes = panel(figure, left=1, bottom=0.5, width=1, height=1)
    bare(axes)
    axes.imshow(np.indices((2, 2)).sum(axis=0) % 2, cmap="gray", interpolation="nearest")
    write(figure, tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        pixels, mask = np.asarray(drawn), Image.open(io.BytesIO(base64.b64decode(drawn.text["tiles"])))
    assert image(tmp_path / "drawn.png", maker="")["tiles"] == drawn.text["tiles"]
    inside = np.zeros(pixels.shape[:2], bool)
    height = inside.shape[0]
    inside[height - 180 : height - 60, 120:240] = True  # 120 dots an inch
    assert (np.asarray(mask) != inside).sum() < 4 * 120, "but for its border"
    assert (pixels[0, 0] == 255).all() and pixels[~inside].min() < 40, "paper is white, and there is ink"
    assert figure.get_facecolor() == (1, 1, 1, 1)
