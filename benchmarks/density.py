"""Held-out log density, in nats a row, beside scikit-learn's best densities and a neural spline flow.

    python benchmarks/density.py [--seeds 3] [--flow]

Normal rows of scikit-learn's own data: breast cancer (benign), wine and digits (all but class 0); columns that vary in
the training half, standardised by it, the same for all. Columns: RaDOGAGA as it is and with smoothness="fine", each
trained and not, with smoothness="coarse", a full-covariance mixture chosen by BIC, a Gaussian kernel density whose
bandwidth cross-validation chooses; with --flow a neural spline flow (pip install zuko) with early stopping.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity

from radogaga import RaDOGAGA

BANDWIDTHS = np.geomspace(0.05, 3, 25)


def tables() -> Iterator[tuple[str, np.ndarray]]:
    x, y = load_breast_cancer(return_X_y=True)
    yield "breast cancer", x[y == 1]
    for name, load in (("wine", load_wine), ("digits", load_digits)):
        x, y = load(return_X_y=True)
        yield name, x[y != 0]


def radogaga(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    return RaDOGAGA(random_state=seed).fit(train).score(test)


def untrained(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    return RaDOGAGA(max_steps=0, random_state=seed).fit(train).score(test)


def fine(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    return RaDOGAGA(smoothness="fine", random_state=seed).fit(train).score(test)


def coarse(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    return RaDOGAGA(smoothness="coarse", random_state=seed).fit(train).score(test)


def fine_untrained(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    return RaDOGAGA(smoothness="fine", max_steps=0, random_state=seed).fit(train).score(test)


def mixture(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    fits = [GaussianMixture(k, random_state=seed).fit(train) for k in range(1, 9)]
    return float(min(fits, key=lambda fit: fit.bic(train)).score(test))


def kernel(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=5).fit(train)
    return float(search.best_estimator_.score_samples(test).mean())


def flow(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    """Fit a spline flow by Adam, keeping the parameters that do best on a fifth of the training half."""
    import zuko

    torch.manual_seed(seed)
    rest, held_out = train_test_split(torch.from_numpy(train).float(), test_size=0.2, random_state=seed)
    model = zuko.flows.NSF(train.shape[1], transforms=3, hidden_features=(64, 64))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    least, best, waited = torch.inf, model.state_dict(), 0
    for _ in range(2000):
        batch = rest[torch.randint(len(rest), (min(128, len(rest)),))]
        loss = -model().log_prob(batch + 0.01 * torch.randn_like(batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            now = float(-model().log_prob(held_out).mean())
        least, best, waited = (now, copy.deepcopy(model.state_dict()), 0) if now < least else (least, best, waited + 1)
        if waited == 100:
            break
    model.load_state_dict(best)
    with torch.no_grad():
        return float(model().log_prob(torch.from_numpy(test).float()).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--flow", action="store_true", help="fit a neural spline flow, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    methods = [radogaga, untrained, fine, fine_untrained, coarse, mixture, kernel] + [flow] * options.flow
    print(f"{'nats a row':22}" + "".join(f"{method.__name__:>15}" for method in methods))
    for name, x in tables():
        figures = []
        for seed in range(options.seeds):
            train, test = train_test_split(x, test_size=0.5, random_state=seed)
            varies = train.max(0) > train.min(0)
            centre, spread = train[:, varies].mean(0), train[:, varies].std(0)
            train, test = ((half[:, varies] - centre) / spread for half in (train, test))
            figures.append([method(train, test, seed) for method in methods])
        for what, reduce in (("mean", np.mean), ("median", np.median)):
            print(f"{name + ', ' + what:22}" + "".join(f"{value:15.2f}" for value in reduce(figures, 0)), flush=True)


if __name__ == "__main__":
    main()
