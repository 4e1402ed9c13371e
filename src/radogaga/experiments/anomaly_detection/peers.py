"""Other people's detectors on experiment 5.3's splits, so that nobody has to take our word for what ours adds."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from radogaga.experiments.anomaly_detection.methods import Fitted, Method
from radogaga.method.scaling import AsinhScaling, Scaling

Choose = Callable[[Tensor], Scaling]

SCALINGS: dict[str, Choose] = {"min-max": Scaling.min_max, "standard": Scaling.standard, "asinh": AsinhScaling.standard}
# A detector that compares rows with rows, or trains on each for long, gets a random choice of so many; LUNAR, which
# does both, of fewer.
_MOST_ROWS, _MOST_FOR_LUNAR = 20_000, 5_000


def pca_mixture(scaling: Choose, data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit PCA at 99 % of the variance, and a mixture of two Gaussians to its components and the residual's length."""
    del data, effort
    scale, rows = _scaled(scaling, x, seed)
    pca = PCA(0.99, random_state=seed).fit(rows)

    def features(part: NDArray[np.float32]) -> NDArray[np.float32]:
        z = pca.transform(part)
        return np.column_stack([z, np.linalg.norm(part - pca.inverse_transform(z), axis=1)])

    mixture = GaussianMixture(2, reg_covar=1e-3, random_state=seed).fit(features(rows))
    return Fitted(lambda test: torch.from_numpy(mixture.score_samples(features(scale(test)))))


def nearest_neighbours(scaling: Choose, data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Score by minus the distance to the fifth nearest training row."""
    del data, effort
    scale, rows = _scaled(scaling, x, seed)
    search = NearestNeighbors(n_neighbors=min(5, len(rows)), algorithm="brute").fit(rows)
    return Fitted(lambda test: torch.from_numpy(-search.kneighbors(scale(test))[0][:, -1]))


def isolation_forest(data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit 200 isolation trees; they do not depend on any column's scale."""
    del data, effort
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(x.numpy())
    return Fitted(lambda test: torch.from_numpy(forest.score_samples(test.numpy())))


def pyod(make: Callable[[int], Any], most_rows: int, data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit a detector of PyOD's, with its own settings, on standardised columns; its scores grow with the anomaly."""
    del data, effort
    scale, rows = _scaled(Scaling.standard, x, seed, most_rows)
    torch.manual_seed(seed)
    detector = make(seed).fit(rows)
    return Fitted(lambda test: torch.from_numpy(-np.asarray(detector.decision_function(scale(test)), float)))


def _ecod(seed: int) -> Any:
    from pyod.models.ecod import ECOD

    del seed
    return ECOD()


def _lunar(seed: int) -> Any:
    from pyod.models.lunar import LUNAR

    del seed
    return LUNAR()


def _auto_encoder(seed: int) -> Any:
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(verbose=0, random_state=seed)


PEERS: dict[str, Method] = {
    **{f"pca+mixture@{name}": partial(pca_mixture, scaling) for name, scaling in SCALINGS.items()},
    **{f"knn@{name}": partial(nearest_neighbours, scaling) for name, scaling in SCALINGS.items()},
    "isolation-forest": isolation_forest,
}
PYOD: dict[str, Method] = {
    "pyod-autoencoder": partial(pyod, _auto_encoder, _MOST_ROWS),
    "pyod-ecod": partial(pyod, _ecod, _MOST_ROWS),
    "pyod-lunar": partial(pyod, _lunar, _MOST_FOR_LUNAR),
}


def has_pyod() -> bool:
    """Return whether PyOD is installed (the extra ``peers``)."""
    return importlib.util.find_spec("pyod") is not None


def _scaled(
    scaling: Choose, x: Tensor, seed: int, most_rows: int = _MOST_ROWS
) -> tuple[Callable[[Tensor], NDArray[np.float32]], NDArray[np.float32]]:
    """Return the map from raw rows to scaled ones, and the scaled training rows, not too many of them."""
    scale = scaling(x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most_rows]
    return (lambda rows: scale(rows).numpy()), scale(x[order]).numpy()
