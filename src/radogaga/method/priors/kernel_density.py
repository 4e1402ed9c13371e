"""A Gaussian kernel density of latents: for use after training, when the latents have their final scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from radogaga._utils.batching import rows_in_memory
from radogaga.method.priors.prior import Prior

# Latents times centres at once: two megabytes in float64, about what a processor's own cache holds.
_BUDGET = 2**18
_NEXT_TO_NOTHING = -80.0  # its exponential is just above the numbers that processors are slow with
_MOST_TO_CLUSTER = 20_000
_MOST_OTHERS, _MOST_QUERIES = 5_000, 300


class KernelDensity(Prior):
    """A Gaussian kernel density at given centres, P(z) = sum_c w_c N(z; c, (h^2 + v_c) I).

    One bandwidth for all directions is right where a unit of latent space is a unit of data space everywhere, which
    is what isometry is for. `fit` takes the bandwidth h with the greatest leave-one-out likelihood. Where it may not keep them all, a centre stands for a cluster of them: w_c is its share, v_c the
    variance within it in each direction, so mean and total variance stay as they were.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    n_centres : int
        Number of centres.

    Examples
    --------
    >>> import torch
    >>> from radogaga import KernelDensity
    >>> z = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> prior = KernelDensity.fit(z)
    >>> prior.log_prob(torch.zeros(1, 2)) > prior.log_prob(torch.full((1, 2), 5.0))
    tensor([True])
    """

    centres: Tensor
    log_weights: Tensor
    within_variance: Tensor
    bandwidth: Tensor

    def __init__(self, latents: int, n_centres: int) -> None:
        super().__init__()
        self.latents, self.n_centres = latents, n_centres
        self.register_buffer("centres", torch.zeros(n_centres, latents))
        self.register_buffer("log_weights", torch.full((n_centres,), -math.log(max(n_centres, 1))))
        self.register_buffer("within_variance", torch.zeros(n_centres))
        self.register_buffer("bandwidth", torch.ones(()))

    @classmethod
    @torch.no_grad()
    def fit(cls, z: Tensor, *, max_centres: int = 5000, rounds: int = 10, seed: int = 0) -> KernelDensity:
        """Return the kernel density of latents ``(n, N)``.

        Parameters
        ----------
        z : Tensor
            Latents. Repeated ones become one centre with their weight.
        max_centres : int
            With more distinct latents than that, centres are clusters of them, by k-means.
        rounds : int
            Rounds of k-means, from a choice of the latents that leaves none far from all of those chosen.
        seed : int
            Draws the latents that the bandwidth is found by, and those that k-means starts from.
        """
        distinct, count = _shuffled(z, seed)
        within = torch.zeros_like(count)
        centres, weight = distinct, count
        if len(distinct) > max_centres:
            centres, weight, within = _clusters(distinct, count, max_centres, rounds, seed)
        prior = cls(z.shape[1], len(centres)).to(z)
        prior.centres.copy_(centres)
        prior.log_weights.copy_((weight / weight.sum()).log())
        prior.within_variance.copy_(within)
        prior.bandwidth.copy_(_loo_bandwidth(distinct[:_MOST_OTHERS]))
        return prior

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        # |z - c|^2 / v as |z|^2 / v - 2 z'c / v + |c|^2 / v: one product and no root. Centring keeps the terms from
        # cancelling, and what all centres share of |z|^2 / v, that of the largest v, is left out until the end.
        centre = self.centres.mean(0)
        points, variance = self.centres - centre, self.bandwidth.square() + self.within_variance
        shared = 1 / variance.amax()
        weights = torch.cat([points / variance[:, None], -0.5 * (1 / variance - shared)[:, None]], 1).T
        offset = self.log_weights - 0.5 * (points.square().sum(1) / variance + self.latents * variance.log())
        parts = []
        for part in (z - centre).split(rows_in_memory(self.n_centres, budget=_BUDGET)):
            square = part.square().sum(1, keepdim=True)
            logits = torch.addmm(offset, torch.cat([part, square], 1), weights)
            parts.append(_logsumexp(logits) - 0.5 * shared * square[:, 0])
        return torch.cat(parts) - 0.5 * self.latents * math.log(2 * math.pi)

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the density, ``(n, N)``."""
        chosen = torch.multinomial(self.log_weights.exp(), n, replacement=True)
        spread = (self.bandwidth.square() + self.within_variance[chosen]).sqrt()
        points = self.centres[chosen]
        return points + spread[:, None] * torch.randn_like(points)


