"""Two laws as one density: as likely as the fine one for usual rows, ranking others as the coarse one does."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from radogaga.priors import Blend
from radogaga.residuals import NormalResidual, Residuals

_STEEPNESS = 20.0
_UNUSUAL = 0.2
_LEAST_MASS = 0.02


class Guard(nn.Module):
    """Lets a fine law of latents and residual in where a coarse law finds a row as usual as most.

    p = (q + f g / Z) / 2 with g = min(1, q / t)^20: q the coarse law, f the fine one, t the 20 % quantile of q over
    rows that it has not seen, Z the mean of g under f. Above t the density is at most ln 2 nats under f / Z; below, g
    falls so fast that soon nothing is left of f, and rows are ranked by q, which knows better how far off they are.

    The coarse law is the first prior of a `Blend` with a normal residual; the fine one is the whole blend with the
    residual's law beside it.

    Parameters
    ----------
    residuals : NormalResidual
        The coarse law of the residual.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Blend, Guard, Kernel, NormalResidual
    >>> z, r = torch.randn(200, 2), 0.1 * torch.randn(200, 1)
    >>> prior, coarse, fine = Blend.fit_latents(z, [Kernel.fit_latents]), NormalResidual(1), NormalResidual(1)
    >>> fine.fit(r)
    >>> guard = Guard(coarse)
    >>> guard.fit(guard.coarse(prior, z, r), guard.coarse(prior, z, r))
    >>> guard.log_prob(prior, fine, z, r).shape
    torch.Size([200])
    """

    threshold: Tensor
    log_mass: Tensor

    def __init__(self, residuals: NormalResidual) -> None:
        super().__init__()
        self.residuals = residuals
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("log_mass", torch.tensor(math.inf))

    @torch.no_grad()
    def fit(self, unseen: Tensor, drawn: Tensor) -> None:
        """Set t and Z by coarse log densities, of rows that the coarse law has not seen and of rows that the fine drew.

        Where the coarse law finds next to none of those usual, the two do not fit together, and the fine one stays out.
        """
        self.threshold.copy_(unseen.quantile(_UNUSUAL))
        mass = self.let_in(drawn).exp().mean()
        self.log_mass.copy_(mass.log() if mass > _LEAST_MASS else mass.new_tensor(math.inf))

    def coarse(self, prior: Blend, z: Tensor, residual: Tensor) -> Tensor:
        """Return log q in nats, ``(B, N), (B, M) -> (B,)``."""
        log_prob: Tensor = prior.members[0].log_prob(z)  # type: ignore[operator]
        return log_prob + self.residuals.log_prob(residual)

    def let_in(self, coarse: Tensor) -> Tensor:
        """Return log g of coarse log densities, ``(B,) -> (B,)``."""
        return -_STEEPNESS * (self.threshold - coarse).clamp_min(0)

    def log_prob(self, prior: Blend, residuals: Residuals, z: Tensor, residual: Tensor) -> Tensor:
        """Return log p in nats, ``(B, N), (B, M) -> (B,)``."""
        members = prior.members_log_prob(z)
        coarse = members[:, 0] + self.residuals.log_prob(residual)
        if self.shut:
            return coarse
        fine = (members + prior.log_weights).logsumexp(1) + residuals.log_prob(residual)
        return torch.logaddexp(coarse, fine + self.let_in(coarse) - self.log_mass) - math.log(2)

    @property
    def shut(self) -> bool:
        """Whether the fine law stays out altogether."""
        return bool(self.log_mass.isinf())
