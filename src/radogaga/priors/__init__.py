"""Learned densities of the latents, P(z), each with ``log_prob(z) -> (B,)`` in nats and ``sample(n) -> (n, N)``."""

from typing import Protocol

from torch import Tensor

from radogaga.priors.factorized import Factorized
from radogaga.priors.mixture import EstimatedMixture, Mixture
from radogaga.priors.normal import Normal


class Prior(Protocol):
    """What objective and density ask of a prior."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the prior, ``(n, N)``."""


__all__ = ["EstimatedMixture", "Factorized", "Mixture", "Normal", "Prior"]
