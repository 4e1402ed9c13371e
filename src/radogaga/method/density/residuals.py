"""Distributions of the residual, row less reconstruction: Gaussian, Student's t, or with a scale in each direction."""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor, nn

from radogaga._utils.em import fit_mixture_weights
from radogaga._utils.linalg import pca

_MIN_VARIANCE = 1e-12
# Least variance of a direction, as a share of the mean of all: rows that are equal by chance do not make it 0.
_MIN_SHARE = 0.01
_MIN_DEGREES, _MAX_DEGREES = 0.5, 1e6
_SCALES = (1 / 64, 1 / 4, 1.0, 4.0)
_MAX_ROWS_FOR_WEIGHTS, _ITERATIONS = 1000, 50


class GaussianResidual(nn.Module):
    """An isotropic Gaussian in the directions off the manifold.

    log p(r) = -|r|^2 / (2 v) - (C / 2) log(2 pi v), C the number of these directions.

    Parameters
    ----------
    directions : int
        C: features less latents.

    Examples
    --------
    >>> import torch
    >>> from radogaga import GaussianResidual
    >>> residual = GaussianResidual(directions=1)
    >>> residual.fit(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]))
    >>> residual.variance
    tensor(9.)
    """

    variance: Tensor

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.directions = directions
        self.register_buffer("variance", torch.ones(()))

    @torch.no_grad()
    def fit(self, residual: Tensor) -> None:
        """Set the variance to the mean square of residuals ``(n, M)`` in each direction."""
        squares = residual.square().sum(1).mean() / max(self.directions, 1)
        self.variance.copy_(squares.clamp_min(_MIN_VARIANCE))

    def log_prob(self, residual: Tensor) -> Tensor:
        """Return the log density of residuals in nats, ``(B, M) -> (B,)``."""
        if not self.directions:  # the residual is rounding errors
            return residual.new_zeros(len(residual))
        return -0.5 * (residual.square().sum(1) / self.variance + self.directions * (2 * math.pi * self.variance).log())

    def sample(self, like: Tensor) -> Tensor:
        """Return residuals before they are projected off the manifold, ``(B, M)``."""
        return torch.randn_like(like) * self.variance.sqrt()


class StudentTResidual(nn.Module):
    """Student's t for each feature of the residual: one feature may lie far off while the others agree.

    log p(r) = (C / M) sum_i log t(r_i sqrt(M / C); d, scale). The residual has C = M - N directions but M features:
    the two factors count each direction once, so that it tends to `GaussianResidual` as d grows. For small d it is an
    approximation: a product over features is not exactly normalised on a subspace of fewer directions.

    Parameters
    ----------
    directions : int
        C: features less latents.

    Examples
    --------
    >>> import torch
    >>> from radogaga import StudentTResidual
    >>> residual = StudentTResidual(directions=3)
    >>> residual.fit(torch.distributions.StudentT(3.0).sample((4000, 3)))
    >>> bool(2 < residual.degrees < 4)
    True
    """

    degrees: Tensor
    scale: Tensor

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.directions = directions
        self.register_buffer("degrees", torch.tensor(5.0))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def fit(self, residual: Tensor, *, max_values: int = 20_000) -> None:
        """Fit degrees of freedom and scale to residuals ``(n, M)`` by maximum likelihood, on randomly chosen values."""
        values = self._widened(residual).flatten()
        chosen = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))[:max_values].to(values.device)
        values = values[chosen].double().cpu()
        min_scale = math.sqrt(_MIN_VARIANCE)
        degrees, scale = _MAX_DEGREES, min_scale
        if values.abs().max() > min_scale:
            degrees, _, scale = stats.t.fit(values.numpy(), floc=0)
        # Fewer degrees come of values most of which are equal: the scale means nothing then.
        self.degrees.fill_(min(max(degrees, _MIN_DEGREES), _MAX_DEGREES))
        self.scale.fill_(max(scale, min_scale))

    def log_prob(self, residual: Tensor) -> Tensor:
        """Return the log density of residuals in nats, ``(B, M) -> (B,)``."""
        squares = (self._widened(residual) / self.scale).square()
        tails = -0.5 * (self.degrees + 1) * (squares / self.degrees).log1p()
        return (tails + self._log_normaliser().to(tails.dtype)).sum(1) * (self.directions / residual.shape[1])

    def sample(self, like: Tensor) -> Tensor:
        """Return residuals before they are projected off the manifold, ``(B, M)``."""
        student = torch.distributions.StudentT(self.degrees, scale=self.scale, validate_args=False)
        return student.sample(like.shape).to(like)

    def _log_normaliser(self) -> Tensor:
        # In double: at many degrees of freedom the two log gammas are large and all but equal.
        degrees = self.degrees.double()
        gammas = torch.lgamma(0.5 * (degrees + 1)) - torch.lgamma(0.5 * degrees)
        return gammas - 0.5 * (math.pi * degrees).log() - self.scale.double().log()

    def _widened(self, residual: Tensor) -> Tensor:
        return residual * math.sqrt(residual.shape[1] / max(self.directions, 1))


