"""The interface of every prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from radogaga.method.noise import Noise


class Prior(nn.Module, ABC):
    """A density of the latents that can be fitted and sampled."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""

    def log_prob_given(self, z: Tensor, known: Mapping[nn.Module, Tensor]) -> Tensor:
        """Return log P(z), ``(B, N) -> (B,)``, where log densities under some priors are known already."""
        return known[self] if self in known else self.log_prob(z)

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the prior, ``(n, N)``."""

    def refit(self, z: Tensor, noise: Noise) -> Prior:
        """Return a new prior of the same kind, fitted to other latents ``(n, N)``; this one stays as it is.

        Parameters
        ----------
        z : Tensor
            Latents without noise.
        noise : Noise
            The model's noise, for priors that are fitted to noisy latents.

        Raises
        ------
        TypeError
            If the class does not say how.
        """
        raise TypeError(f"Expected a prior that can be refitted; got {type(self).__name__}. Pass fit_prior.")


FitPrior = Callable[[Tensor], Prior]
"""Latents ``(n, N)`` to a prior that is fitted to them."""
