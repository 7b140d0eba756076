"""Support vector machines on given features, tuned on their training data alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filterlab.data.split import subset

WHOLE, COMPONENTS = 300, 200  # more than 300 training images: their features are projected on 200 principal components
TUNED_ON = 100  # images per class, at most
FOLDS = 5  # at most: as many as the smallest class has images
# The first of equally good ones is taken, and what can't be tuned takes the first: C, and gamma in units of 1 / total variance.
C, GAMMA = (10.0, 1.0, 100.0), (1.0, 1 / 3, 3.0)
CACHE = 1000  # MB, of kernel values


@dataclass(frozen=True)
class Machine:
    """A trained machine.

    Attributes:
        pipeline: scikit-learn's, of a projection (where there is one) and an SVC.
        C, gamma: as chosen; gamma in units of 1 / total variance.
        folds: of the cross-validation that chose them; 0 where a class has a single image, and C and gamma are the first ones.
    """

    pipeline: Any
    C: float
    gamma: float
    folds: int

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(N, D) -> labels (N,)."""
        return self.pipeline.predict(features)

    @property
    def vectors(self) -> int:
        """How many training images it keeps."""
        return int(self.pipeline[-1].n_support_.sum())

    @property
    def numbers(self) -> int:
        """How many numbers it has to keep to predict: support vectors, their weights, the biases, and the projection."""
        *projection, svc = self.pipeline
        kept = [svc.support_vectors_, svc.dual_coef_, svc.intercept_]
        for pca in projection:
            kept += [pca.components_, pca.mean_]
        return sum(array.size for array in kept)


def fit(features: NDArray[np.float32], labels: NDArray[np.uint8], *, seed: int) -> Machine:
    """Choose C and gamma by cross-validation, then fit once on everything.

    features: (N, D); labels: (N,), of two classes or more. The kernel is exp(-gamma |x - x'|^2). It is tuned on at most TUNED_ON
    images of each class, which are drawn with `seed`, as are the folds.
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline
    from sklearn.svm import SVC

    steps = []
    if len(features) > WHOLE:
        # Exact, unlike the randomized solver that scikit-learn would take for many features.
        pca = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(features)
        features = pca.transform(features)
        steps.append(("projection", pca))
    # Half the mean squared distance of two images: the same before and after a projection that keeps the variance.
    unit = 1 / float(features.var(axis=0, dtype=np.float64).sum())
    c, gamma, folds = tune(features, labels, unit=unit, seed=seed)
    svc = SVC(C=c, gamma=gamma * unit, cache_size=CACHE).fit(features, labels)
    return Machine(Pipeline([*steps, ("svc", svc)]), C=c, gamma=gamma, folds=folds)


def tune(features: NDArray[np.float32], labels: NDArray[np.uint8], *, unit: float, seed: int) -> tuple[float, float, int]:
    """C, gamma in units of `unit`, and the number of folds they were chosen by: those with the best mean accuracy."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import SVC

    per_class = min(int(np.unique(labels, return_counts=True)[1].min()), TUNED_ON)
    folds = min(FOLDS, per_class)
    if folds < 2:
        return C[0], GAMMA[0], 0
    taken = subset(labels, take="per_class", take_n=per_class, seed=seed)
    search = GridSearchCV(
        SVC(cache_size=CACHE),
        {"C": C, "gamma": [gamma * unit for gamma in GAMMA]},
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        refit=False,
        error_score="raise",
    ).fit(features[taken], labels[taken])
    best = search.best_index_
    return C[best // len(GAMMA)], GAMMA[best % len(GAMMA)], folds
