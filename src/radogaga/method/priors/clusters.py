"""k-means of weighted latents: the centres of a kernel density of many rows."""

from __future__ import annotations

import torch
from torch import Tensor

from radogaga._utils.batching import rows_in_memory

# Latents times centres at once: two megabytes in float64, which fit into a core's cache.
_BUDGET = 2**18
_MAX_ROWS = 20_000


def cluster(z: Tensor, count: Tensor, n_clusters: int, rounds: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the means of clusters by k-means, their numbers of latents, and their variances in each direction.

    Latents are in a random order, so the first ones are a random sample.
    """
    some, weight = z[:_MAX_ROWS], count[:_MAX_ROWS]
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
