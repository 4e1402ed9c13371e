"""A Gaussian kernel density of latents, for use after training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from radogaga._utils.batching import rows_in_memory
from radogaga.method.noise import Noise
from radogaga.method.priors.clusters import cluster
from radogaga.method.priors.prior import Prior

# Latents times centres at once: two megabytes in float64, which fit into a core's cache.
_BUDGET = 2**18
_MIN_EXPONENT = -80.0  # smaller ones give subnormal numbers, which are slow
# The bandwidth is found from the distances of 300 latents to 5000 others.
_MAX_OTHERS, _MAX_QUERIES = 5_000, 300
# Equal latents are neighbours at no distance: an adaptive bandwidth is at least a multiple of this.
_MIN_DISTANCE = 1e-3
# An adaptive bandwidth is one of these multiples of the distance to the neighbours.
_MULTIPLES = tuple(math.exp(-2.5 + 3.5 * k / 11) for k in range(12))


class KernelDensity(Prior):
    """A Gaussian kernel density at given centres, P(z) = sum_c w_c N(z; c, (h_c^2 + v_c) I).

    One bandwidth for all directions is right where a unit of latent space is a unit of data space everywhere, as under
    isometry. `fit` takes the bandwidth of greatest leave-one-out likelihood, one for all centres. `fit_adaptive` has
    one for each: a multiple of the distance to the centre's neighbours, so that it is fine where latents are dense and
    wide where they are sparse. Of many latents, a centre is the mean of a cluster: w_c is the cluster's share and v_c
    its variance in each direction, which keeps mean and total variance.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    n_centres : int
        Number of centres.
    adaptive : bool
        Whether each centre has a bandwidth of its own.

    References
    ----------
    Breiman, Meisel, Purcell, "Variable kernel estimates of multivariate densities", Technometrics 19, 1977.

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

    def __init__(self, latents: int, n_centres: int, *, adaptive: bool = False) -> None:
        super().__init__()
        self.latents, self.n_centres, self.adaptive = latents, n_centres, adaptive
        self.register_buffer("centres", torch.zeros(n_centres, latents))
        self.register_buffer("log_weights", torch.full((n_centres,), -math.log(max(n_centres, 1))))
        self.register_buffer("within_variance", torch.zeros(n_centres))
        self.register_buffer("bandwidth", torch.ones(n_centres if adaptive else ()))

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
        prior = cls._centred(z, max_centres, rounds, seed, adaptive=False)
        prior.bandwidth.copy_(loo_bandwidth(z, seed=seed))
        return prior

    @classmethod
    @torch.no_grad()
    def fit_adaptive(
        cls, z: Tensor, *, neighbours: int = 10, max_centres: int = 5000, rounds: int = 10, seed: int = 0
    ) -> KernelDensity:
        """Return the kernel density of latents ``(n, N)`` whose bandwidths follow the distances to neighbours.

        A centre's bandwidth is the root mean square distance to its nearest latents, times the multiple of greatest
        leave-one-out likelihood.

        Parameters
        ----------
        z : Tensor
            Latents.
        neighbours : int
            Number of nearest latents, repeated ones included.
        max_centres, rounds, seed : int
            As in `fit`.
        """
        prior = cls._centred(z, max_centres, rounds, seed, adaptive=True)
        some = z[torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))[:_MAX_OTHERS].to(z.device)]
        nearest = torch.cdist(prior.centres, some).topk(min(neighbours + 1, len(some)), largest=False).values[:, 1:]
        distance = nearest.square().mean(1).sqrt().nan_to_num().clamp_min(_MIN_DISTANCE)
        prior.bandwidth.copy_(distance)
        prior.bandwidth.mul_(prior._loo_multiple(some[:_MAX_QUERIES], len(z)))
        return prior

    @torch.no_grad()
    def with_one_bandwidth(self, z: Tensor, *, seed: int = 0) -> KernelDensity:
        """Return the density with the same centres and the bandwidth that `fit` would find for latents ``(n, N)``."""
        other = KernelDensity(self.latents, self.n_centres).to(self.centres)
        other.load_state_dict({**self.state_dict(), "bandwidth": loo_bandwidth(z, seed=seed)})
        return other

    @classmethod
    def _centred(cls, z: Tensor, max_centres: int, rounds: int, seed: int, *, adaptive: bool) -> KernelDensity:
        """Return a kernel density of latents that has its centres, but no bandwidth yet."""
        distinct, count = _shuffled(z, seed)
        centres, weight, within = distinct, count, torch.zeros_like(count)
        if len(distinct) > max_centres:
            centres, weight, within = cluster(distinct, count, max_centres, rounds, seed)
        prior = cls(z.shape[1], len(centres), adaptive=adaptive).to(z)
        prior.centres.copy_(centres)
        prior.log_weights.copy_((weight / weight.sum()).log())
        prior.within_variance.copy_(within)
        return prior

    def _loo_multiple(self, z: Tensor, rows: int) -> float:
        """Return the multiple of the bandwidths of greatest likelihood for some latents without themselves."""
        squares = torch.cdist(z, self.centres).square()
        own = squares.argmin(1, keepdim=True)
        left = (self.log_weights.exp()[own] * rows - 1).round().clamp_min(0)
        log_weights = self.log_weights.expand_as(squares).scatter(1, own, (left / rows).log())

        def likelihood(multiple: float) -> float:
            variance = (multiple * self.bandwidth).square() + self.within_variance
            logits = log_weights - 0.5 * (squares / variance + self.latents * variance.log())
            return float(logits.logsumexp(1).mean())

        return max(_MULTIPLES, key=likelihood)

    @property
    def variance(self) -> Tensor:
        """The variance of each centre's kernel in each direction, ``(C,)``."""
        return self.bandwidth.square() + self.within_variance

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        parts = [_logsumexp(logits) - offset for logits, offset in self._logits(z)]
        return torch.cat(parts) - 0.5 * self.latents * math.log(2 * math.pi)

    @torch.no_grad()
    def left_out_logits(self, z: Tensor, fitted: Tensor, rows: int) -> Tensor:
        """Return each centre's log density of rows without their own part in it, ``(B, N) -> (B, C)``.

        Taking a row out of its cluster moves the mean and narrows the variance; a row that was alone leaves no centre.

        Parameters
        ----------
        z : Tensor
            Latents, ``(B, N)``.
        fitted : Tensor
            What the density was fitted to in their place, the same but for outliers, ``(B, N)``.
        rows : int
            How many latents it was fitted to.
        """
        own = torch.cdist(fitted, self.centres).argmin(1)
        count = self.log_weights.exp()[own] * rows
        left = (count - 1).round().clamp_min(0)  # whole numbers, but for rounding
        off = fitted - self.centres[own]
        moved = self.centres[own] - off / left.clamp_min(1)[:, None]
        bandwidth = self.bandwidth.expand(self.n_centres)[own]
        within = (self.within_variance[own] - off.square().mean(1) / left.clamp_min(1)).clamp_min(0)
        narrowed = bandwidth.square() + torch.where(left > 0, within * count / left, torch.zeros_like(within))
        own_logit = _log_normal((z - moved).square().sum(1), narrowed, self.latents) + (left / rows).log()
        squares = torch.cdist(z, self.centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        logits = _log_normal(squares, self.variance, self.latents) + self.log_weights
        return logits.scatter(1, own[:, None], own_logit[:, None]) - math.log1p(-1 / rows)

    def left_out_log_prob(self, z: Tensor, fitted: Tensor, rows: int) -> Tensor:
        """Return log P(z) of rows without their own part in the density, ``(B, N) -> (B,)``; see `left_out_logits`."""
        return self.left_out_logits(z, fitted, rows).logsumexp(1)

    def responsibility(self, z: Tensor) -> Tensor:
        """Return P(c | z), the share of each centre in the density of each latent, ``(B, N) -> (B, C)``."""
        return torch.cat([logits.softmax(1) for logits, _ in self._logits(z)])

    def _logits(self, z: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each centre's log density less what all share, ``(b, C)``, and that, ``(b,)``, batch by batch."""
        # |z - c|^2 / v as |z|^2 / v - 2 z'c / v + |c|^2 / v: one matrix product. Centring keeps the terms from
        # cancelling, and the part of |z|^2 / v that all centres share, that of the largest v, is subtracted at the end.
        centre = self.centres.mean(0)
        points, variance = self.centres - centre, self.variance
        shared = 1 / variance.amax()
        weights = torch.cat([points / variance[:, None], -0.5 * (1 / variance - shared)[:, None]], 1).T
        offset = self.log_weights - 0.5 * (points.square().sum(1) / variance + self.latents * variance.log())
        for part in (z - centre).split(rows_in_memory(self.n_centres, budget=_BUDGET)):
            square = part.square().sum(1, keepdim=True)
            logits = torch.addmm(offset, torch.cat([part, square], 1), weights)
            yield logits, 0.5 * shared * square[:, 0]

    def refit(self, z: Tensor, noise: Noise) -> KernelDensity:
        """Return the density of other latents ``(n, N)``, with default settings."""
        return KernelDensity.fit_adaptive(z) if self.adaptive else KernelDensity.fit(z)

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the density, ``(n, N)``."""
        chosen = torch.multinomial(self.log_weights.exp(), n, replacement=True)
        spread = self.variance[chosen].sqrt()
        points = self.centres[chosen]
        return points + spread[:, None] * torch.randn_like(points)


def _log_normal(squares: Tensor, variance: Tensor, latents: int) -> Tensor:
    return -0.5 * (squares / variance + latents * (2 * math.pi * variance).log())


def _logsumexp(logits: Tensor) -> Tensor:
    """Return ``logits.logsumexp(1)`` to a millionth, faster; the logits are overwritten.

    The maximum is subtracted in double precision; exponentials between 0 and 1 are then added in single precision.
    """
    if logits.requires_grad or logits.dtype != torch.float64:
        return logits.logsumexp(1)
    greatest = logits.amax(1, keepdim=True)
    below = logits.sub_(greatest).float().clamp_(min=_MIN_EXPONENT)
    return below.exp_().sum(1).double().log() + greatest[:, 0]


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
