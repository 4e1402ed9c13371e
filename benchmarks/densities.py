"""The densities that `density.py` compares: functions of training rows and a seed that return log densities of rows.

FORDE needs arfpy, the spline flow zuko: pip install 'radogaga[peers]'.
"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import truncnorm
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity

from detectors import COMPONENTS, Dataset, Detector, Score
from radogaga import RaDOGAGA

BANDWIDTHS = np.geomspace(0.03, 3, 20)
FLOW_STEPS, FLOW_BATCH, FLOW_LOOK, FLOW_PATIENCE = 2000, 128, 10, 20


def radogaga(x: Dataset, seed: int) -> Score:
    return RaDOGAGA(random_state=seed).fit(x).log_density


def mixture(x: Dataset, seed: int) -> Score:
    fits = [GaussianMixture(k, random_state=seed).fit(x) for k in COMPONENTS if k == 1 or 2 * k < len(x)]
    return min(fits, key=lambda fit: fit.bic(x)).score_samples


def kernel(x: Dataset, seed: int) -> Score:
    del seed
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=5).fit(x)
    return search.best_estimator_.score_samples


def forde(x: Dataset, seed: int) -> Score:
    """Fit an adversarial random forest: in each leaf of each tree truncated normals, trees and leaves mixed.

    A tree's leaves part the space, so of each tree one leaf counts for a row.
    """
    from arfpy import arf

    if not hasattr(np, "in1d"):  # arfpy 0.1.1 calls it by the name that numpy 2.4 no longer has
        np.in1d = np.isin  # noqa: NPY201
    np.random.seed(seed)  # noqa: NPY002 - arfpy draws from numpy's global state
    forest = arf.arf(pd.DataFrame(x, columns=[str(j) for j in range(x.shape[1])]), verbose=False, random_state=seed)
    forest.forde()
    leaves = _leaves(forest)

    def log_density(rows: Dataset) -> Dataset:
        found = forest.clf.apply(rows)
        trees = [_in_leaves(rows, found[:, tree], *leaves[tree]) for tree in range(forest.num_trees)]
        return logsumexp(trees, axis=0) - np.log(forest.num_trees)

    return log_density


Leaves = tuple[NDArray[np.int64], Dataset, NDArray[np.float64]]
"""Leaves' numbers (L,), their log shares of the rows (L,), and means, deviations and bounds (L, M, 4)."""


def _leaves(forest: object) -> list[Leaves]:
    shares = forest.bnds.drop_duplicates(["tree", "nodeid"]).set_index(["tree", "nodeid"])["cvg"]
    params = forest.params.assign(variable=forest.params["variable"].astype(int))
    params = params.sort_values(["tree", "nodeid", "variable"]).set_index("tree")
    found = []
    for tree in range(forest.num_trees):
        own = params.loc[tree]
        numbers = own["nodeid"].to_numpy()[:: forest.p]
        log_share = np.log(shares.loc[tree].reindex(numbers, fill_value=0.0).to_numpy())
        found.append((numbers, log_share, own[["mean", "sd", "min", "max"]].to_numpy().reshape(-1, forest.p, 4)))
    return found


def _in_leaves(
    rows: Dataset, leaf: NDArray[np.int64], numbers: NDArray[np.int64], log_share: Dataset, params: Dataset
) -> Dataset:
    place = np.searchsorted(numbers, leaf).clip(max=len(numbers) - 1)
    mean, spread, least, most = np.moveaxis(params[place], 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = truncnorm.logpdf(rows, (least - mean) / spread, (most - mean) / spread, loc=mean, scale=spread)
    terms = np.nan_to_num(terms.sum(1), nan=-np.inf, neginf=-np.inf)
    return np.where(numbers[place] == leaf, log_share[place] + terms, -np.inf)


def flow(x: Dataset, seed: int) -> Score:
    """Fit a neural spline flow by Adam, keeping the parameters that do best on a fifth of the training rows."""
    import zuko

    torch.manual_seed(seed)
    rest, held_out = train_test_split(torch.from_numpy(x).float(), test_size=0.2, random_state=seed)
    model = zuko.flows.NSF(x.shape[1], transforms=3, hidden_features=(64, 64))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    least, best, waited = torch.inf, copy.deepcopy(model.state_dict()), 0
    for step in range(FLOW_STEPS):
        batch = rest[torch.randint(len(rest), (min(FLOW_BATCH, len(rest)),))]
        loss = -model().log_prob(batch + 0.01 * torch.randn_like(batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % FLOW_LOOK == 0:
            with torch.no_grad():
                now = float(-model().log_prob(held_out).mean())
            waited += 1
            if now < least:
                least, best, waited = now, copy.deepcopy(model.state_dict()), 0
            if waited == FLOW_PATIENCE:
                break
    model.load_state_dict(best)

    @torch.no_grad()
    def log_density(rows: Dataset) -> Dataset:
        return model().log_prob(torch.from_numpy(rows).float()).double().numpy()

    return log_density


DENSITIES: dict[str, Detector] = {density.__name__: density for density in (radogaga, mixture, kernel, forde, flow)}
