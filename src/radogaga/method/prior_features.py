"""What the prior sees of a row: its latents alone, or its reconstruction error beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class PriorFeatures(Protocol):
    """What the objective asks of the map to what the prior sees."""

    def __call__(self, z: Tensor, s: Tensor, reconstructed: Tensor) -> Tensor:
        """Return what the prior sees of latents, scaled rows and their reconstructions."""


@dataclass(frozen=True)
class LatentFeatures:
    """The prior sees the latents alone: its density is the data's."""

    def __call__(self, z: Tensor, s: Tensor, reconstructed: Tensor) -> Tensor:
        """Return the latents, ``(B, N)``."""
        return z


@dataclass(frozen=True)
class ResidualFeatures:
    """The prior sees |s - s^| / |s| and cos(s, s^) beside the latents, as DAGMM's does.

    It is the paper's anomaly score, which is no density of the data.

    Examples
    --------
    >>> import torch
    >>> from radogaga import ResidualFeatures
    >>> ResidualFeatures()(torch.zeros(1, 1), torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]]))
    tensor([[0.0000, 0.8000, 0.6000]])
    """

    def __call__(self, z: Tensor, s: Tensor, reconstructed: Tensor) -> Tensor:
        """Return latents, relative distance and cosine similarity, ``(B, N + 2)``."""
        relative = (s - reconstructed).norm(dim=1) / s.norm(dim=1).clamp_min(1e-10)
        cosine = functional.cosine_similarity(s, reconstructed, dim=1)
        return torch.cat([z, torch.stack([relative, cosine], 1)], 1)
