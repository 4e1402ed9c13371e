"""Laws of the residual, what an autoencoder leaves of a row: normal, or with the heavy tails that tables have."""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor, nn

_LEAST_VARIANCE = 1e-12


class NormalResidual(nn.Module):
    """An isotropic normal density in the directions off the manifold.

    log p(r) = -|r|^2 / (2 v) - (C / 2) log(2 pi v), C the number of these directions.

    Parameters
    ----------
    directions : int
        C: features less latents.

    Examples
    --------
    >>> import torch
    >>> from radogaga import NormalResidual
    >>> law = NormalResidual(directions=1)
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


class StudentResidual(nn.Module):
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
    >>> from radogaga import StudentResidual
    >>> law = StudentResidual(directions=3)
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


Residuals = NormalResidual | StudentResidual
