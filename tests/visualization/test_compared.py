import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from torch import nn
from torch.nn import functional as F

from filterlab.data.arrays import LabelledImages
from filterlab.models.predictor import Predictor
from filterlab.visualization import compared, embedding

DRAW = np.random.default_rng(0)
LABELS = (np.arange(90) % 3).astype(np.uint8)
IMAGES = DRAW.integers(0, 60, (90, 1, 10, 8), dtype=np.uint8)
IMAGES[LABELS == 1, :, :5] += 90  # a class is where it is bright
IMAGES[LABELS == 2, :, 5:] += 90
SET = LabelledImages(IMAGES, LABELS)


@pytest.fixture
def network() -> Predictor:
    torch.manual_seed(0)
    parts = [nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 8 * 6, 3)]
    return Predictor(nn.Sequential(*parts), data_name="x", classes=["a", "b", "c"], shape=(1, 10, 8), mean=0.3, std=0.5)


def test_a_probe_is_ridge_regression() -> None:
    features, others = DRAW.normal(size=(200, 6)), DRAW.normal(size=(150, 6))
    labels = (features[:, 0] > 0).astype(int) + (features[:, 1] > 0.5)
    spread = features.std(axis=0)
    known, asked = ((of - features.mean(axis=0)) / spread for of in (features, others))
    expected = RidgeClassifier(alpha=compared.RIDGE * len(features)).fit(known, labels).predict(asked)
    found = compared.probe(features, labels, others, classes=3)
    np.testing.assert_array_equal(found, expected)


def test_what_is_constant_or_missing_is_no_fault() -> None:
    features = np.ones((8, 3))
    assert compared.probe(features, np.array([0, 0, 0, 0, 0, 1, 1, 1]), features, classes=4).tolist() == [0] * 8


def test_selectivity_is_1_for_one_class_0_for_all_alike_and_for_silence() -> None:
    labels = np.array([0, 0, 1, 2])
    answers = np.array([[2, 1, 0, 1], [4, 1, 0, 1], [0, 1, 0, 3], [0, 1, 0, 0]], float)
    np.testing.assert_allclose(compared.selectivity(answers, labels), [1, 0, 0, (3 - 0.5) / (3 + 0.5)])
    assert compared.selectivity(answers[:2], labels[:2]).tolist() == [0, 0, 0, 0]


def test_layers_are_read_as_said(network: Predictor) -> None:
    features, means = compared.read(network, ["0", "3"], IMAGES, seed=0)
    with torch.inference_mode():
        maps = network.network[0]((torch.from_numpy(IMAGES).float() / 255 - 0.3) / 0.5)
    np.testing.assert_allclose(features["0"], F.adaptive_avg_pool2d(maps, 4).flatten(1).numpy(), atol=1e-5)
    np.testing.assert_allclose(means["0"], maps.relu().mean(dim=(2, 3)).numpy(), atol=1e-5)
    assert features["3"].shape == (90, 3)


def test_wide_layers_are_read_by_no_more_numbers_than_may_be(network: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "FEATURES", 4)
    features, _ = compared.read(network, ["0"], IMAGES, seed=0)
    assert features["0"].shape == (90, 4)
    np.testing.assert_array_equal(features["0"], compared.read(network, ["0"], IMAGES, seed=0)[0]["0"])


def test_probes_are_seeded_and_tell_bright_halves_apart(network: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "PROBED", 60)
    found = compared.compare(network, ["0", "3"], SET, SET, seed=0)
    assert found.accuracy["0"] == 1.0 and found.selectivity["0"].shape == (5,)
    assert found.accuracy == compared.compare(network, ["0", "3"], SET, SET, seed=0).accuracy
    drawn = compared.draw_compared(found, found, {"0": 3, "3": 10}, chance=1 / 3, side=10, subject="x, y")
    assert [len(axes.get_xticks()) for axes in drawn.axes] == [2, 2, 2]


def test_an_embedding_keeps_classes_together_and_repeats() -> None:
    features = DRAW.normal(size=(90, 7)) + 8 * np.eye(7)[LABELS]
    found, again = (embedding.embed(features, LABELS, seed=0) for _ in range(2))
    np.testing.assert_array_equal(found.tsne, again.tsne)
    assert found.together["full"] == found.together["plane"] == 1.0
    values = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    np.testing.assert_allclose(found.pca.var(axis=0, ddof=1), values[:2])
    assert found.explained == pytest.approx(values[:2].sum() / values.sum())
    drawn = embedding.draw_embedding(found, LABELS, LABELS == 9, of=90, names=["a", "b", "c"], subject="x, y")
    assert "all 0 that it gets wrong" in " ".join(text.get_text() for text in drawn.texts)


def test_neighbors_at_random_are_of_the_class_by_chance() -> None:
    assert embedding.together(DRAW.normal(size=(600, 2)), DRAW.integers(0, 4, 600)) == pytest.approx(0.25, abs=0.04)


def test_what_does_not_vary_is_laid_out_all_the_same() -> None:
    found = embedding.embed(np.ones((12, 1)), LABELS[:12], seed=0)
    assert found.pca.shape == found.tsne.shape == (12, 2) and found.explained == 0.0
