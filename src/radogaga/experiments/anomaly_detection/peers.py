"""Other detectors on experiment 5.3's splits."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from radogaga.experiments.anomaly_detection.methods import Fitted, Method
from radogaga.experiments.anomaly_detection.settings import SCALINGS, ScalingMaker
from radogaga.method.scaling import Scaling

# Detectors that compare rows with rows, or that train slowly, get a random choice of rows; LUNAR does both.
_MAX_ROWS, _MAX_LUNAR_ROWS = 20_000, 5_000


def pca_mixture(scaling: ScalingMaker, data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit PCA at 99 % of the variance, and a mixture of two Gaussians to its components and the residual's length."""
    scale, rows = _scaled(scaling, x, seed)
    pca = PCA(0.99, random_state=seed).fit(rows)

    def features(part: NDArray[np.float32]) -> NDArray[np.float32]:
        z = pca.transform(part)
        return np.column_stack([z, np.linalg.norm(part - pca.inverse_transform(z), axis=1)])

    mixture = GaussianMixture(2, reg_covar=1e-3, random_state=seed).fit(features(rows))
    return Fitted(lambda test: torch.from_numpy(mixture.score_samples(features(scale(test)))))


def nearest_neighbours(scaling: ScalingMaker, data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Score by minus the distance to the fifth nearest training row."""
    scale, rows = _scaled(scaling, x, seed)
    search = NearestNeighbors(n_neighbors=min(5, len(rows)), algorithm="brute").fit(rows)
    return Fitted(lambda test: torch.from_numpy(-search.kneighbors(scale(test))[0][:, -1]))


def isolation_forest(data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit 200 isolation trees; they do not depend on any column's scale."""
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(x.numpy())
    return Fitted(lambda test: torch.from_numpy(forest.score_samples(test.numpy())))


def pyod(detector_name: str, max_rows: int, data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit a detector of PyOD's, with its own settings, on standardised columns; its scores grow with the anomaly."""
    scale, rows = _scaled(Scaling.standard, x, seed, max_rows)
    torch.manual_seed(seed)
    module, name = detector_name.split(".")
    options = {"verbose": 0, "random_state": seed} if name == "AutoEncoder" else {}
    detector = getattr(importlib.import_module(f"pyod.models.{module}"), name)(**options).fit(rows)
    return Fitted(lambda test: torch.from_numpy(-np.asarray(detector.decision_function(scale(test)), float)))


PEERS: dict[str, Method] = {
    **{f"pca+mixture@{name}": partial(pca_mixture, scaling) for name, scaling in SCALINGS.items()},
    **{f"knn@{name}": partial(nearest_neighbours, scaling) for name, scaling in SCALINGS.items()},
    "isolation-forest": isolation_forest,
}
PYOD: dict[str, Method] = {
    "pyod-autoencoder": partial(pyod, "auto_encoder.AutoEncoder", _MAX_ROWS),
    "pyod-ecod": partial(pyod, "ecod.ECOD", _MAX_ROWS),
    "pyod-lunar": partial(pyod, "lunar.LUNAR", _MAX_LUNAR_ROWS),
}


def has_pyod() -> bool:
    """Return whether PyOD is installed (the extra ``peers``)."""
    return importlib.util.find_spec("pyod") is not None


def _scaled(
    scaling: ScalingMaker, x: Tensor, seed: int, max_rows: int = _MAX_ROWS
) -> tuple[Callable[[Tensor], NDArray[np.float32]], NDArray[np.float32]]:
    """Return the map from raw rows to scaled ones, and at most `max_rows` scaled training rows, chosen at random."""
    scale = scaling(x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:max_rows]
    return (lambda rows: scale(rows).numpy()), scale(x[order]).numpy()
