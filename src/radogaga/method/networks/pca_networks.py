"""Networks between latents and the leading principal axes of pictures: minutes of training where others take hours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import softplus

from radogaga.method.networks.mlp import ResidualMLP


class PCAEncoder(nn.Module):
    """From a picture to its coordinates on principal axes, each of variance 1, and from there to latents.

    ::

        (B, C, H, W) -> flatten -> U (x - m) / deviations -> Residual -> (B, N)

    The axes stay as they start; only what lies between them and the latents is learned.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    shape : sequence of int
        Channels, height and width of a picture.
    axes : int
        Number of principal axes.
    hidden : sequence of int
        Widths of the learned part's hidden layers.
    activation : type
        Class of their activation.
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
        self.project = nn.Linear(math.prod(shape), axes).requires_grad_(False)
        self.inner = ResidualMLP(axes, latents, hidden, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return latents, ``(B, C, H, W) -> (B, N)``."""
        out: Tensor = self.inner(self.project(x.flatten(1)))
        return out


class PCADecoder(nn.Module):
    """From latents to coordinates on principal axes, and from there to a picture: `PCAEncoder` the other way.

    Parameters
    ----------
    latents, shape, axes, hidden, activation, dropout
        As for `PCAEncoder`.
    softness : float
        Pixels under about this value bend towards 0 and never reach it, by a softplus: there is no negative light, and
        a relative metric as that of `SSIM` has no bound near 0. 0 leaves them as they are, and the start linear.

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
        self.expand = nn.Linear(axes, math.prod(shape)).requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures, ``(B, N) -> (B, C, H, W)``."""
        return self.picture(self.inner(z))

    def picture(self, coordinates: Tensor) -> Tensor:
        """Return the pictures at coordinates on the principal axes, ``(B, axes) -> (B, C, H, W)``."""
        out: Tensor = self.expand(coordinates)
        if self.softness:
            out = self.softness * softplus(out / self.softness)
        return out.unflatten(1, self.shape)




