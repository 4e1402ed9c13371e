"""The standard normal prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from radogaga.method.noise import Noise
from radogaga.method.priors.prior import Prior


class Normal(Prior):
    """The standard normal, log P(z) = -|z|^2 / 2 - (N / 2) log(2 pi).

    Parameters
    ----------
    latents : int
        Number of latents, N.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Normal
    >>> Normal(latents=2).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.latents = latents
        self._like: Tensor
        # For the model's precision and device alone.
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def cumulative_logit(self, z: Tensor) -> Tensor:
        """Return log c(z_j) - log(1 - c(z_j)) of each latent, ``(B, N) -> (B, N)``."""
        return torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        return -0.5 * (z.square().sum(-1) + self.latents * math.log(2 * math.pi))

    def sample(self, n: int) -> Tensor:
        """Return n latents, ``(n, N)``."""
        return torch.randn(n, self.latents, dtype=self._like.dtype, device=self._like.device)

    def refit(self, z: Tensor, noise: Noise) -> Normal:
        """Return the prior itself, which has no parameters."""
        return self
