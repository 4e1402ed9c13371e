"""Networks between latents and the leading principal axes of pictures: minutes of training where others take hours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from radogaga.distortion import Distortion
from radogaga.errors import InputError
from radogaga.networks import Autoencoder, Residual
from radogaga.spectrum import leading_axes
from radogaga.tangents import gram

_MOST_FOR_METRIC = 32


class PrincipalEncoder(nn.Module):
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
    >>> from radogaga import PrincipalEncoder
    >>> PrincipalEncoder(8, shape=(3, 16, 16), axes=40)(torch.zeros(2, 3, 16, 16)).shape
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
        self.inner = Residual(axes, latents, hidden, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return latents, ``(B, C, H, W) -> (B, N)``."""
        out: Tensor = self.inner(self.project(x.flatten(1)))
        return out


class PrincipalDecoder(nn.Module):
    """From latents to coordinates on principal axes, and from there to a picture: `PrincipalEncoder` the other way.

    Parameters
    ----------
    latents, shape, axes, hidden, activation, dropout
        As for `PrincipalEncoder`.
    softness : float
        Pixels under about this value bend towards 0 and never reach it, by a softplus: there is no negative light, and
        a relative metric as that of `SSIM` has no bound near 0. 0 leaves them as they are, and the start linear.

    Examples
    --------
    >>> import torch
    >>> from radogaga import PrincipalDecoder
    >>> PrincipalDecoder(8, shape=(3, 16, 16), axes=40)(torch.zeros(2, 8)).shape
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
        self.inner = Residual(latents, axes, hidden, activation, dropout)
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


@torch.no_grad()
def start_as_metric_pca(autoencoder: Autoencoder, x: Tensor, distortion: Distortion, *, seed: int = 0) -> Tensor:
    """Set an autoencoder to PCA under a distortion's mean metric, and return the variance along each latent.

    With U the leading axes of the pictures, V their variances and G the mean of U A(x) U' over reconstructed pictures,
    the latents are the leading eigenvectors of V^(1/2) G V^(1/2), and their variances its eigenvalues: under squared
    error that is PCA, and under every distortion J'AJ is the identity on average before the first step.

    Parameters
    ----------
    autoencoder : Autoencoder
        Of a `PrincipalEncoder` and a `PrincipalDecoder`, untrained.
    x : Tensor
        Pictures, ``(n, C, H, W)``, more than there are axes.
    distortion : Distortion
        Whose metric A counts.
    seed : int
        Draws the directions in which the axes are looked for.

    Returns
    -------
    Tensor
        Variance along each latent in the distortion's units, ``(N,)``, largest first.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, PrincipalDecoder, PrincipalEncoder, Scaling, SquaredError
    >>> from radogaga.principal import start_as_metric_pca
    >>> x = torch.randn(60, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> size = {"latents": 4, "shape": (1, 6, 6), "axes": 10}
    >>> autoencoder = Autoencoder(PrincipalEncoder(**size), PrincipalDecoder(**size), 4, Scaling(1))
    >>> variance = start_as_metric_pca(autoencoder, x, SquaredError())
    >>> torch.allclose(autoencoder.encode(x).var(0, correction=0), variance, rtol=1e-3)
    True
    """
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    if not (isinstance(encoder, PrincipalEncoder) and isinstance(decoder, PrincipalDecoder)):
        raise TypeError(
            f"Expected a PrincipalEncoder and a PrincipalDecoder; got {type(encoder).__name__} and another."
        )
    if len(x) <= encoder.axes:
        raise InputError(f"Expected more pictures than the {encoder.axes} axes; got {len(x)}. Pass more or fewer axes.")
    s = autoencoder.scaling(x).flatten(1)
    centre, axes, variances = leading_axes(s, encoder.axes, seed=seed)
    deviations = variances.sqrt().clamp_min(1e-6 * float(variances[0].sqrt()))
    encoder.project.weight.copy_(axes / deviations[:, None])
    encoder.project.bias.copy_(-encoder.project.weight @ centre)
    decoder.expand.weight.copy_(axes.T * deviations)
    decoder.expand.bias.copy_(centre)
    turn, strength = _metric_axes(decoder, s[:_MOST_FOR_METRIC] - centre, axes, distortion)
    latents = autoencoder.latents
    for linear, weight in ((encoder.inner.linear, turn[:, :latents].T), (decoder.inner.linear, turn[:, :latents])):
        linear.weight.copy_(weight)
        linear.bias.zero_()
    autoencoder.set_gain(strength[:latents].sqrt())
    return strength[:latents]


def _metric_axes(decoder: PrincipalDecoder, s: Tensor, axes: Tensor, distortion: Distortion) -> tuple[Tensor, Tensor]:
    """Return eigenvectors (columns) and eigenvalues of the mean metric on unit coordinates, largest first."""
    # Of the pictures as so many latents would rebuild them: it is there that the metric will be taken.
    kept = torch.arange(decoder.axes, device=s.device) < decoder.latents
    scale = decoder.expand.weight.norm(dim=0)
    coordinates = (s @ axes.T) / scale * kept
    mean = torch.stack([gram(decoder.picture, distortion, part).mean(0) for part in coordinates.split(8)]).mean(0)
    strength, turn = torch.linalg.eigh(mean.double())
    order = strength.argsort(descending=True)
    return turn[:, order].to(s.dtype), strength[order].to(s.dtype)