def _logsumexp(logits: Tensor) -> Tensor:
    """Return what ``logits.logsumexp(1)`` does, to a millionth, and faster; the logits themselves are used up.

    What is added up lies between 0 and 1, where seven digits do; the greatest, which is taken off before, keeps all.
    """
    if logits.requires_grad or logits.dtype != torch.float64:
        return logits.logsumexp(1)
    greatest = logits.amax(1, keepdim=True)
    below = logits.sub_(greatest).float().clamp_(min=_NEXT_TO_NOTHING)
    return below.exp_().sum(1).double().log() + greatest[:, 0]


def _clusters(distinct: Tensor, count: Tensor, most: int, rounds: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the means of clusters by k-means, how many latents each has, and their variance in each direction.

    Latents come in a random order, so the first are a fair choice to find the means by.
    """
    some, weight = distinct[:_MOST_TO_CLUSTER], count[:_MOST_TO_CLUSTER]
    means = _far_apart(some, weight, most, seed)
    for _ in range(rounds):
        means, _ = _moments(some, weight, _nearest(some, means), means)
    nearest = _nearest(distinct, means)
    means, total = _moments(distinct, count, nearest, means)
    squares = torch.zeros_like(total).index_add_(0, nearest, count * (distinct - means[nearest]).square().mean(1))
    kept = total > 0
    return means[kept], total[kept], squares[kept] / total[kept]


def _far_apart(z: Tensor, weight: Tensor, most: int, seed: int) -> Tensor:
    """Return latents that k-means starts from: each drawn in proportion to its squared distance from those before.

    A fair choice of the latents would put nearly all means where latents are dense, and one wide cluster over all that
    lies about: but there a density ranks anomalies (Arthur and Vassilvitskii, "k-means++", SODA 2007).
    """
    if most >= len(z):
        return z
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(most, generator=generator, dtype=torch.float64).to(z.device)
    centred = z - z.mean(0)  # so that the terms of the squared distance do not cancel
    squares, chosen, newest = centred.square().sum(1), [], 0
    distance = torch.full_like(squares, torch.inf)
    for draw in draws:
        chosen.append(newest)
        distance = torch.minimum(distance, (squares + squares[newest] - 2 * (centred @ centred[newest])).clamp_min(0))
        distance[newest] = 0
        reached = (distance * weight).double().cumsum(0)
        newest = int(torch.searchsorted(reached, draw * reached[-1], right=True).clamp_max(len(z) - 1))
    return z[chosen]


def _moments(z: Tensor, weight: Tensor, nearest: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of the latents nearest to each mean, the old one where there are none, and their weight."""
    total = torch.zeros(len(means), dtype=z.dtype, device=z.device).index_add_(0, nearest, weight)
    sums = torch.zeros_like(means).index_add_(0, nearest, weight[:, None] * z)
    return torch.where(total[:, None] > 0, sums / total.clamp_min(1e-30)[:, None], means), total


def _nearest(z: Tensor, means: Tensor) -> Tensor:
    centre = means.mean(0)
    means = means - centre
    offset = -0.5 * means.square().sum(1)
    rows = rows_in_memory(len(means), budget=_BUDGET)
    return torch.cat([torch.addmm(offset, part - centre, means.T).argmax(1) for part in z.split(rows)])


def loo_bandwidth(z: Tensor, *, seed: int = 0) -> Tensor:
    """Return the bandwidth with the greatest leave-one-out likelihood of the distinct latents ``(n, N)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.priors.kernel_density import loo_bandwidth
    >>> z = torch.randn(300, 1, generator=torch.Generator().manual_seed(0))
    >>> bool(0.1 < loo_bandwidth(z) < 1)
    True
    """
    return _loo_bandwidth(_shuffled(z, seed)[0][:_MOST_OTHERS])


def _shuffled(z: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return distinct latents in a random order, and how often each comes."""
    distinct, count = torch.unique(z, dim=0, return_counts=True)
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).to(z.device)
    return distinct[order], count[order].to(z.dtype)


def _loo_bandwidth(centres: Tensor) -> Tensor:
    """Return the bandwidth with the greatest leave-one-out likelihood, by ever finer grids in the logarithm."""
    latents, queries = centres.shape[1], min(_MOST_QUERIES, len(centres))
    squares = torch.cdist(centres[:queries], centres).square()
    own = torch.arange(queries, device=centres.device)
    squares[own, own] = torch.inf
    nearest = squares.min(1).values.clamp_min(1e-20).sqrt()
    low, high = nearest.quantile(0.05).log() - 1, centres.std(0).norm().clamp_min(1e-10).log() + 1
    for _ in range(3):
        grid = torch.linspace(float(low), float(high), 9, dtype=centres.dtype, device=centres.device)
        likelihoods = torch.stack(
            [(-0.5 * squares / (2 * log_h).exp()).logsumexp(1).mean() - latents * log_h for log_h in grid]
        )
        best = int(likelihoods.argmax())
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return grid[best].exp()
