"""Laws of the residual, what an autoencoder leaves of a row: normal, with heavy tails, or fine in each direction."""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor, nn

from radogaga._utils.em import fit_mixture_weights
from radogaga._utils.linalg import pca

_LEAST_VARIANCE = 1e-12
# A direction's own variance is not taken to be less than this share of the coarsest: rows that chance made equal are
# no law.
FINEST = 0.01
_MOST_PRINCIPAL = 256
_SCALES = (1 / 64, 1 / 4, 1.0, 4.0)
_ROWS_FOR_WEIGHTS, _ITERATIONS = 1000, 50


class GaussianResidual(nn.Module):
    """An isotropic normal density in the directions off the manifold.

    log p(r) = -|r|^2 / (2 v) - (C / 2) log(2 pi v), C the number of these directions.

    Parameters
    ----------
    directions : int
        C: features less latents.

    Examples
    --------
    >>> import torch
    >>> from radogaga import GaussianResidual
    >>> law = GaussianResidual(directions=1)
    >>> law.fit(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]))
    >>> law.variance
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
        self.variance.copy_(squares.clamp_min(_LEAST_VARIANCE))

    def log_prob(self, residual: Tensor) -> Tensor:
        """Return the log density of residuals in nats, ``(B, M) -> (B,)``."""
        if not self.directions:  # then all that is left of a row is rounding errors
            return residual.new_zeros(len(residual))
        return -0.5 * (residual.square().sum(1) / self.variance + self.directions * (2 * math.pi * self.variance).log())

    def sample(self, like: Tensor) -> Tensor:
        """Return residuals before they are projected off the manifold, ``(B, M)``."""
        return torch.randn_like(like) * self.variance.sqrt()


class StudentTResidual(nn.Module):
    """Student's t for each feature of the residual: single features may lie far off while the others agree.

    log p(r) = (C / M) sum_i log t(r_i sqrt(M / C); d, scale). The residual has C = M - N directions but M features;
    the two factors count each direction once, and make this the normal law above as d grows. For small d it is an
    approximation: a product over features is not exactly normalised on a subspace of fewer directions.

    Parameters
    ----------
    directions : int
        C: features less latents.

    Examples
    --------
    >>> import torch
    >>> from radogaga import StudentTResidual
    >>> law = StudentTResidual(directions=3)
    >>> law.fit(torch.distributions.StudentT(3.0).sample((4000, 3)))
    >>> bool(2 < law.degrees < 4)
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
    def fit(self, residual: Tensor, *, most: int = 20_000) -> None:
        """Set degrees of freedom and scale to the likeliest for residuals ``(n, M)``, for a random choice of values."""
        values = self._widened(residual).flatten()
        chosen = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))[:most].to(values.device)
        values = values[chosen].double().cpu()
        least = math.sqrt(_LEAST_VARIANCE)
        degrees, _, scale = stats.t.fit(values.numpy(), floc=0) if values.abs().max() > least else (1e6, 0, least)
        # Under half a degree the tails would decide everything: then most values are equal, and scale means nothing.
        self.degrees.fill_(min(max(degrees, 0.5), 1e6))
        self.scale.fill_(max(scale, least))

    def log_prob(self, residual: Tensor) -> Tensor:
        """Return the log density of residuals in nats, ``(B, M) -> (B,)``."""
        squares = (self._widened(residual) / self.scale).square()
        tails = -0.5 * (self.degrees + 1) * (squares / self.degrees).log1p()
        return (tails + self._log_normaliser().to(tails.dtype)).sum(1) * (self.directions / residual.shape[1])

    def sample(self, like: Tensor) -> Tensor:
        """Return residuals before they are projected off the manifold, ``(B, M)``."""
        law = torch.distributions.StudentT(self.degrees, scale=self.scale, validate_args=False)
        return law.sample(like.shape).to(like)

    def _log_normaliser(self) -> Tensor:
        # In double: at many degrees of freedom the two log gammas are large and all but equal.
        degrees = self.degrees.double()
        gammas = torch.lgamma(0.5 * (degrees + 1)) - torch.lgamma(0.5 * degrees)
        return gammas - 0.5 * (math.pi * degrees).log() - self.scale.double().log()

    def _widened(self, residual: Tensor) -> Tensor:
        return residual * math.sqrt(residual.shape[1] / max(self.directions, 1))


class MultiscaleResidual(nn.Module):
    """In each principal direction of the residual a mixture of centred normal densities, fine ones and coarse ones.

    log p(r) = sum_j log sum_k w_jk N(r_j; 0, v_jk I). The leading directions stand alone, at most 256 of them; all
    others share one isotropic mixture. The v_jk are 1/64, 1/4, 1 and 4 times the direction's own variance, and the
    mean of all directions or *coarsest*, whichever is more; the w_jk are found by expectation maximisation. It gives
    new rows more density than the laws above, but ranks by directions in which almost nothing happens.

    Parameters
    ----------
    features : int
        M.
    directions : int
        C: features less latents.
    leading : int
        How many directions stand alone; `fit` sets it.

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
    def fit(self, residual: Tensor, *, coarsest: float = 0.0) -> None:
        """Set directions, variances and weights by residuals ``(n, M)``; in a fine direction as in a coarse one,
        what is far off is as likely as a variance of at least *coarsest* makes it.
        """
        dtype, residual = self.axes.dtype, residual.double()  # in single precision fine directions would be rounding
        coarse = (residual.square().sum(1).mean() / max(self.directions, 1)).clamp_min(max(coarsest, _LEAST_VARIANCE))
        _, self.axes, along = pca(residual, min(self.directions, _MOST_PRINCIPAL))
        self.axes = self.axes[along > FINEST * coarse]
        self.leading = len(self.axes)
        squares, count = self._squares(residual), self._count(residual)
        own = (squares.mean(0) / count.clamp_min(1)).clamp_min(FINEST * coarse)
        self.variances = torch.stack([*(scale * own for scale in _SCALES), coarse.expand(len(own))], 1)
        some = squares[:: -(-len(squares) // _ROWS_FOR_WEIGHTS)]
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
        """Return how many directions each mixture is for, ``(D + 1,)``."""
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
