"""A Gaussian kernel density of latents, for use after training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from radogaga._utils.batching import rows_in_memory
from radogaga.method.noise import Noise
from radogaga.method.priors.prior import Prior

# Latents times centres at once: two megabytes in float64, which fit into a core's cache.
_BUDGET = 2**18
_MIN_EXPONENT = -80.0  # smaller ones give subnormal numbers, which are slow
_MAX_ROWS_TO_CLUSTER = 20_000
# The bandwidth is found from the distances of 300 latents to 5000 others.
_MAX_OTHERS, _MAX_QUERIES = 5_000, 300


class KernelDensity(Prior):
    """A Gaussian kernel density at given centres, P(z) = sum_c w_c N(z; c, (h^2 + v_c) I).

    One bandwidth for all directions is right where a unit of latent space is a unit of data space everywhere, as under
    isometry. `fit` takes the bandwidth h of greatest leave-one-out likelihood. Of many latents, a centre is the mean of
    a cluster: w_c is the cluster's share and v_c its variance in each direction, which keeps mean and total variance.

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
            Latents. Repeated ones become one centre, weighted by their number.
        max_centres : int
            Number of distinct latents above which centres are clusters of them, by k-means.
        rounds : int
            Rounds of k-means, which starts from k-means++.
        seed : int
            Seed of the choice of latents for the bandwidth and of k-means.
        """
        distinct, count = _shuffled(z, seed)
        within = torch.zeros_like(count)
        centres, weight = distinct, count
        if len(distinct) > max_centres:
            centres, weight, within = _cluster(distinct, count, max_centres, rounds, seed)
        prior = cls(z.shape[1], len(centres)).to(z)
        prior.centres.copy_(centres)
        prior.log_weights.copy_((weight / weight.sum()).log())
        prior.within_variance.copy_(within)
        prior.bandwidth.copy_(_loo_bandwidth(distinct[:_MAX_OTHERS]))
        return prior

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        parts = [_logsumexp(logits) - offset for logits, offset in self._logits(z)]
        return torch.cat(parts) - 0.5 * self.latents * math.log(2 * math.pi)

    def responsibility(self, z: Tensor) -> Tensor:
        """Return P(c | z), the share of each centre in the density of each latent, ``(B, N) -> (B, C)``."""
        return torch.cat([logits.softmax(1) for logits, _ in self._logits(z)])

    def _logits(self, z: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each centre's log density less what all share, ``(b, C)``, and that, ``(b,)``, batch by batch."""
        # |z - c|^2 / v as |z|^2 / v - 2 z'c / v + |c|^2 / v: one matrix product. Centring keeps the terms from
        # cancelling, and the part of |z|^2 / v that all centres share, that of the largest v, is subtracted at the end.
        centre = self.centres.mean(0)
        points, variance = self.centres - centre, self.bandwidth.square() + self.within_variance
        shared = 1 / variance.amax()
        weights = torch.cat([points / variance[:, None], -0.5 * (1 / variance - shared)[:, None]], 1).T
        offset = self.log_weights - 0.5 * (points.square().sum(1) / variance + self.latents * variance.log())
        for part in (z - centre).split(rows_in_memory(self.n_centres, budget=_BUDGET)):
            square = part.square().sum(1, keepdim=True)
            logits = torch.addmm(offset, torch.cat([part, square], 1), weights)
            yield logits, 0.5 * shared * square[:, 0]

    def refit(self, z: Tensor, noise: Noise) -> KernelDensity:
        """Return `fit` of other latents ``(n, N)``, with default settings."""
        return KernelDensity.fit(z)

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the density, ``(n, N)``."""
        chosen = torch.multinomial(self.log_weights.exp(), n, replacement=True)
        spread = (self.bandwidth.square() + self.within_variance[chosen]).sqrt()
        points = self.centres[chosen]
        return points + spread[:, None] * torch.randn_like(points)


def _logsumexp(logits: Tensor) -> Tensor:
    """Return ``logits.logsumexp(1)`` to a millionth, faster; the logits are overwritten.

    The maximum is subtracted in double precision; exponentials between 0 and 1 are then added in single precision.
    """
    if logits.requires_grad or logits.dtype != torch.float64:
        return logits.logsumexp(1)
    greatest = logits.amax(1, keepdim=True)
    below = logits.sub_(greatest).float().clamp_(min=_MIN_EXPONENT)
    return below.exp_().sum(1).double().log() + greatest[:, 0]


def _cluster(z: Tensor, count: Tensor, n_clusters: int, rounds: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the means of clusters by k-means, their numbers of latents, and their variances in each direction.

    Latents are in a random order, so the first ones are a random sample.
    """
    some, weight = z[:_MAX_ROWS_TO_CLUSTER], count[:_MAX_ROWS_TO_CLUSTER]
    means = _kmeans_plus_plus(some, weight, n_clusters, seed)
    for _ in range(rounds):
        means, _ = _moments(some, weight, _nearest(some, means), means)
    nearest = _nearest(z, means)
    means, total = _moments(z, count, nearest, means)
    squares = torch.zeros_like(total).index_add_(0, nearest, count * (z - means[nearest]).square().mean(1))
    kept = total > 0
    return means[kept], total[kept], squares[kept] / total[kept]


def _kmeans_plus_plus(z: Tensor, weight: Tensor, n_clusters: int, seed: int) -> Tensor:
    """Return initial means: latents chosen with a probability proportional to the squared distance from those before.

    A uniform choice would put nearly all means where latents are dense and one wide cluster over all outliers, where a
    density ranks anomalies (Arthur and Vassilvitskii, "k-means++", SODA 2007).
    """
    if n_clusters >= len(z):
        return z
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(n_clusters, generator=generator, dtype=torch.float64).to(z.device)
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
    """Return the mean of the latents nearest to each mean, or the old one if there are none, and their weight."""
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
    """Return the bandwidth of greatest leave-one-out likelihood of the distinct latents ``(n, N)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.priors.kernel_density import loo_bandwidth
    >>> z = torch.randn(300, 1, generator=torch.Generator().manual_seed(0))
    >>> bool(0.1 < loo_bandwidth(z) < 1)
    True
    """
    return _loo_bandwidth(_shuffled(z, seed)[0][:_MAX_OTHERS])


def _shuffled(z: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return distinct latents in a random order, and their counts."""
    distinct, count = torch.unique(z, dim=0, return_counts=True)
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).to(z.device)
    return distinct[order], count[order].to(z.dtype)


def _loo_bandwidth(centres: Tensor) -> Tensor:
    """Return the bandwidth of greatest leave-one-out likelihood of distinct latents, by finer and finer grids."""
    latents, queries = centres.shape[1], min(_MAX_QUERIES, len(centres))
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
