"""A product of densities: what ranks rows where no one scale is right for all columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from radogaga.method.priors.prior import Prior
from radogaga.method.scaling import Scaling

# Beyond these shares of the rows an expert's log density does not count for its mean and spread.
_TAIL = 0.05
_MIN_SPREAD = 1e-6


class Expert(Protocol):
    """What a product asks of each of its densities; `Density` and `ScaledPrior` have it."""

    def scaled_log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of raw rows per unit of scaled rows, ``(B, M) -> (B,)``."""


class ScaledPrior(nn.Module):
    """A density of scaled rows, without an autoencoder: log P(s(x)).

    Parameters
    ----------
    scaling : Scaling
        From raw to scaled rows.
    prior : Prior
        The density of scaled rows, of as many latents as there are features.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Mixture, Scaling, ScaledPrior
    >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> scaling = Scaling.standard(x)
    >>> ScaledPrior(scaling, Mixture(3, 1).fit(scaling(x))).scaled_log_prob(x).shape
    torch.Size([200])
    """

    def __init__(self, scaling: Scaling, prior: Prior) -> None:
        super().__init__()
        self.scaling, self.prior = scaling, prior

    def scaled_log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of raw rows per unit of scaled rows, ``(B, M) -> (B,)``."""
        return self.prior.log_prob(self.scaling(x))


class ProductOfExperts(nn.Module):
    """A weighted product of densities, which ranks rows and is not normalised.

    ::

        f(x) = m + s / K sum_k (log p_k(x) - m_k) / s_k

    with m_k the mean and s_k the standard deviation of log p_k over rows that it was not fitted to, m and s their means
    over the K experts. A row is unusual if it is so to the experts together, each on a scale of its own; each has the
    same say. Densities have volume factors, a ranking has none: log p_k is per unit of the expert's scaled rows.

    Parameters
    ----------
    experts : sequence of Density or ScaledPrior
        The p_k, of rows of the same features.

    References
    ----------
    Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Mixture, ProductOfExperts, RankScaling, ScaledPrior, Scaling
    >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> scalings = Scaling.standard(x), RankScaling.fit(x)
    >>> product = ProductOfExperts([ScaledPrior(s, Mixture(3, 1).fit(s(x))) for s in scalings])
    >>> product.fit_scale(product.log_probs(x))
    >>> product.log_score(torch.tensor([[0.0, 0.0, 0.0], [3.0, 3.0, 3.0]])).diff() < 0
    tensor([True])
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.register_buffer("centre", torch.zeros(len(experts)))
        self.register_buffer("spread", torch.ones(len(experts)))

    @torch.no_grad()
    def fit_scale(self, log_probs: Tensor) -> None:
        """Set m_k and s_k by the experts' log densities of rows, ``(n, K)``, the lowest and highest twentieth clipped.

        Rows that no expert was fitted to tell best; see `radogaga.tabular.left_out`.
        """
        low = log_probs.quantile(_TAIL, dim=0, interpolation="higher")
        clipped = log_probs.clamp(low, log_probs.quantile(1 - _TAIL, dim=0, interpolation="lower"))
        self.centre.copy_(clipped.mean(0))
        self.spread.copy_(clipped.std(0, correction=0).clamp_min(_MIN_SPREAD))

    def log_probs(self, x: Tensor) -> Tensor:
        """Return each expert's log density of raw rows, ``(B, M) -> (B, K)``."""
        return torch.stack([expert.scaled_log_prob(x) for expert in self.experts], 1)  # type: ignore[operator]

    def combine(self, log_probs: Tensor) -> Tensor:
        """Return f of the experts' log densities, in nats, ``(B, K) -> (B,)``."""
        standardized = (log_probs - self.centre) / self.spread
        return self.centre.mean() + self.spread.mean() * standardized.mean(1)

    @torch.no_grad()
    def log_score(self, x: Tensor) -> Tensor:
        """Return f of raw rows, in nats, ``(B, M) -> (B,)``; higher is more normal."""
        return self.combine(self.log_probs(x.to(self.centre)))
