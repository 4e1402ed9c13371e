"""A Gaussian kernel density of latents: for use after training, when the latents have their final scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from radogaga.priors.prior import Prior

# Latents times centres at once: 8 MB in float32, which stays near the processor.
_MOST_PAIRS = 2**21


class Kernel(Prior):
    """A Gaussian kernel density at given centres, P(z) = sum_c w_c N(z; c, h^2 I).

    One bandwidth for all directions is right where a unit of latent space is a unit of data space everywhere, which
    is what isometry is for. `fit_latents` takes centres from training latents and the bandwidth h that makes each
    of them likeliest under all the others.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    centres : int
        Number of centres.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Kernel
    >>> z = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> prior = Kernel.fit_latents(z)
    >>> prior.log_prob(torch.zeros(1, 2)) > prior.log_prob(torch.full((1, 2), 5.0))
    tensor([True])
    """

    points: Tensor
    log_weights: Tensor
    bandwidth: Tensor

    def __init__(self, latents: int, centres: int) -> None:
        super().__init__()
        self.latents, self.centres = latents, centres
        self.register_buffer("points", torch.zeros(centres, latents))
        self.register_buffer("log_weights", torch.full((centres,), -math.log(max(centres, 1))))
        self.register_buffer("bandwidth", torch.ones(()))

    @classmethod
    @torch.no_grad()
    def fit_latents(cls, z: Tensor, *, most_centres: int = 5000, most_queries: int = 500, seed: int = 0) -> Kernel:
        """Return the kernel density of latents ``(n, N)``.

        Repeated latents become one centre with their weight. Above `most_centres` the centres are a random sample
        of the distinct ones, weighted by how many latents each is the nearest to.
        """
        distinct, count = torch.unique(z, dim=0, return_counts=True)
        order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).to(z.device)
        centres = distinct[order[:most_centres]]
        weight = count[order[:most_centres]].to(z.dtype)
        if len(distinct) > most_centres:
            weight = _nearest_counts(distinct, count, centres)
        prior = cls(z.shape[1], len(centres)).to(z)
        prior.points.copy_(centres)
        prior.log_weights.copy_((weight / weight.sum()).clamp_min(1e-12).log())
        prior.bandwidth.copy_(_likeliest_bandwidth(centres, min(most_queries, len(centres))))
        return prior

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        return torch.cat([self._log_prob(part) for part in z.split(max(_MOST_PAIRS // max(self.centres, 1), 1))])

    def _log_prob(self, z: Tensor) -> Tensor:
        # |z - c|^2 as |z|^2 - 2 z'c + |c|^2: one product and no root. Centring keeps the terms from cancelling.
        centre = self.points.mean(0)
        points, z = (self.points - centre) / self.bandwidth, (z - centre) / self.bandwidth
        logits = torch.addmm(self.log_weights - 0.5 * points.square().sum(1), z, points.T)
        return logits.logsumexp(1) - 0.5 * z.square().sum(1) - self._log_volume()

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the density, ``(n, N)``."""
        chosen = self.points[torch.multinomial(self.log_weights.exp(), n, replacement=True)]
        return chosen + self.bandwidth * torch.randn_like(chosen)

    def _log_volume(self) -> Tensor:
        return self.latents * (self.bandwidth.log() + 0.5 * math.log(2 * math.pi))


def _nearest_counts(distinct: Tensor, count: Tensor, centres: Tensor) -> Tensor:
    totals = torch.zeros(len(centres), dtype=centres.dtype, device=centres.device)
    rows = max(_MOST_PAIRS // len(centres), 1)
    centre = centres.mean(0)
    offset = -0.5 * (centres - centre).square().sum(1)
    for part, weight in zip(distinct.split(rows), count.split(rows), strict=True):
        nearest = torch.addmm(offset, part - centre, (centres - centre).T).argmax(1)
        totals.index_add_(0, nearest, weight.to(totals.dtype))
    return totals


def _likeliest_bandwidth(centres: Tensor, queries: int) -> Tensor:
    """Return the bandwidth with the greatest leave-one-out likelihood, by two ever finer grids in the logarithm."""
    latents = centres.shape[1]
    squares = torch.cdist(centres[:queries], centres).square()
    own = torch.arange(queries, device=centres.device)
    squares[own, own] = torch.inf
    nearest = squares.min(1).values.clamp_min(1e-20).sqrt()
    low, high = nearest.quantile(0.05).log() - 1, centres.std(0).norm().clamp_min(1e-10).log() + 1
    for _ in range(3):
        grid = torch.linspace(float(low), float(high), 15, dtype=centres.dtype, device=centres.device)
        likelihoods = torch.stack(
            [(-0.5 * squares / (2 * log_h).exp()).logsumexp(1).mean() - latents * log_h for log_h in grid]
        )
        best = int(likelihoods.argmax())
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return grid[best].exp()
