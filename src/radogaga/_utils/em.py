"""Expectation maximisation where only the weights of a mixture are unknown."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def fit_mixture_weights(log_prob: Tensor, *, iterations: int) -> Tensor:
    """Return the maximum-likelihood log weights of fixed components, ``(n, ..., K) -> (..., K)``.

    Each component counts one row more than it has, so that none is ever ruled out.

    Parameters
    ----------
    log_prob : Tensor
        Log density of each row under each of K components, for each of any number of mixtures.
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