class MultiscaleResidual(nn.Module):
    """A mixture of centred Gaussians of several scales in each principal direction of the residual.

    log p(r) = sum_j log sum_k w_jk N(r_j; 0, v_jk I). Each leading direction has a mixture of its own; all others share
    one isotropic mixture. The v_jk are 1/64, 1/4, 1 and 4 times the direction's variance, and the mean variance of all
    directions or `coarsest`, whichever is larger; the w_jk are fitted by expectation maximisation. New rows are
    more likely than under the other two, but directions of almost no variance decide how they are ranked.

    Parameters
    ----------
    features : int
        M.
    directions : int
        C: features less latents.
    leading : int
        Number of directions with a mixture of their own; `fit` sets it.

    Examples
    --------
    >>> import torch
    >>> from radogaga import GaussianResidual, MultiscaleResidual
    >>> rows = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.01])
    >>> coarse, fine = GaussianResidual(2), MultiscaleResidual(2, 2)
    >>> coarse.fit(rows), fine.fit(rows)
    (None, None)
    >>> bool(fine.log_prob(rows).mean() > coarse.log_prob(rows).mean() + 3)
    True
    """

    axes: Tensor
    variances: Tensor
    log_weights: Tensor

    def __init__(self, features: int, directions: int, leading: int = 0) -> None:
        super().__init__()
        self.features, self.directions, self.leading = features, directions, leading
        scales = len(_SCALES) + 1
        self.register_buffer("axes", torch.eye(features)[:leading])
        self.register_buffer("variances", torch.ones(leading + 1, scales))
        self.register_buffer("log_weights", torch.full((leading + 1, scales), -math.log(scales)))

    @torch.no_grad()
    def fit(self, residual: Tensor, *, coarsest: float = 0.0, max_leading: int = 256) -> None:
        """Fit directions, variances and weights to residuals.

        Parameters
        ----------
        residual : Tensor
            ``(n, M)``.
        coarsest : float
            Least value of the largest variance in each direction: what outliers are measured by.
        max_leading : int
            Directions with a mixture of their own, at most.
        """
        dtype, residual = self.axes.dtype, residual.double()  # fine directions are lost in single precision
        coarse = (residual.square().sum(1).mean() / max(self.directions, 1)).clamp_min(max(coarsest, _MIN_VARIANCE))
        _, self.axes, along = pca(residual, min(self.directions, max_leading))
        self.axes = self.axes[along > _MIN_SHARE * coarse]
        self.leading = len(self.axes)
        squares, count = self._squares(residual), self._count(residual)
        own = (squares.mean(0) / count.clamp_min(1)).clamp_min(_MIN_SHARE * coarse)
        self.variances = torch.stack([*(scale * own for scale in _SCALES), coarse.expand(len(own))], 1)
        some = squares[:: -(-len(squares) // _MAX_ROWS_FOR_WEIGHTS)]
        self.log_weights = fit_mixture_weights(_centred(some, count, self.variances), iterations=_ITERATIONS)
        self.to(dtype)

    def log_prob(self, residual: Tensor) -> Tensor:
        """Return the log density of residuals in nats, ``(B, M) -> (B,)``."""
        logits = _centred(self._squares(residual), self._count(residual), self.variances) + self.log_weights
        return logits.logsumexp(2).sum(1)

    def sample(self, like: Tensor) -> Tensor:
        """Return residuals before they are projected off the manifold, ``(B, M)``."""
        chosen = torch.multinomial(self.log_weights.exp(), len(like), replacement=True)
        spread = self.variances.gather(1, chosen).sqrt().T
        rest = torch.randn_like(like) * spread[:, -1:]
        along = torch.randn_like(spread[:, :-1]) * spread[:, :-1] - rest @ self.axes.T
        return rest + along @ self.axes

    def _count(self, like: Tensor) -> Tensor:
        """Return the number of directions of each mixture, ``(D + 1,)``."""
        return like.new_tensor([1] * self.leading + [self.directions - self.leading])

    def _squares(self, residual: Tensor) -> Tensor:
        """Return squared lengths along each leading direction and in all others, ``(B, D + 1)``."""
        along = (residual @ self.axes.T).square()
        rest = (residual.square().sum(1) - along.sum(1)).clamp_min(0)
        return torch.cat([along, rest[:, None] * (self.directions > self.leading)], 1)


def _centred(squares: Tensor, count: Tensor, variances: Tensor) -> Tensor:
    """Return log N(.; 0, v_jk I) for squared lengths, ``(B, D) -> (B, D, K)``."""
    return -0.5 * (squares[..., None] / variances + count[:, None] * (2 * math.pi * variances).log())


ResidualDistribution = GaussianResidual | StudentTResidual | MultiscaleResidual
