"""Gaussian mixtures as functions of their parameters: log densities, and sufficient statistics that add up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def component_log_prob(z: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Return log N(z; mean_k, L_k L_k') for each row and component: ``(B, N), (K, N), (K, N, N) -> (B, K)``."""
    difference = (z[None] - means[:, None]).mT
    whitened = torch.linalg.solve_triangular(factors, difference, upper=False)
    log_volume = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    squares = whitened.square().sum(-2)
    return (-0.5 * (squares + z.shape[-1] * math.log(2 * math.pi)) - log_volume[:, None]).mT


def mixture_log_prob(z: Tensor, weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Return log sum_k w_k N(z; m_k, L_k L_k'), ``(B, N) -> (B,)``."""
    return (weights.clamp_min(1e-12).log() + component_log_prob(z, means, factors)).logsumexp(-1)


@dataclass(frozen=True)
class MixtureStatistics:
    """Sufficient statistics of a mixture: sums of g, g z and g z z' over rows, in float64.

    The statistics of batches add up to those of all rows, on one machine or on many.

    Parameters
    ----------
    count : Tensor
        Sum of memberships, ``(K,)``.
    first : Tensor
        Sum of membership times latent, ``(K, N)``.
    second : Tensor
        Sum of membership times the latent's outer product, ``(K, N, N)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.priors.gaussians import MixtureStatistics
    >>> z, membership = torch.randn(10, 2), torch.full((10, 3), 1 / 3)
    >>> halves = [MixtureStatistics.from_batch(z[i::2], membership[i::2]) for i in (0, 1)]
    >>> whole = MixtureStatistics.from_batch(z, membership)
    >>> torch.allclose((halves[0] + halves[1]).second, whole.second)
    True
    """

    count: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def from_batch(cls, z: Tensor, membership: Tensor) -> MixtureStatistics:
        """Return the statistics of latents ``(B, N)`` with memberships ``(B, K)``."""
        z, membership = z.double(), membership.double()
        weighted = membership.T[:, :, None] * z
        return cls(membership.sum(0), weighted.sum(1), weighted.mT @ z)

    def __add__(self, other: MixtureStatistics) -> MixtureStatistics:
        return MixtureStatistics(self.count + other.count, self.first + other.first, self.second + other.second)

    def parameters(self, floor: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights ``(K,)``, means ``(K, N)`` and covariances ``(K, N, N)``.

        Parameters
        ----------
        floor : float
            Added to every variance.
        """
        count = self.count.clamp_min(1e-12)
        means = self.first / count[:, None]
        covariances = self.second / count[:, None, None] - means[:, :, None] * means[:, None, :]
        identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
        return self.count / self.count.sum(), means, covariances + floor * identity
