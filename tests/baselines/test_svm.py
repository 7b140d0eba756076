"""The machine beside scikit-learn's SVC put together by hand."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.svm import SVC

from filterlab.baselines import svm
from filterlab.data.split import subset

FEATURES, LABELS = load_digits(return_X_y=True)
FEATURES, LABELS = FEATURES.astype(np.float32), LABELS.astype(np.uint8)
HELD = slice(1400, None)


def taken(per_class: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chosen = subset(LABELS[:1400], take="per_class", take_n=per_class, seed=seed)
    return FEATURES[chosen], LABELS[chosen]


def test_few_images_are_not_projected() -> None:
    features, labels = taken(6)
    machine = svm.fit(features, labels, seed=0)
    unit = 1 / features.var(axis=0).sum()
    wanted = SVC(C=machine.C, gamma=machine.gamma * unit).fit(features, labels)
    assert np.array_equal(machine.predict(FEATURES[HELD]), wanted.predict(FEATURES[HELD]))
    assert machine.vectors == len(wanted.support_)
    assert machine.numbers == machine.vectors * (64 + 9) + 45


def test_many_images_are_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "WHOLE", 59)
    monkeypatch.setattr(svm, "COMPONENTS", 20)
    features, labels = taken(6)
    machine = svm.fit(features, labels, seed=0)
    pca = PCA(20, svd_solver="full").fit(features)
    projected = pca.transform(features)
    wanted = SVC(C=machine.C, gamma=machine.gamma / projected.var(axis=0).sum()).fit(projected, labels)
    assert (machine.predict(FEATURES[HELD]) == wanted.predict(pca.transform(FEATURES[HELD]))).mean() > 0.999
    assert machine.numbers == machine.vectors * (20 + 9) + 45 + 20 * 64 + 64


def test_tuning_takes_the_best_mean_of_the_folds() -> None:
    features, labels = taken(8, seed=3)
    unit = 1 / float(features.var(axis=0).sum())
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    scores = {
        (c, gamma): cross_val_score(SVC(C=c, gamma=gamma * unit), features, labels, cv=folds).mean()
        for c in svm.C
        for gamma in svm.GAMMA
    }
    assert len(set(scores.values())) > 2
    assert svm.tune(features, labels, unit=unit, seed=3) == (*max(scores, key=lambda setting: scores[setting]), 5)


@pytest.mark.parametrize("per_class, folds", [(1, 0), (2, 2), (3, 3), (9, 5)])
def test_as_many_folds_as_the_images_allow(per_class: int, folds: int) -> None:
    machine = svm.fit(*taken(per_class), seed=0)
    assert machine.folds == folds
    if not folds:
        assert (machine.C, machine.gamma) == (10.0, 1.0)


def test_what_is_equally_good_is_settled_for_the_first() -> None:
    apart = np.repeat(np.eye(2, dtype=np.float32) * 100, 4, axis=0)
    assert svm.tune(apart, np.repeat([0, 1], 4).astype(np.uint8), unit=1e-4, seed=0) == (10.0, 1.0, 4)


def test_tunes_on_as_many_of_each_class_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "TUNED_ON", 4)
    features, labels = taken(9)
    chosen = subset(labels, take="per_class", take_n=4, seed=2)
    assert svm.tune(features, labels, unit=1e-3, seed=2) == svm.tune(features[chosen], labels[chosen], unit=1e-3, seed=2)
    assert svm.tune(features, labels, unit=1e-3, seed=2)[2] == 4


def test_the_unit_of_gamma_forgets_the_scale_of_the_features() -> None:
    features, labels = taken(5)
    small, large = svm.fit(features, labels, seed=0), svm.fit(features * 8, labels, seed=0)
    assert (small.C, small.gamma) == (large.C, large.gamma)
    assert np.array_equal(small.predict(FEATURES[HELD]), large.predict(FEATURES[HELD] * 8))
