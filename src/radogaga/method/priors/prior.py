"""What every prior is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Prior(nn.Module, ABC):
    """A density of the latents that can be learned and drawn from."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the prior, ``(n, N)``."""
