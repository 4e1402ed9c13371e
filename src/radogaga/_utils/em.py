"""Expectation maximisation: of a Gaussian mixture, or of the weights of a mixture of known densities."""

from __future__ import annotations

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from radogaga._utils.threads import one_blas_thread


@torch.no_grad()
def fit_mixture_weights(log_prob: Tensor, *, iterations: int) -> Tensor:
    """Return the maximum-likelihood log weights of fixed components, ``(n, ..., K) -> (..., K)``.

    One row is added to the count of each component, so that no weight is 0.

    Parameters
    ----------
    log_prob : Tensor
        Log density of each row under each of K components, for any number of mixtures.
    iterations : int
        Steps of expectation maximisation, from equal weights.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.em import fit_mixture_weights
    >>> fit_mixture_weights(torch.tensor([[0.0, -99.0]]).expand(98, 2), iterations=50).exp()
    tensor([0.9900, 0.0100])
    """
    rows, components = len(log_prob), log_prob.shape[-1]
    weights = torch.full_like(log_prob[0], 1 / components)
    for _ in range(iterations):
        weights = ((log_prob + weights.log()).softmax(-1).sum(0) + 1) / (rows + components)
    return weights.log()


def fit_gaussian_mixture(
    z: Tensor,
    components: int,
    *,
    seed: int = 0,
    restarts: int = 1,
    floor: float = 0.0,
    start: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights ``(K,)``, means ``(K, N)`` and covariances ``(K, N, N)`` of scikit-learn's Gaussian mixture.

    Parameters
    ----------
    z : Tensor
        Rows, ``(n, N)``.
    components : int
        Number of components, K.
    seed : int
        Seed of the initial k-means.
    restarts : int
        Number of initialisations by k-means; the fit with the highest likelihood is returned.
    floor : float
        Added to every variance; at least a millionth of the mean variance is.
    start : tuple of Tensor, optional
        Weights, means and precisions to start from instead.
    """
    rows = z.detach().cpu().double()
    # reg_covar is absolute in scikit-learn: make it relative to the scale of the rows.
    floor = max(floor, 1e-6 * float(rows.var(0, correction=0).mean().clamp_min(1e-12)))
    starts = restarts if components > 1 else 1
    mixture = GaussianMixture(components, reg_covar=floor, n_init=starts, random_state=seed, max_iter=500)
    if start:
        weights, means, precisions = (a.cpu().numpy() for a in start)
        mixture.set_params(weights_init=weights, means_init=means, precisions_init=precisions)
    with warnings.catch_warnings(), one_blas_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(rows.numpy())
    return tuple(torch.as_tensor(a).to(z) for a in (mixture.weights_, mixture.means_, mixture.covariances_))  # type: ignore[return-value]
