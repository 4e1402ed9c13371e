"""Networks between latents and the leading principal components of pictures, which train in minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import softplus

from radogaga.method.networks.mlp import ResidualMLP


class PCAEncoder(nn.Module):
    """Encoder that maps pictures to whitened principal components, and these to latents by a `ResidualMLP`.

    ::

        (B, C, H, W) -> flatten -> U (x - m) / deviations -> ResidualMLP -> (B, N)

    The axes are fixed; only the layers between components and latents are trained.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    shape : sequence of int
        Channels, height and width of a picture.
    axes : int
        Number of principal axes.
    hidden : sequence of int
        Widths of the hidden layers.
    activation : type
        Class of the activation.
    dropout : float
        Share of the hidden activations that is dropped in training.

    Examples
    --------
    >>> import torch
    >>> from radogaga import PCAEncoder
    >>> PCAEncoder(8, shape=(3, 16, 16), axes=40)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        latents: int,
        shape: Sequence[int] = (3, 64, 64),
        axes: int = 500,
        hidden: Sequence[int] = (512, 512),
        activation: type[nn.Module] = nn.SiLU,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.latents, self.shape, self.axes = latents, list(shape), axes
        self.hidden, self.activation, self.dropout = list(hidden), activation, dropout
        self.project = nn.Linear(math.prod(shape), axes).requires_grad_(requires_grad=False)
        self.inner = ResidualMLP(axes, latents, hidden, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return latents, ``(B, C, H, W) -> (B, N)``."""
        out: Tensor = self.inner(self.project(x.flatten(1)))
        return out


class PCADecoder(nn.Module):
    """Decoder that maps latents to whitened principal components by a `ResidualMLP`, and these to pictures.

    Parameters
    ----------
    latents, shape, axes, hidden, activation, dropout
        As for `PCAEncoder`.
    softness : float
        Scale of a softplus that keeps pixels positive, since the metric of `SSIM` is unbounded near black. 0 means no
        softplus, so that the decoder is linear at its start.

    Examples
    --------
    >>> import torch
    >>> from radogaga import PCADecoder
    >>> PCADecoder(8, shape=(3, 16, 16), axes=40)(torch.zeros(2, 8)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self,
        latents: int,
        shape: Sequence[int] = (3, 64, 64),
        axes: int = 500,
        hidden: Sequence[int] = (512, 512),
        activation: type[nn.Module] = nn.SiLU,
        dropout: float = 0.0,
        softness: float = 0.0,
    ) -> None:
        super().__init__()
        self.latents, self.shape, self.axes = latents, list(shape), axes
        self.hidden, self.activation, self.dropout, self.softness = list(hidden), activation, dropout, softness
        self.inner = ResidualMLP(latents, axes, hidden, activation, dropout)
        self.expand = nn.Linear(axes, math.prod(shape)).requires_grad_(requires_grad=False)

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures, ``(B, N) -> (B, C, H, W)``."""
        return self.picture(self.inner(z))

    def picture(self, coordinates: Tensor) -> Tensor:
        """Return the pictures at coordinates on the principal axes, ``(B, axes) -> (B, C, H, W)``."""
        out: Tensor = self.expand(coordinates)
        if self.softness:
            out = self.softness * softplus(out / self.softness)
        return out.unflatten(1, self.shape)
