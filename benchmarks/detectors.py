"""The detectors that benchmarks compare: functions of training rows and a seed that return a score of rows.

Scores are higher where rows are more normal. RaDOGAGA takes rows as they are, the others columns that vary,
standardised by the training rows. LUNAR, ECOD and the autoencoders are PyOD's: pip install 'radogaga[peers]'.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from radogaga import RaDOGAGA

COMPONENTS = (1, 2, 4, 8)
MOST_ROWS_FOR_LUNAR = 5_000

Dataset = NDArray[np.float64]
Score = Callable[[Dataset], Dataset]
"""Rows to scores, higher = more normal."""
Detector = Callable[[Dataset, int], Score]
"""Training rows and a seed to a score."""


def radogaga(x: Dataset, seed: int) -> Score:
    return RaDOGAGA(random_state=seed).fit(x).score_samples


def untrained(x: Dataset, seed: int) -> Score:
    return RaDOGAGA(max_steps=0, random_state=seed).fit(x).score_samples


def standardized(detector: Detector) -> Detector:
    """Return a detector of columns that vary in training, standardised by it."""

    @wraps(detector)
    def fit(x: Dataset, seed: int) -> Score:
        varies = x.max(0) > x.min(0)
        centre, spread = x[:, varies].mean(0), x[:, varies].std(0)
        score = detector((x[:, varies] - centre) / spread, seed)
        return lambda rows: score((rows[:, varies] - centre) / spread)

    return fit


@standardized
def mean_squared_distance(x: Dataset, seed: int) -> Score:
    """Rank by the mean of the five smallest squared distances, as DTE-NP of Livernoche et al., ICLR 2024, does."""
    search = NearestNeighbors(n_neighbors=min(5, len(x))).fit(x)
    return lambda rows: -np.square(search.kneighbors(rows)[0]).mean(1)


@standardized
def knn(x: Dataset, seed: int) -> Score:
    search = NearestNeighbors(n_neighbors=min(5, len(x))).fit(x)
    return lambda rows: -search.kneighbors(rows)[0][:, -1]


@standardized
def lof(x: Dataset, seed: int) -> Score:
    return LocalOutlierFactor(min(20, len(x) - 1), novelty=True).fit(x).score_samples


@standardized
def isolation_forest(x: Dataset, seed: int) -> Score:
    return IsolationForest(random_state=seed).fit(x).score_samples


@standardized
def one_class_svm(x: Dataset, seed: int) -> Score:
    return OneClassSVM().fit(x).score_samples


@standardized
def mixture(x: Dataset, seed: int) -> Score:
    fits = [
        GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(x) for k in COMPONENTS if k == 1 or 2 * k < len(x)
    ]
    return min(fits, key=lambda fit: fit.bic(x)).score_samples


@standardized
def pca(x: Dataset, seed: int) -> Score:
    axes = PCA(0.95, random_state=seed).fit(x)
    return lambda rows: -np.square(rows - axes.inverse_transform(axes.transform(rows))).sum(1)


@standardized
def ecod(x: Dataset, seed: int) -> Score:
    from pyod.models.ecod import ECOD

    return _pyod(ECOD(), x, seed)


@standardized
def lunar(x: Dataset, seed: int) -> Score:
    from pyod.models.lunar import LUNAR

    some = np.random.default_rng(seed).permutation(len(x))[:MOST_ROWS_FOR_LUNAR]
    return _pyod(LUNAR(n_neighbours=min(5, len(x) // 4)), x[some], seed)


@standardized
def auto_encoder(x: Dataset, seed: int) -> Score:
    from pyod.models.auto_encoder import AutoEncoder

    return _pyod(AutoEncoder(verbose=0, random_state=seed), x, seed)


@standardized
def vae(x: Dataset, seed: int) -> Score:
    from pyod.models.vae import VAE

    return _pyod(VAE(verbose=0, random_state=seed), x, seed)


def _pyod(detector: Any, x: Dataset, seed: int) -> Score:
    torch.manual_seed(seed)
    detector.fit(x)
    return lambda rows: -np.asarray(detector.decision_function(rows), float)


DETECTORS: dict[str, Detector] = {
    detector.__name__: detector
    for detector in (
        radogaga,
        untrained,
        mean_squared_distance,
        knn,
        lof,
        mixture,
        isolation_forest,
        lunar,
        one_class_svm,
        pca,
        ecod,
        auto_encoder,
        vae,
    )
}
